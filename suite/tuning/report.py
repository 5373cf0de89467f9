"""The page of a study: what it found, and Optuna's own plots of it, interactive and in one file."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepbench.suite.tuning import storage
from hepbench.tracking import pages

if TYPE_CHECKING:
    from optuna.study import Study


OUTCOME = {
    "tuned": "test set, tuned",
    "default": "test set, defaults",
    "gain": "gain",
    "gain_error": "error of the gain",
    "tuned_spread": "spread of the seeds, tuned",
    "default_spread": "spread of the seeds, defaults",
    "validation_best": "validation, the best trial",
    "validation_refitted": "validation, its parameters on fresh seeds",
    "optimism": "optimism of the search",
}
"""What `suite.winner` keeps of a comparison -> what the page calls it."""

SIGNED = ("gain", "optimism of the search")

IMPORTANT = 8
"""Parameters that the parallel-coordinate plot shows at most, the most important ones."""


def path_of(study: Study, folder: Path) -> Path:
    return folder / f"study-{re.sub('[^A-Za-z0-9_.-]', '_', study.study_name)}.html"


def write(study: Study, described: Mapping[str, Any], path: Path) -> None:
    """Write the page of a study, and keep the importance of its parameters in it as the attribute "importance"."""
    trials = study.get_trials(deepcopy=False)
    counts = storage.counted(trials)
    about = [
        f"{described['model']} on {described['task']}, budget {described['budget']}: "
        f"{' and '.join(described['objectives'])} of the validation part",
        ", ".join(f"{count} {state}" for state, count in counts.items() if count) + " trials",
    ]
    sections = []
    if outcome := study.user_attrs.get("outcome"):
        lines = [
            [html.escape(text), f"{outcome[name]:+.4f}" if text in SIGNED else f"{outcome[name]:.4f}"]
            for name, text in OUTCOME.items()
        ]
        best = study.trials[outcome["trial"]]
        chosen = [
            [html.escape(name), html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))]
            for name, value in best.params.items()
        ]
        sections.append(
            f"<section><h2>Trial {best.number}, the best, on fresh seeds: {html.escape(outcome['objective'])}</h2>"
            f"{pages.table(('', 'value'), lines, {1})}{pages.table(('parameter', 'best'), chosen, {1})}</section>"
        )
    importance = _importance(study)
    study.set_user_attr("importance", importance)
    drawings = _drawings(study, described["objectives"], list(importance)[:IMPORTANT])
    for number, (title, figure) in enumerate(drawings):
        figure.update_layout(title=None, margin={"t": 20})
        drawn = figure.to_html(full_html=False, include_plotlyjs=number == 0, config={"displaylogo": False})
        sections.append(f"<section><h2>{html.escape(title)}</h2>{drawn}</section>")
    pages.write(path, study.study_name, about, sections)


def _importance(study: Study) -> dict[str, float]:
    """Share of the first objective's variance by parameter; none where there are too few trials, or no variance."""
    import optuna

    target = (lambda one: one.values[0]) if len(study.directions) > 1 else None
    complete = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    if len({tuple(one.values) for one in complete}) < 3:
        return {}
    try:
        return optuna.importance.get_param_importances(study, target=target)
    except (ValueError, RuntimeError):  # no parameter that all the trials have
        return {}


def _drawings(study: Study, objectives: list[str], important: list[str]) -> list[tuple[str, Any]]:
    """(title, plotly figure) of each plot that the study has trials enough for."""
    import optuna.visualization as draw

    if len(objectives) > 1:
        drawings = [("Pareto front", draw.plot_pareto_front(study, target_names=objectives))]
        options = {"target": lambda one: one.values[0], "target_name": objectives[0]}
    else:
        drawings = []
        options = {"target_name": objectives[0]}
    drawings.append(("History", draw.plot_optimization_history(study, **options)))
    if important:
        drawings.append(("Importance of the parameters", draw.plot_param_importances(study, **options)))
        drawings.append(("Parallel coordinates", draw.plot_parallel_coordinate(study, important, **options)))
    if len(objectives) == 1:
        drawings.append(("After each epoch", draw.plot_intermediate_values(study)))
    return drawings
