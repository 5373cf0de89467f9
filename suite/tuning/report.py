"""The page of a study: its results, and Optuna's interactive plots, in one file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepbench.suite.atomic import write_atomically
from hepbench.suite.paths import file_name
from hepbench.suite.tuning import storage
from hepbench.tracking import pages

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


OUTCOME = {
    "tuned": "test set, tuned",
    "default": "test set, defaults",
    "gain": "gain",
    "gain_error": "error of the gain",
    "gain_p": "p-value of no gain, paired on the same test events",
    "tuned_spread": "spread over seeds, tuned",
    "default_spread": "spread over seeds, defaults",
    "validation_best": "validation, best trial",
    "validation_refitted": "validation, its hyper-parameters on fresh seeds",
    "optimism": "optimism of the search",
}
"""Result of a comparison stored by `tuning.retest` -> its name on the page."""

SIGNED = ("gain", "optimism")
"""Those whose sign is meaningful."""

LOW = "PedAnovaImportanceEvaluator computes the importances of params to achieve low"
"""Warning of Optuna whenever a target is given, as by `_to_be_low`."""

IMPORTANT = 8
"""Maximum number of hyper-parameters in the parallel-coordinate plot, the most important ones."""


def path_of(study: Study, folder: Path) -> Path:
    return folder / f"study-{file_name(study.study_name)}.html"


def write(study: Study, described: Mapping[str, Any], path: Path) -> None:
    """Write the page of a study, and store the importance of its hyper-parameters as the study's attribute
    "importance"."""
    trials = study.get_trials(deepcopy=False)
    counts = storage.counted(trials)
    about = [
        f"{described['model']} on {described['task']}, budget {described['budget']}: "
        f"{' and '.join(described['objectives'])} on the validation set",
        ", ".join(f"{count} {state}" for state, count in counts.items() if count) + " trials",
    ]
    importance = _importance(study)
    study.set_user_attr("importance", importance)
    drawings = _drawings(study, described["objectives"], list(importance)[:IMPORTANT])
    page = pages.render(
        "study.html",
        title=study.study_name,
        about=about,
        outcome=_outcome(study),
        drawings=[
            (title, pages.inline_plotly(figure, library=number == 0)) for number, (title, figure) in enumerate(drawings)
        ],
    )
    write_atomically(path, page)


def _outcome(study: Study) -> dict[str, Any] | None:
    """The comparison on fresh seeds as text, with the hyper-parameters tested in it; None before it."""
    outcome = study.user_attrs.get("outcome")
    if not outcome:
        return None
    best = study.trials[outcome["trial"]]
    return {
        "trial": best.number,
        "objective": outcome["objective"],
        "measured": [
            (text, f"{outcome[name]:+.4f}" if name in SIGNED else f"{outcome[name]:.4f}")
            for name, text in OUTCOME.items()
            if name in outcome
        ],
        "chosen": [
            (name, f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in best.params.items()
        ],
    }


def _importance(study: Study) -> dict[str, float]:
    """Fraction of the first objective's variance by hyper-parameter; empty with too few trials or without variance."""
    import optuna

    complete = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    if len({tuple(one.values) for one in complete}) < 3:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=LOW)
            return optuna.importance.get_param_importances(study, target=_to_be_low(study))
    except (ValueError, RuntimeError):  # no hyper-parameter that all the trials have
        return {}


def _to_be_low(study: Study) -> Callable[[FrozenTrial], float] | None:
    """For a study with two objectives, the first as Optuna needs it for importances: lower is better."""
    if len(study.directions) == 1:
        return None
    sign = -1 if study.directions[0].name == "MAXIMIZE" else 1
    return lambda trial: sign * trial.values[0]


def _drawings(study: Study, objectives: list[str], important: list[str]) -> list[tuple[str, Any]]:
    """(title, plotly figure) of each plot for which the study has enough trials."""
    import optuna.visualization as draw

    first = objectives[0]
    target = (lambda one: float(one.values[0])) if len(objectives) > 1 else None
    drawings = []
    if len(objectives) > 1:
        drawings.append(("Pareto front", draw.plot_pareto_front(study, target_names=objectives)))
    drawings.append(("History", draw.plot_optimization_history(study, target=target, target_name=first)))
    if important:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=LOW)
            importance = draw.plot_param_importances(study, target=_to_be_low(study), target_name=first)
        drawings.append(("Importance of the hyper-parameters", importance))
        parallel = draw.plot_parallel_coordinate(study, important, target=target, target_name=first)
        drawings.append(("Parallel coordinates", parallel))
    if len(objectives) == 1:
        epochs = draw.plot_intermediate_values(study)
        epochs.update_layout(title="", xaxis_title="epoch", yaxis_title=f"{first}, validation")
        drawings.append(("After each epoch", epochs))
    return drawings
