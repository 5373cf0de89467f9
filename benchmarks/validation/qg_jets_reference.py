"""Reference for quark and gluon jets: histograms of the ten hardest particles of genuine ones.

From 12,500 jets (6,277 gluon, 6,223 quark) drawn at random from Zenodo 3164691 (P. T. Komiske, E. M. Metodiev,
J. Thaler, CC-BY-4.0) among those with 10 to 120 particles, of which the ten hardest are known. `tests/test_qg_jets.py`
reproduces the histograms where those jets are available.
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.features import jets

SOURCE = "12,500 genuine jets of Zenodo 3164691, CC-BY-4.0"
FEWEST, MOST = 10, 120  # particles of a jet
KINDS = tuple(jets.PARTICLES)  # PDG codes without sign

EDGES = {
    "kind of the hardest": np.arange(9.0),  # by place in KINDS
    "charged among the ten": np.arange(12.0),
    "pT of the hardest": np.array([0, 40, 50, 60, 70, 80, 90, 100, 115, 130, 150, 175, 200, 240, 300, 550.0]),
    "pT of the second": np.array([0, 30, 35, 40, 45, 50, 55, 60, 65, 70, 80, 90, 100, 120, 150, 275.0]),
    "pT of the fifth": np.array([0, 12, 15, 18, 20, 22, 24, 26, 28, 30, 33, 36, 40, 45, 50, 110.0]),
    "pT of the tenth": np.array([0, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 55.0]),
    "pT of the ten": np.array([0, 240, 270, 300, 320, 340, 360, 380, 400, 420, 440, 460, 480, 500, 520, 550.0]),
    "distance of the hardest": np.array([0, 2, 4, 6, 8, 10, 15, 20, 25, 30, 40, 60, 90, 130, 200, 800.0]) / 1e3,
    "distance of the fifth": np.array([0, 4, 8, 12, 16, 20, 25, 30, 40, 50, 70, 100, 140, 200, 270, 800.0]) / 1e3,
    "distance of the tenth": np.array([0, 8, 14, 20, 26, 34, 42, 52, 64, 80, 100, 130, 170, 220, 280, 800.0]) / 1e3,
    "girth of the ten": np.array([0, 4, 8, 12, 16, 20, 25, 30, 36, 44, 52, 62, 75, 92, 120, 400.0]) / 1e3,
    "|rapidity| of the ten": np.linspace(0, 1.8, 13),
}


def leading_ten(ten: np.ndarray) -> dict[str, np.ndarray]:
    """Each figure of EDGES, one number a jet, of (N, 10, 4) particles in falling order of pT, and "kinds of the ten",
    (N, 8) numbers of each of KINDS. The axis is the vector sum of the ten."""
    _, rapidity, phi, _ = jets.axes(jets.four_momenta(ten))
    distance = np.hypot(*jets.relative(ten, rapidity, phi))
    pt, kind = ten[..., 0].astype(np.float64), np.abs(ten[..., 3])
    of_kind = kind[..., None] == np.array(KINDS)
    return {
        "kind of the hardest": of_kind[:, 0].argmax(axis=1),
        "charged among the ten": (jets.masses_and_charges(ten[..., 3])[1] != 0).sum(axis=1),
        "pT of the hardest": pt[:, 0],
        "pT of the second": pt[:, 1],
        "pT of the fifth": pt[:, 4],
        "pT of the tenth": pt[:, 9],
        "pT of the ten": pt.sum(axis=1),
        "distance of the hardest": distance[:, 0],
        "distance of the fifth": distance[:, 4],
        "distance of the tenth": distance[:, 9],
        "girth of the ten": (pt * distance).sum(axis=1) / pt.sum(axis=1),
        "|rapidity| of the ten": np.abs(rapidity),
        "kinds of the ten": of_kind.sum(axis=1),
    }


def summary(ten: np.ndarray) -> dict[str, list[int]]:
    """Histograms by figure; of "kinds of the ten" the numbers of each kind, and the sums of their squares by jet."""
    figures = leading_ten(ten)
    kinds = figures.pop("kinds of the ten")
    counts = {name: np.histogram(values, EDGES[name])[0].tolist() for name, values in figures.items()}
    return counts | {"kinds of the ten": kinds.sum(axis=0).tolist(), "kinds, squared": (kinds**2).sum(axis=0).tolist()}


# Jets, then histograms, of each class.
JETS = {"gluon": 6277, "quark": 6223}
COUNTS = {
    "gluon": {
        "kind of the hardest": [17, 13, 823, 402, 2789, 830, 708, 695],
        "charged among the ten": [0, 5, 50, 215, 531, 1008, 1433, 1467, 1058, 410, 100],
        "pT of the hardest": [288, 511, 745, 825, 759, 678, 539, 578, 426, 350, 266, 122, 121, 51, 18],
        "pT of the second": [214, 349, 597, 627, 653, 698, 645, 530, 437, 652, 363, 220, 207, 77, 8],
        "pT of the fifth": [13, 32, 133, 259, 376, 560, 727, 818, 721, 887, 632, 558, 363, 125, 73],
        "pT of the tenth": [9, 20, 62, 65, 80, 125, 175, 242, 363, 470, 636, 1470, 1275, 743, 542],
        "pT of the ten": [221, 421, 707, 594, 658, 689, 644, 610, 556, 448, 322, 211, 124, 59, 13],
        "distance of the hardest": [182, 483, 505, 507, 432, 838, 545, 454, 328, 459, 579, 459, 251, 202, 53],
        "distance of the fifth": [202, 552, 659, 608, 493, 560, 420, 596, 393, 506, 453, 341, 286, 123, 85],
        "distance of the tenth": [349, 512, 555, 534, 664, 528, 493, 441, 461, 388, 449, 332, 235, 174, 162],
        "girth of the ten": [1, 220, 842, 748, 589, 542, 435, 420, 437, 342, 319, 322, 316, 328, 416],
        "|rapidity| of the ten": [651, 697, 645, 637, 676, 582, 575, 504, 466, 392, 351, 101],
        "kinds of the ten": [127, 70, 15140, 2854, 29095, 5891, 4841, 4752],
        "kinds, squared": [147, 72, 51352, 4242, 152395, 12365, 9867, 9330],
    },
    "quark": {
        "kind of the hardest": [10, 2, 1199, 316, 3099, 609, 486, 502],
        "charged among the ten": [2, 23, 122, 314, 724, 1203, 1406, 1238, 788, 328, 75],
        "pT of the hardest": [34, 87, 176, 260, 324, 389, 423, 669, 590, 747, 734, 559, 583, 416, 232],
        "pT of the second": [59, 84, 153, 211, 301, 351, 436, 412, 448, 862, 759, 588, 835, 535, 189],
        "pT of the fifth": [209, 177, 253, 264, 277, 381, 458, 466, 470, 706, 680, 671, 575, 322, 314],
        "pT of the tenth": [173, 425, 535, 293, 348, 355, 373, 361, 393, 356, 405, 784, 616, 383, 423],
        "pT of the ten": [18, 57, 120, 112, 192, 245, 288, 402, 504, 565, 699, 838, 1026, 790, 367],
        "distance of the hardest": [682, 1193, 894, 601, 410, 633, 390, 254, 186, 265, 282, 225, 108, 76, 24],
        "distance of the fifth": [533, 981, 901, 711, 505, 495, 332, 453, 250, 304, 282, 162, 158, 85, 71],
        "distance of the tenth": [469, 598, 570, 501, 545, 424, 432, 416, 409, 340, 385, 346, 275, 230, 283],
        "girth of the ten": [28, 1447, 1409, 736, 446, 386, 320, 255, 234, 177, 170, 131, 144, 172, 168],
        "|rapidity| of the ten": [729, 752, 684, 698, 605, 589, 531, 454, 454, 358, 282, 87],
        "kinds of the ten": [153, 18, 19162, 2287, 29022, 4576, 3553, 3459],
        "kinds, squared": [213, 26, 77648, 3305, 153458, 8836, 6627, 6309],
    },
}
