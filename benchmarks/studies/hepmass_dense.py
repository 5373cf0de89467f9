"""A new particle in HEPMASS: a dense network with batch normalisation, trained on events streamed from a file.

The document asks how to scale data that do not fit into memory, and uses batch normalisation instead. Here every
scaling is measured on the same events.

    make reproduce STUDY=hepmass_dense
"""

from __future__ import annotations

from dataclasses import replace

from hepbench.benchmarks.study import Comparison, Experiment, Reported, Study

TABLE = "table of results"
TRAINED = 800_000  # 800 steps of 1,000 rows
EVENTS = 1_142_858  # 70 % of these are TRAINED
DIFFERS = (
    "It trains on 800 batches of 1,000 streamed rows per epoch, from the beginning of the file and shuffled within a "
    "buffer of 10,000 rows, and validates on all rows after these, 6,200,000.",
    "Here the number of events is chosen to give the same number of training events; an epoch is all of them.",
)
RESULTS = (
    Reported("accuracy", "test_accuracy", 0.8775, TABLE),
    Reported("precision", "test_precision", 0.8613, TABLE),
    Reported("recall", "test_recall", 0.8999, TABLE),
)
NOT_OF_THE_TEST = (
    "The table's three numbers, said to be for the testing data, are to 0.001 the training numbers of epoch 3 in the "
    "log, 0.8777, 0.8620 and 0.8998; no epoch of its validation has all three."
)

LISTING = Experiment(
    name="batches_of_1000",
    title="as the listing trains it: batches of 1,000, inputs unscaled",
    task="hepmass",
    model="mlp_hepmass_study",
    events=EVENTS,
    trained=TRAINED,
    reported=(
        *RESULTS,
        Reported("best validation AUC", "val_auc", 0.9545, "log, epoch 8", epoch=8),
        Reported("lowest validation loss", "val_loss", 0.2690, "log, epoch 8", epoch=8),
        Reported("epochs until early stopping", "epochs", 10, "log, which is cut off there", sign="at least"),
        Reported("seconds per epoch", "seconds_per_epoch", 360, "log: 343 to 391", sign="about"),
        Reported("seconds per step", "seconds_per_step", 0.45, "log: 0.428 to 0.485, batches of 1,000", sign="about"),
    ),
    by_epoch={
        "loss": (0.2929, 0.2742, 0.2692, None, 0.2636, 0.2610, 0.2590, 0.2568, None),  # cut off in epochs 4 and 9
        "accuracy": (0.8639, 0.8749, 0.8777, 0.8797, 0.8807, 0.8822, 0.8833, 0.8841, 0.8855),
        "auc": (0.9455, 0.9525, 0.9542, 0.9554, 0.9561, 0.9570, 0.9577, 0.9584, 0.9592),
        "precision": (0.8468, 0.8585, 0.8620, 0.8641, 0.8651, 0.8666, 0.8679, 0.8691, 0.8703),
        "recall": (0.8890, 0.8981, 0.8998, 0.9015, 0.9024, 0.9038, 0.9045, 0.9050, 0.9063),
        "false_positives": (64429, 59267, 57715, 56812, 56345, 55740, 55110, 54622, 54096),
        "false_negatives": (44448, 40809, 40114, 39460, 39074, 38509, 38264, 38062, 37541),
        "val_loss": (0.2805, 0.2729, 0.2757, 0.2698, 0.2697, 0.2700, 0.2693, 0.2690, 0.2709),
        "val_accuracy": (0.8727, 0.8761, 0.8735, 0.8777, 0.8782, 0.8781, 0.8786, 0.8788, 0.8783),
        "val_auc": (0.9514, 0.9532, 0.9530, 0.9543, 0.9541, 0.9543, 0.9543, 0.9545, 0.9542),
        "val_precision": (0.8721, 0.8663, 0.8804, 0.8704, 0.8628, 0.8693, 0.8614, 0.8615, 0.8671),
        "val_recall": (0.8735, 0.8895, 0.8645, 0.8875, 0.8995, 0.8899, 0.9024, 0.9028, 0.8935),
        "val_false_positives": (397087, 425461, 364231, 409650, 443379, 414672, 450105, 450029, 424657),
        "val_false_negatives": (392335, 342526, 420111, 348840, 311550, 341224, 302573, 301344, 330114),
    },
    differs=DIFFERS,
)

STUDY = Study(
    title="A new particle: a dense network on HEPMASS",
    source="Kebur Fantahun, Eli Kravez, Halle Purdom, Case Study 6: Detecting the Existence of a New Particle, 2022",
    experiments=(
        LISTING,
        replace(
            LISTING,
            name="batches_of_32",
            title="as the text trains it: batches of 32, inputs unscaled",
            settings={"batch_size": 32},
            reported=RESULTS,
            by_epoch={},
        ),
        *(
            replace(
                LISTING,
                name=f"scaling_{scaling}",
                title=f"as the listing, inputs scaled before: {words}",
                settings={"scaling": scaling},
                reported=(),
                by_epoch={},
                differs=(),
            )
            for scaling, words in (
                ("standard", "mean 0, standard deviation 1"),
                ("minmax", "smallest 0, largest 1"),
                ("max", "divided by the largest magnitude"),
                ("robust", "median 0, interquartile range 1"),
            )
        ),
    ),
    comparisons=(
        Comparison(
            "Does it matter how the inputs are scaled?",
            "Batch normalisation is meant to replace a scaling of the whole file, which does not fit into memory; "
            "whether it does is asked but not measured.",
            ("batches_of_1000", "scaling_standard", "scaling_minmax", "scaling_max", "scaling_robust"),
            ("test_auc", "test_accuracy", "test_log_loss"),
        ),
        Comparison(
            "Batches of 32 or of 1,000?",
            "The text uses batches of 32, the listing reads and trains with 1,000.",
            ("batches_of_1000", "batches_of_32"),
            ("test_auc", "test_accuracy", "test_precision", "test_recall"),
        ),
    ),
    remarks=(
        "The table's three numbers are in the paragraph of the text with batches of 32, the log is that of the listing "
        "with 1,000: they are compared with both.",
        NOT_OF_THE_TEST,
        "The text counts six dense layers, and lists five and the output.",
    ),
)
