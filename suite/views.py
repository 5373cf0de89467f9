"""What MLflow's page shows of a task: the tested models, the means of their seeds, the trials of studies.

One set serves every task: the page leaves out columns and charts of what no run has.
"""

from __future__ import annotations

import time

from hepbench.benchmarks import registry
from hepbench.suite.trial.score_metrics import ROC
from hepbench.tracking import runs, views
from hepbench.tracking.views import Chart, View, attribute, metric, tag

SCORES = ("auc", "auc_error", "rejection_50", "accuracy")
"""Of the test part, in the order of the columns."""

COSTS = ("train_seconds", "latency_ms", "parameters")

USE = ("hardware_cpu_mean_percent", "hardware_gpu_mean_percent", "hardware_memory_peak_mib")

TRAINING = (
    Chart("validation AUC by epoch", "line", ("val_auc",)),
    Chart("loss by epoch, training and validation", "line", ("loss", "val_loss")),
)

HARDWARE = (
    Chart("use of the CPU, %", "time", ("system/cpu_utilization_percentage",)),
    Chart("memory of the process, MB", "time", ("system/process_memory_megabytes",)),
    Chart("use of the GPU, %", "time", ("system/gpu_0_utilization_percentage",)),
    Chart("memory of the GPU, MB", "time", ("system/gpu_0_memory_usage_megabytes",)),
)

COST = (
    Chart("AUC against seconds of training", "scatter", ("train_seconds", "test_auc")),
    Chart("AUC against trainable parameters", "scatter", ("parameters", "test_auc")),
    Chart("seconds of training", "bar", ("train_seconds",)),
    Chart("ms to score one event", "bar", ("latency_ms",)),
)

ROC_CURVES = (Chart("1/eps_B by signal efficiency in percent", "line", (ROC,), log=True),)

TESTED = (
    Chart("AUC", "bar", ("test_auc",)),
    Chart("1/eps_B at a signal efficiency of 50 %", "bar", ("test_rejection_50",)),
    Chart("accuracy", "bar", ("test_accuracy",)),
)

FINAL = "tags.stage = 'final' and attributes.status = 'FINISHED'"

MODELS = View(
    key="hepbench-models",
    title="Models: every tested run, best AUC first",
    query=FINAL,
    order=metric("test_auc"),
    columns=(
        tag("model"),
        *(metric(f"test_{name}") for name in SCORES),
        *map(metric, (*COSTS, *USE)),
        tag("seed"),
        tag("budget"),
        tag("set"),
        attribute("Description"),
    ),
    sections=(
        ("Test", TESTED),
        ("ROC: 1/eps_B by eps_S in %", ROC_CURVES),
        ("Training", TRAINING),
        ("Cost", COST),
        ("Hardware", HARDWARE),
        ("What differs", (Chart("what differs between these runs", "differences"),)),
    ),
)

MEANS = View(
    key="hepbench-means",
    title="Means: the seeds of a model together",
    query=FINAL,
    order=metric("test_auc"),
    columns=(*(metric(f"test_{name}") for name in SCORES), *map(metric, (*COSTS, *USE))),
    sections=(
        ("Test", TESTED),
        ("ROC: 1/eps_B by eps_S in %", ROC_CURVES),
        ("Training", TRAINING),
        ("Cost", COST),
    ),
    group=("model", "budget", "set"),
)

STUDIES = View(
    key="hepbench-studies",
    title="Studies: every trial of a search, best validation AUC first",
    query="tags.stage = 'tune' and tags.trial LIKE '%'",
    order=metric("final_val_auc"),
    columns=(
        *map(tag, ("study", "trial", "model", "state", "set")),
        *map(metric, ("final_val_auc", "final_val_auc_error", "final_val_log_loss", *COSTS)),
    ),
    sections=(
        (
            "Search",
            (
                Chart("validation AUC", "bar", ("final_val_auc",)),
                Chart("validation AUC against seconds of training", "scatter", ("train_seconds", "final_val_auc")),
            ),
        ),
        ("Training", TRAINING),
        ("What differs", (Chart("what differs between these trials", "differences"),)),
    ),
)

VIEWS = (MODELS, MEANS, STUDIES)


def prepare(store: runs.Store, only: str | None = None) -> dict[str, str]:
    """Let every experiment, or only the one of this name, have the views, a description, and be shown as one of
    trainings. Returns the id of each by its name."""
    found = {name: number for name, number in store.experiments().items() if only in (None, name)}
    for name, experiment_id in found.items():
        tags = views.tags_of(VIEWS, time.time())
        if name.partition(":")[0] in registry.names("task"):  # else it is a file of its user, which is not run here
            tags[runs.DESCRIPTION] = registry.find("task", name).record.title
        store.tag_experiment(experiment_id, tags, views.same)
    return found
