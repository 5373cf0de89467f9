"""Views of calorimeter images: a point cloud of the hits, and shower-shape variables.

Everything works on the list of hits rather than on the pixels: an image has some 50 hits among 1,024 pixels, so a sum
over hits costs a twentieth of a sum over pixels. Hits are the pixels whose energy (channel 0) is above zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hepbench.benchmarks.features.ratio import ratio

CLOUD_FEATURES = ("delta_eta", "delta_phi", "log_energy", "log_energy_fraction", "delta_r")
"""Features of a hit, followed by the image's other channels; as in ParticleNet, 1902.08570, table 1."""

SHOWER_SHAPES = (
    "log_energy",
    "hits",
    "hits_above_1_percent",
    "hits_above_01_percent",
    "seed_fraction",
    "second_fraction",
    "e_ratio",
    "s4",
    "r9",
    "e5x5_fraction",
    "e1x3_e3x3",
    "e3x1_e3x3",
    "e1x5_e5x5",
    "e2x5_e5x5",
    "r_eta",
    "r_phi",
    "sigma_ieta_ieta",
    "sigma_iphi_iphi",
    "sigma_ieta_iphi",
    "eta_width",
    "phi_width",
    "width_ratio",
    "lateral_moment",
    "phi_skewness",
    "phi_asymmetry",
    "phi_tail",
    "phi_tail_difference",
    "eta_tail",
    "soft_fraction",
    "dispersion",
    "entropy",
    "eta_offset",
    "phi_offset",
    "satellite_fraction",
    "satellite_delta_eta",
    "satellite_delta_phi",
    "seed_time",
    "time_mean",
    "time_spread",
)
TIMES = SHOWER_SHAPES[-3:]


def image_to_cloud(image: np.ndarray, points: int = 64, pitch: float = 0.0174) -> dict[str, np.ndarray]:
    """The most energetic hits of each image, in falling order of energy, padded with zeros.

    image: (N, H, W, C), channel 0 the energy. points: maximum number of hits P per image. pitch: width of a pixel
    (0.0174 in eta and phi for the CMS ECAL barrel; 1 gives pixels).
    Gives points (N, P, 2), the position in eta and phi relative to pixel [H/2, W/2]; features (N, P, 5 + C - 1), those
    of CLOUD_FEATURES and then the other channels; log_pt (N, P), the unscaled logarithm of the energy; mask (N, P),
    true where there is a hit.
    """
    events, height, width, channels = image.shape
    event, pixel, energy = _hits(image)
    order = np.lexsort((-energy, event))
    event, pixel, energy = event[order], pixel[order], energy[order]
    number = np.bincount(event, minlength=events)
    rank = np.arange(len(event)) - (np.cumsum(number) - number)[event]
    kept = rank < points
    total = np.bincount(event, energy, minlength=events)
    event, pixel, energy, rank = event[kept], pixel[kept], energy[kept], rank[kept]
    eta = (pixel // width - height // 2) * pitch
    phi = (pixel % width - width // 2) * pitch

    cloud = {
        "points": np.zeros((events, points, 2), np.float32),
        "features": np.zeros((events, points, len(CLOUD_FEATURES) + channels - 1), np.float32),
        "log_pt": np.zeros((events, points), np.float32),
        "mask": np.zeros((events, points), bool),
    }
    cloud["points"][event, rank] = np.stack([eta, phi], axis=1)
    columns = [eta, phi, np.log(energy), np.log(energy / total[event]), np.hypot(eta, phi)]
    columns += [image[event, pixel // width, pixel % width, channel] for channel in range(1, channels)]
    cloud["features"][event, rank] = np.stack(columns, axis=1)
    cloud["log_pt"][event, rank] = np.log(energy)
    cloud["mask"][event, rank] = True
    return cloud


def shower_shapes(image: np.ndarray) -> np.ndarray:
    """(N, len(SHOWER_SHAPES)) float32 shower-shape variables of (N, H, W, 2) images of energy and time.

    Axis 0 of an image is eta, axis 1 phi; "axb" means a crystals in eta and b in phi; the seed is the most energetic
    hit. An image without hits gives zeros.

    Sources. CMS: 1502.02702 section 4 (photons) and 2012.06888 section 5: r9, sigma_ieta_ieta, sigma_iphi_iphi,
    sigma_ieta_iphi, s4 = E2x2/E5x5, eta_width and phi_width; CMSSW's EcalClusterTools for the windows, for the
    weights max(0, 4.7 + log(E/E5x5)) of the sigmas (here also of the mean that they are about, where CMSSW's is linear
    in the energy), and for the lateral moment, which is from ARGUS (Drescher et al.,
    Nucl. Instrum. Meth. A 237 (1985) 464). width_ratio is phi_width / eta_width, CMS' measure of bremsstrahlung
    (1502.02701). ATLAS: 1810.05087 table 1: r_eta = E3x7/E7x7, r_phi = E3x3/E3x7, and e_ratio of the two most
    energetic hits, which ATLAS takes in its strips. dispersion is sqrt(sum f^2) with f a hit's share of the energy,
    CMS' pTD of jets, and entropy -sum f log f. The tails are the shares of energy more than 2 crystals from the seed
    in phi or eta, where radiated photons and conversion legs land; satellite is the most energetic hit outside the
    3x3 round the seed, with its distances; phi_tail_difference is the tail's far side minus its near one. Times are
    weighted with energy.
    """
    events, _, width, _ = image.shape
    event, pixel, energy = _hits(image)
    if not len(energy):
        return np.zeros((events, len(SHOWER_SHAPES)), np.float32)
    number = np.bincount(event, minlength=events)
    seen = number > 0
    start = (np.cumsum(number) - number)[seen]

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(event, values, minlength=events)

    def within(eta: int, phi: int) -> np.ndarray:
        return total(energy * ((distance_eta <= eta) & (distance_phi <= phi)))

    def brightest(candidate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy of each event's most energetic hit among the candidates and the hit's index; 0 without one."""
        values = energy * candidate
        highest = np.zeros(events)
        highest[seen] = np.maximum.reduceat(values, start)
        which = np.flatnonzero((values == highest[event]) & candidate)[::-1]
        index = np.zeros(events, np.int64)
        index[event[which]] = which
        return highest, index

    first, seed = brightest(np.ones(len(energy), bool))
    others = np.ones(len(energy), bool)
    others[seed[seen]] = False
    second, second_hit = brightest(others)
    others[second_hit[second > 0]] = False

    whole = total(energy)
    share = energy / whole[event]
    eta, phi = pixel // width, pixel % width
    step_eta, step_phi = eta - eta[seed][event], phi - phi[seed][event]
    distance_eta, distance_phi = np.abs(step_eta), np.abs(step_phi)

    e3x3, e5x5, e3x7, e7x7 = within(1, 1), within(2, 2), within(1, 3), within(3, 3)
    near = (distance_eta <= 1) & (distance_phi <= 1)
    squares = [
        total(energy * (near & (step_eta * side_eta >= 0) & (step_phi * side_phi >= 0)))
        for side_eta in (-1, 1)
        for side_phi in (-1, 1)
    ]
    strip = (distance_eta <= 2) & (distance_phi <= 2)
    halves = [total(energy * (strip & (step_eta * side >= 0) & (distance_eta <= 1))) for side in (-1, 1)]

    weight = np.maximum(0, 4.7 + np.log(np.maximum(energy / np.maximum(e5x5[event], 1e-300), 1e-30))) * strip
    sigma_eta, sigma_phi, sigma_eta_phi = _covariance(step_eta, step_phi, weight, total)[2:]
    eta_offset, phi_offset, variance_eta, variance_phi, _ = _covariance(step_eta, step_phi, energy, total)
    eta_width, phi_width = np.sqrt(np.maximum(variance_eta, 0)), np.sqrt(np.maximum(variance_phi, 0))
    from_centre = step_phi - phi_offset[event]
    skewness = ratio(total(share * from_centre**3), phi_width**3)

    radius2 = (step_eta - eta_offset[event]) ** 2 + from_centre**2
    pair = first + second
    moment = total(energy * radius2 * others)

    tail = distance_phi > 2
    far, near_side = total(share * (tail & (step_phi > 0))), total(share * (tail & (step_phi < 0)))
    satellite_energy, satellite = brightest(~near)
    present = satellite_energy > 0
    time = image[event, eta, phi, 1].astype(np.float64)
    time_mean = total(share * time)

    columns = {
        "log_energy": np.log(np.where(seen, whole, 1.0)),
        "hits": number,
        "hits_above_1_percent": total(share > 0.01),
        "hits_above_01_percent": total(share > 0.001),
        "seed_fraction": ratio(first, whole),
        "second_fraction": ratio(second, whole),
        "e_ratio": ratio(first - second, pair),
        "s4": ratio(np.max(squares, axis=0), e5x5),
        "r9": ratio(e3x3, whole),
        "e5x5_fraction": ratio(e5x5, whole),
        "e1x3_e3x3": ratio(within(0, 1), e3x3),
        "e3x1_e3x3": ratio(within(1, 0), e3x3),
        "e1x5_e5x5": ratio(within(0, 2), e5x5),
        "e2x5_e5x5": ratio(np.max(halves, axis=0), e5x5),
        "r_eta": ratio(e3x7, e7x7),
        "r_phi": ratio(e3x3, e3x7),
        "sigma_ieta_ieta": np.sqrt(np.maximum(sigma_eta, 0)),
        "sigma_iphi_iphi": np.sqrt(np.maximum(sigma_phi, 0)),
        "sigma_ieta_iphi": sigma_eta_phi,
        "eta_width": eta_width,
        "phi_width": phi_width,
        "width_ratio": ratio(phi_width, eta_width),
        "lateral_moment": ratio(moment, moment + pair),
        "phi_skewness": skewness,
        "phi_asymmetry": total(share * np.sign(step_phi)),
        "phi_tail": far + near_side,
        "phi_tail_difference": far - near_side,
        "eta_tail": total(share * (distance_eta > 2)),
        "soft_fraction": total(share * (share < 0.01)),
        "dispersion": np.sqrt(total(share**2)),
        "entropy": -total(share * np.log(np.maximum(share, 1e-300))),
        "eta_offset": eta_offset,
        "phi_offset": phi_offset,
        "satellite_fraction": ratio(satellite_energy, whole),
        "satellite_delta_eta": np.where(present, distance_eta[satellite], 0),
        "satellite_delta_phi": np.where(present, distance_phi[satellite], 0),
        "seed_time": np.where(seen, time[seed], 0),
        "time_mean": time_mean,
        "time_spread": np.sqrt(total(share * (time - time_mean[event]) ** 2)),
    }
    return np.stack([columns[name] for name in SHOWER_SHAPES], axis=1).astype(np.float32)


def _hits(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Event, flat pixel and energy (float64) of every pixel with energy, in the order of events."""
    energy = np.ascontiguousarray(image[..., 0]).reshape(-1)
    index = np.flatnonzero(energy > 0)
    event, pixel = np.divmod(index, image.shape[1] * image.shape[2])
    return event, pixel, energy[index].astype(np.float64)


def _covariance(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, total: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Weighted means of x and y, their variances, and their covariance, by event."""
    whole = total(weight)
    x_mean, y_mean = ratio(total(weight * x), whole), ratio(total(weight * y), whole)
    return (
        x_mean,
        y_mean,
        ratio(total(weight * x * x), whole) - x_mean**2,
        ratio(total(weight * y * y), whole) - y_mean**2,
        ratio(total(weight * x * y), whole) - x_mean * y_mean,
    )
