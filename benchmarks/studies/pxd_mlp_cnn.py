"""Particle identification from clusters in the Belle II pixel detector: dense and convolutional networks on six
variables and on 9x9 pixels.

Most results of the document are figures without numbers; what it says about them is in `comparisons`. Its table of
batch sizes (section 8) corresponds to `make sweep`.

    make reproduce STUDY=pxd_mlp_cnn
"""

from __future__ import annotations

from hepbench.benchmarks.study import Comparison, Experiment, Reported, Study

FILES = (
    "It uses its own files, without giving the numbers of clusters, with equal numbers of both classes, 70/20/10.",
    "It divides by maxima over training, validation and test set together.",
)
PIXEL_FILES = (
    "It uses its own files, without giving the numbers of clusters, 70/20/10.",
    "It scales pixels by their minimum and maximum over all three sets.",
)
PAIRS: dict[tuple[str, str], tuple[Reported, ...]] = {
    ("tetraquark", "background"): (
        Reported("test AUC", "test_auc", 0.992, "section 6.2 and figure 6", note="maximum over its training runs"),
    ),
    ("pion", "background"): (
        Reported("test AUC", "test_auc", 0.5, "section 6.3 and figure 7, the first model", sign="about"),
    ),
    ("anti-deuteron", "background"): (),
    ("anti-deuteron", "tetraquark"): (
        Reported("test AUC", "test_auc", 0.5, "section 6.4 and figure 9: no separation", sign="about"),
    ),
    ("tetraquark", "pion"): (
        Reported(
            "test AUC", "test_auc", 0.992, "section 6.5 and figure 10: easier than against background", sign="above"
        ),
    ),
}


def _pair(signal: str, background: str, appendix: bool) -> Experiment:
    return Experiment(
        name=f"{signal}_vs_{background}{'_appendix' * appendix}",
        title=f"six variables, {signal} against {background}: "
        + ("6-6-6-6-4-4 with RMSprop (appendix)" if appendix else "five layers of 6 with Adam (section 5)"),
        task=f"pxd_clusters:{signal}_vs_{background}",
        model="mlp_pxd_study_six_appendix" if appendix else "mlp_pxd_study_six",
        reported=PAIRS[signal, background],
        differs=FILES,
    )


def _pixels(network: str, epochs: int) -> Experiment:
    return Experiment(
        name=f"{network}_{epochs}",
        title=f"pixels, five classes, {network.upper()} after {epochs:,} epochs",
        task="pxd_pixels",
        model=f"{network}_pxd_study",
        settings={"epochs": epochs},
        differs=PIXEL_FILES,
    )


def _pixels_of_pair(network: str, signal: str, background: str) -> Experiment:
    return Experiment(
        name=f"{network}_{signal}_vs_{background}",
        title=f"pixels, {signal} against {background}, {network.upper()}",
        task=f"pxd_pixels:{signal}_vs_{background}",
        model=f"{network}_pxd_study",
        differs=("The document has no pixels for these particles: section 6.6 hopes for them.",),
    )


STUDY = Study(
    title="Particles in the Belle II pixel detector: dense and convolutional networks",
    source="Marvin Peter, Multilayer perceptron for particle identification on simulated data from the pixel detector "
    "of Belle 2 using Tensorflow.Keras on GPU and CPU, 2020",
    experiments=(
        *(_pair(signal, background, appendix) for signal, background in PAIRS for appendix in (False, True)),
        *(_pixels("mlp", epochs) for epochs in (10, 50, 200, 2_000)),
        *(_pixels("cnn", epochs) for epochs in (10, 100, 200, 2_000)),
        Experiment(
            name="cnn_without_background",
            title="pixels, without background, CNN after 200 epochs",
            task="pxd_pixels:without_background",
            model="cnn_pxd_study",
            settings={"epochs": 200},
            reported=(
                Reported(
                    "monopoles found at 99 % purity",
                    "test_efficiency_at_purity_99_monopole",
                    1 / 3,
                    "section 7.1 and figure 15",
                    sign="about",
                    note="every third monopole with 99 % certainty, taken as the purity of the selected monopoles",
                ),
            ),
            differs=PIXEL_FILES,
        ),
        Experiment(
            name="six_of_pixels",
            title="the six variables of the same five classes, five layers of 6",
            task="pxd_pixels",
            model="mlp_pxd_study_six",
            settings={"features": "six"},
            differs=("In the document, six variables and pixels are from different clusters.",),
        ),
        *(_pixels_of_pair(network, "anti-deuteron", "tetraquark") for network in ("mlp", "cnn")),
        *(_pixels_of_pair(network, "tetraquark", "background") for network in ("mlp", "cnn")),
    ),
    comparisons=(
        Comparison(
            "Six variables or pixels?",
            "It could not really be proved that pixels work better than six variables (section 10).",
            ("six_of_pixels", "mlp_50", "cnn_100"),
            ("test_auc", "test_accuracy"),
        ),
        Comparison(
            "And for tetraquarks against background, on the same clusters?",
            "The same question for one pair.",
            ("tetraquark_vs_background", "mlp_tetraquark_vs_background", "cnn_tetraquark_vs_background"),
            ("test_auc", "test_accuracy"),
        ),
        Comparison(
            "Do pixels separate very similar particles?",
            "Maybe with raw pixels the network could learn to categorize even very similar particles (section 6.6).",
            ("anti-deuteron_vs_tetraquark", "mlp_anti-deuteron_vs_tetraquark", "cnn_anti-deuteron_vs_tetraquark"),
            ("test_auc", "test_accuracy"),
        ),
        Comparison(
            "Do the CNN and the MLP end up with the same curves?",
            "After 2,000 epochs the curves look very similar (section 9, figures 20 and 21).",
            ("mlp_2000", "cnn_2000"),
            ("test_auc", "test_accuracy", "test_auc_monopole"),
        ),
        Comparison(
            "What does the CNN gain from more epochs?",
            "Figure 14: 10, 100 and 2,000 epochs; background is identified easily.",
            ("cnn_10", "cnn_100", "cnn_200", "cnn_2000"),
            ("test_auc", "test_auc_background", "test_auc_monopole", "test_efficiency_at_purity_99_monopole"),
        ),
        Comparison(
            "And the MLP?",
            "50 epochs in the listing, 200 in the table of batch sizes, 2,000 in figure 21.",
            ("mlp_10", "mlp_50", "mlp_200", "mlp_2000"),
            ("test_auc", "test_accuracy"),
        ),
        Comparison(
            "Are the networks of section 5 and of the appendix equally good?",
            "The document gives one curve per pair and does not say for which.",
            ("tetraquark_vs_background", "tetraquark_vs_background_appendix"),
            ("test_auc", "test_accuracy"),
        ),
    ),
    remarks=(
        "Section 5 mentions four hidden layers, its listing has five.",
        "The layers of the CNN are commented out in the pixel listing: its figures are from another version of it.",
        "As printed, the pixel listing assigns class 0, called background, to the rows of monopol_bg_9x9.txt whose "
        "first value is not 0, and classes 1, 2 and 3, called monopol, pion and proton, to the files of pions, protons "
        "and deuterons; class 4, deuteron, stays empty. Whether the figures were made this way is not stated; the "
        "document finds it weird that background looks so different from all other categories.",
    ),
    elsewhere={
        "Section 8: 21 rows of device, batch size, epochs and duration, figures 17 to 19": "make sweep TASK=pxd_pixels "
        "MODEL=mlp_pxd_study",
    },
)
