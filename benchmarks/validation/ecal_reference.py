"""Reference for simulated showers: quantiles of genuine photons and electrons.

Taken from the energies of 200 images (98 photons, 102 electrons) of the official files of the task `ecal` (CMS open
data, CC0; 1910.07029), with the variables as `features/calorimeter.py` defines them.
"""

from __future__ import annotations

SOURCE = "200 genuine images (98 photons, 102 electrons)"
EVENTS = {"photon": 98, "electron": 102}
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the quantiles

QUANTILES = {
    "r_eta": {
        "photon": (0.9685, 0.9725, 0.9781, 0.981, 0.9831),
        "electron": (0.968, 0.9732, 0.9767, 0.9797, 0.9826),
    },
    "e2x5_e5x5": {
        "photon": (0.9389, 0.945, 0.9502, 0.9569, 0.9615),
        "electron": (0.9344, 0.9418, 0.949, 0.9574, 0.9609),
    },
    "sigma_ieta_ieta": {
        "photon": (0.4673, 0.4875, 0.5, 0.5191, 0.5371),
        "electron": (0.4561, 0.4827, 0.4965, 0.5128, 0.5362),
    },
    "eta_tail": {
        "photon": (0.004004, 0.006275, 0.009501, 0.01333, 0.02056),
        "electron": (0.004229, 0.008151, 0.01041, 0.01661, 0.02118),
    },
    "sigma_iphi_iphi": {
        "photon": (0.523, 0.5632, 0.5902, 0.7146, 0.885),
        "electron": (0.5614, 0.5901, 0.6671, 0.828, 1.026),
    },
    "e1x5_e5x5": {
        "photon": (0.5892, 0.7224, 0.8381, 0.8656, 0.8788),
        "electron": (0.6166, 0.7689, 0.8313, 0.8681, 0.8773),
    },
    "lateral_moment": {
        "photon": (0.4246, 0.4937, 0.5805, 0.7315, 0.8424),
        "electron": (0.497, 0.575, 0.6679, 0.8186, 0.895),
    },
    "eta_width": {
        "photon": (0.5515, 0.6177, 0.702, 0.8335, 0.9429),
        "electron": (0.5905, 0.6625, 0.7316, 0.854, 0.9726),
    },
    "e1x3_e3x3": {
        "photon": (0.6004, 0.7495, 0.8609, 0.8886, 0.9006),
        "electron": (0.6365, 0.7911, 0.8585, 0.8906, 0.9003),
    },
    "r9": {
        "photon": (0.7542, 0.8888, 0.9375, 0.9471, 0.9533),
        "electron": (0.6302, 0.8069, 0.9182, 0.9378, 0.945),
    },
    "s4": {
        "photon": (0.7791, 0.8811, 0.898, 0.9119, 0.9197),
        "electron": (0.6598, 0.8192, 0.8834, 0.9033, 0.9124),
    },
    "soft_fraction": {
        "photon": (0.06107, 0.06653, 0.07718, 0.09314, 0.1045),
        "electron": (0.06711, 0.07349, 0.08389, 0.09647, 0.1119),
    },
    "phi_skewness": {
        "photon": (-3.562, -1.928, -0.005483, 1.159, 2.287),
        "electron": (-2.476, -1.027, 0.09648, 1.253, 2.659),
    },
}
MEANS = {
    "satellite_delta_eta": {"photon": (0.4796, 0.08106), "electron": (0.1961, 0.04629)},
    "satellite_delta_phi": {"photon": (2.173, 0.2171), "electron": (2.637, 0.175)},
}
"""Integer variables, for which quantiles are not informative: mean and its error."""

CORRELATIONS = {
    ("sigma_ieta_ieta", "sigma_iphi_iphi"): {"photon": -0.47, "electron": -0.51},
    ("r9", "sigma_iphi_iphi"): {"photon": -0.60, "electron": -0.80},
    ("r_eta", "eta_tail"): {"photon": -0.36, "electron": -0.40},
    ("e2x5_e5x5", "r_eta"): {"photon": 0.02, "electron": -0.01},
}
"""Spearman correlations."""
CORRELATION_ERROR = 0.1
