"""Quark or gluon: a convolutional network on jet images with pt and m0, which trains but fails in validation.

The document is a notebook: its training accuracy rises to 0.698 while its validation accuracy stays at 0.49 to 0.53.
`remarks` and `comparisons` say what its listing rules out as the cause, and what remains to be measured.

    make reproduce STUDY=qg_images_cnn
"""

from __future__ import annotations

from hepbench.benchmarks.study import Comparison, Experiment, Reported, Study

LAST = "last epoch of the training output"
JETS = 55_494  # of the file of run 2
DIFFERS = (
    "It uses only the file of run 2, 20 % of it for the test and 20 % of the rest for validation: 35,516, 8,879 and "
    "11,099 jets.",
    "It standardises pt and m0 over all jets and leaves the pixels unscaled.",
)
SMALLER = {"smoke": 1_000, "quick": 10_000}

STUDY = Study(
    title="Quark or gluon: a convolutional network on jet images",
    source="Khalid Bagus Pratama Darmadi, Graph Neural Networks for End-to-End Particle Identification with the CMS "
    "Experiment, Common Task 2, 2023",
    experiments=(
        Experiment(
            name="scrambled",
            title="as in the document: images scrambled by the reshape",
            task="qg_images:scrambled",
            model="cnn_jet_study",
            events=JETS,
            trained=35_516,
            tested=11_099,
            reported=(
                Reported("training accuracy", "accuracy", 0.6982, LAST, epoch=-1, note="with dropout, as in Keras"),
                Reported("training loss", "loss", 0.5914, LAST, epoch=-1),
                Reported("validation accuracy", "val_accuracy", 0.4909, LAST, epoch=-1),
                Reported("validation loss", "val_loss", 0.9275, LAST, epoch=-1),
                Reported("test accuracy", "test_accuracy", 0.5018470, "output of the evaluation"),
                Reported("test loss", "test_log_loss", 0.9100755, "output of the evaluation"),
                Reported("seconds per epoch", "seconds_per_epoch", 16, "output of the training; the first epoch 30"),
                Reported("seconds per step", "seconds_per_step", 0.014, "output of the training, batches of 32"),
            ),
            by_epoch={
                "accuracy": (
                    0.6363, 0.6587, 0.6637, 0.6680, 0.6735, 0.6781, 0.6832, 0.6843, 0.6860, 0.6852,
                    0.6877, 0.6911, 0.6929, 0.6916, 0.6955, 0.6963, 0.6962, 0.6954, 0.6945, 0.6982,
                ),
                "val_accuracy": (
                    0.5013, 0.4924, 0.5101, 0.5274, 0.4896, 0.4897, 0.4896, 0.4895, 0.4895, 0.4894,
                    0.4897, 0.4895, 0.4895, 0.4897, 0.4897, 0.4926, 0.4897, 0.4901, 0.4897, 0.4909,
                ),
                "loss": (
                    0.6547, 0.6276, 0.6221, 0.6196, 0.6149, 0.6099, 0.6070, 0.6032, 0.6024, 0.6034,
                    0.5992, 0.5978, 0.5963, 0.5977, 0.5946, 0.5942, 0.5927, 0.5923, 0.5916, 0.5914,
                ),
                "val_loss": (
                    0.7955, 0.8452, 0.8065, 0.7816, 1.0960, 1.2451, 1.0760, 1.1244, 1.0644, 1.2007,
                    1.1263, 1.0705, 1.0196, 1.0085, 1.0805, 0.9227, 1.0262, 1.0073, 1.1001, 0.9275,
                ),
            },
            differs=DIFFERS,
            most_events=SMALLER,
            modes=True,
        ),
        Experiment(
            name="read_rightly",
            title="the same network on images with correctly placed pixels",
            task="qg_images",
            model="cnn_jet_study",
            events=JETS,
            differs=DIFFERS,
            most_events=SMALLER,
            modes=True,
        ),
        Experiment(
            name="momentum",
            title="scrambled images, moving averages with momentum 0.9 instead of 0.99",
            task="qg_images:scrambled",
            model="cnn_jet_study",
            settings={"normalisation_momentum": 0.9},
            events=JETS,
            differs=DIFFERS,
            most_events=SMALLER,
            modes=True,
        ),
        Experiment(
            name="no_dropout",
            title="scrambled images, without dropout",
            task="qg_images:scrambled",
            model="cnn_jet_study",
            settings={"dropout": "0-0-0-0-0"},
            events=JETS,
            differs=DIFFERS,
            most_events=SMALLER,
            modes=True,
        ),
    ),
    comparisons=(
        Comparison(
            "Is it the reshape?",
            "Training and validation use the same scrambled images, but only the validation fails.",
            ("scrambled", "read_rightly"),
            ("last accuracy", "last val_accuracy", "test_accuracy", "test_auc"),
        ),
        Comparison(
            "Is it the momentum of the moving averages?",
            "The document leaves it at Keras' 0.99; an epoch has 1,110 steps.",
            ("scrambled", "momentum"),
            ("last accuracy", "last val_accuracy", "test_accuracy", "test_auc"),
        ),
        Comparison(
            "Is it dropout before normalisation?",
            "The moving averages are of activations after dropout, which is off at inference.",
            ("scrambled", "no_dropout"),
            ("last accuracy", "last val_accuracy", "test_accuracy", "test_auc"),
        ),
    ),
    remarks=(
        "The listing flattens each image as (3, 125, 125) and reshapes the row to (125, 125, 3): pixels of all "
        "channels are moved, by the same permutation in every jet.",
        "The labels, pt and m0 are read from the same 25 files in the same order as the images: they match.",
        "The test split is shuffled, so that Keras' validation_split, which takes the last fifth, does not select "
        "different jets.",
        "From epoch 5 on the validation accuracy is 0.4894 to 0.4926: that of a network that puts nearly all jets into "
        "one class. It is no statistical fluctuation: 8,879 jets have a standard deviation of 0.005.",
    ),
)  # fmt: skip
