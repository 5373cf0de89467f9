"""Electron or photon in the CMS electromagnetic calorimeter: a convolutional network on images of energy and time.

The document is a notebook, the sample solution of a challenge, with the output of a run of 3 April 2022.

    make reproduce STUDY=ecal_cnn
"""

from __future__ import annotations

from hepbench.benchmarks.study import Comparison, Experiment, Reported, Study

LOG = "output of the evaluation"
OF_THE_DATASET = 2 * (160_000 + 25_600 + 25_600)
UNSCALED = "It gives raw energies and times to the network."

STUDY = Study(
    title="Electron or photon: a convolutional network on calorimeter images",
    source="Electron-photon challenge, sample notebook with output of 3 April 2022; it names no author",
    experiments=(
        Experiment(
            name="energy_and_time",
            title="the network on both channels",
            task="ecal",
            model="cnn_ecal_study",
            events=OF_THE_DATASET,
            trained=320_000,
            tested=51_200,
            reported=(
                Reported("test AUC", "test_auc", 0.8104314, LOG),
                Reported("test accuracy", "test_accuracy", 0.7404, LOG),
                Reported("test loss", "test_log_loss", 0.5317, LOG),
                Reported("validation AUC", "final_val_auc", 0.8081199, LOG),
                Reported("validation accuracy", "final_val_accuracy", 0.7381, LOG),
                Reported("validation loss", "final_val_log_loss", 0.5342, LOG),
                Reported("trainable parameters", "parameters", 868_993, "model.summary()"),
                Reported(
                    "epochs until early stopping",
                    "epochs",
                    38,
                    "last line of the training output",
                    note="of at most 50; the lines before it, with loss and accuracy, are lost in the document",
                ),
            ),
            differs=(UNSCALED,),
        ),
        Experiment(
            name="energy",
            title="the same network without the time channel",
            task="ecal",
            model="cnn_ecal_study",
            settings={"features": "energy"},
            events=OF_THE_DATASET,
            trained=320_000,
            tested=51_200,
            differs=(UNSCALED,),
        ),
    ),
    comparisons=(
        Comparison(
            "What does the time channel add?",
            "The timing channel may not help the performance: stated twice, not measured in the document.",
            ("energy", "energy_and_time"),
            ("test_auc", "test_accuracy"),
        ),
    ),
    remarks=(
        "The document saves the weights with the lowest validation loss twice, by a checkpoint and by early stopping: "
        "both are from the same epoch.",
        "It mentions about four hundred thousand images and a hidden test set; its numbers are for the 51,200 images "
        "that it sets aside.",
    ),
)
