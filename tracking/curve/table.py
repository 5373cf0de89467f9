"""The tables of learning curves, what they say in words, and both as Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hepbench.tracking.curve.crossover import Crossover, crossover
from hepbench.tracking.curve.power_law import LEAST_POINTS, PowerLaw, fit_line
from hepbench.tracking.curve.record import Curves, Gap, Line, Point, gaps
from hepbench.tracking.printable import markdown_table

Cells = list[str]

LEGEND = (
    "±: half of the 68 % interval of the mean over the seeds, from the finite test sample and run-to-run variance. A "
    "seed also selects the training events; all models use the same ones with the same seed.",
    "Differences are paired, seed by seed and test event by test event; =: not significantly different at 5 %, with "
    "Holm's correction for all differences of the table.",
    "Crossover: from that number of training events on, the mean of one stays above the other's; its 95 % interval "
    "is from curves drawn within the errors.",
    "1 − AUC = a + b·N^−c; errors of c and a: where χ² rises by 1. The test events are common to all points and in the "
    "covariance of the fit. p: p-value of the fit.",
)

EARLY = (
    "↑: the validation loss was lowest at the end of the budget in one or more training runs: longer ones may improve."
)

UNBOUNDED = "no end"


@dataclass(frozen=True)
class Findings:
    """What follows from curves: the differences of every two models, who overtakes whom, and the power laws: of all
    points, and where that does not fit of the larger ones that one fits."""

    curves: Curves
    gaps: Mapping[tuple[str, str], Sequence[Gap]]
    overtakings: Sequence[Crossover]
    laws: Mapping[str, tuple[PowerLaw | None, PowerLaw | None]]


def findings(curves: Curves) -> Findings:
    """All of them."""
    crossed = [crossover(one, other) for one, other in curves.pairs]
    return Findings(
        curves,
        gaps(curves),
        [one for one in crossed if one is not None],
        {line.model: fit_line(line) for line in curves.measured},
    )


def score_headings(found: Findings) -> Cells:
    """Of `score_rows`."""
    return ["training events", "seeds", *(f"{line.model} AUC" for line in found.curves.measured)]


def score_rows(found: Findings) -> list[Cells]:
    """A row a number of training events; what failed or was left out says so."""
    rows = []
    for events in found.curves.events:
        points = [_point(line, events) for line in found.curves.measured]
        numbers = sorted({len(point.trainings) for point in points if point and point.trainings})
        seeds = " to ".join(str(number) for number in dict.fromkeys((numbers[0], numbers[-1])))
        rows.append([f"{events:,}", seeds, *map(_score, points)])
    return rows


def _point(line: Line, events: int) -> Point | None:
    return next((point for point in line.points if point.events == events), None)


def _score(point: Point | None) -> str:
    if point is None:
        return "–"
    if not point.trainings:
        return "failed"
    score = point.score
    failed = f", {len(point.failures)} failed" if point.failures else ""
    return f"{score.mean:.4f} ± {score.error:.4f}{' ↑' * bool(point.ended_early)}{failed}"


def gap_headings(found: Findings) -> Cells:
    """Of `gap_rows`."""
    return ["training events", *(f"{one} − {other}" for one, other in found.gaps)]


def gap_rows(found: Findings) -> list[Cells]:
    """The differences of every two models; none where there is one model."""
    if not found.gaps:
        return []
    by_events = [{gap.events: gap for gap in some} for some in found.gaps.values()]
    return [
        [f"{events:,}", *(_gap(some[events]) if events in some else "–" for some in by_events)]
        for events in found.curves.events
    ]


def _gap(gap: Gap) -> str:
    return f"{gap.value:+.4f} ± {gap.error:.4f}{'' if gap.significant else ' ='}"


OVERTAKING_HEADINGS = ("ahead at the most events", "of", "from training events", "95 % interval")


def overtaking_rows(found: Findings) -> list[Cells]:
    """A row every two models."""
    return [
        [
            one.ahead if one.certain else f"{one.ahead}, not significantly",
            one.behind,
            "at each" if math.isnan(one.at) else _round(one.at),
            _interval(one),
        ]
        for one in found.overtakings
    ]


def _interval(one: Crossover) -> str:
    low = f"below {one.fewest:,}" if one.low == 0 else "none" if math.isinf(one.low) else _round(one.low)
    high = f"below {one.fewest:,}" if one.high == 0 else f"not within {one.most:,}"
    if 0 < one.high < math.inf:
        high = _round(one.high)
    return low if low == high else f"{low} to {high}"


def _round(events: float) -> str:
    """Two digits, which is more than its interval allows."""
    digits = max(0, math.floor(math.log10(events)) - 1)
    return f"{round(events, -digits):,.0f}"


LAW_HEADINGS = ("model", "from events", "exponent c", "a (infinite events)", "χ² / dof", "p", "")


def law_rows(found: Findings) -> list[Cells]:
    """A row a fit."""
    rows = []
    for model, (whole, part) in found.laws.items():
        if whole is None:
            rows.append([model, "–", "–", "–", "–", "–", _not_fitted(found, model)])
            continue
        for law in (whole, part) if part else (whole,):
            numbers = [
                f"{law.start:,}",
                _asymmetric(law.exponent, law.interval, 2),
                _asymmetric(law.floor, law.floor_interval, 4),
                f"{law.chi2:.1f} / {law.degrees}",
                f"{law.p:.2g}",
            ]
            rows.append([model, *(numbers if law.gain > 0 else [numbers[0], "–", "–", *numbers[3:]]), _verdict(law)])
    return rows


def _not_fitted(found: Findings, model: str) -> str:
    points = len(next(line for line in found.curves.measured if line.model == model).measured)
    if points < LEAST_POINTS:
        return f"not fitted: {points} point{'s' * (points != 1)}, at least {LEAST_POINTS} are needed"
    return "not fitted: its scores have no error"


def _verdict(law: PowerLaw) -> str:
    if not law.fits:
        return "does not fit"
    return "fits" if law.determined else "fits; exponent not determined"


def _asymmetric(value: float, interval: tuple[float, float], decimals: int) -> str:
    low, high = interval
    down, up = (f"{abs(end - value):.{decimals}f}" for end in interval)
    if math.isinf(high):
        return f"above {low:.{decimals}f}"
    return f"{value:.{decimals}f} ± {up}" if up == down else f"{value:.{decimals}f} +{up} −{down}"


def verdicts(found: Findings) -> list[str]:
    """Sentences: who is ahead from where on, and how fast each improves."""
    return [*(_of_overtaking(found, one) for one in found.overtakings), *_of_laws(found)]


def _of_overtaking(found: Findings, one: Crossover) -> str:
    some = found.gaps.get((one.ahead, one.behind)) or found.gaps[one.behind, one.ahead]
    last, same = some[-1], [gap for gap in some if not gap.significant]
    at_all = f"{abs(last.value):.4f} ± {last.error:.4f} at {last.events:,}"
    if math.isnan(one.at):
        sentence = f"{one.ahead} is ahead of {one.behind} at each number of training events, by {at_all}"
        sentence += f"; {one.behind} does not overtake it within these events."
    else:
        sentence = f"{one.ahead} overtakes {one.behind} at {_round(one.at)} training events (95 %: {_interval(one)})"
        sentence += f" and is ahead by {at_all}."
    if not one.certain:
        sentence += f" At {one.most:,} events the lead of {one.ahead} is not significant."
    if same:
        sentence += f" Not significantly different at {_listed([gap.events for gap in same])}."
    if one.before:
        sentence += f" Their means also cross at {' and '.join(map(_round, one.before))}."
    return sentence


def _of_laws(found: Findings) -> Iterator[str]:
    for model, (whole, part) in found.laws.items():
        if whole is None:
            yield f"{model}: no power law, {_not_fitted(found, model)}."
            continue
        law = part or whole
        start = f" from {law.start:,} events on" if part else ""
        failed = f"χ² = {whole.chi2:.1f} for {whole.degrees} degrees of freedom, p = {whole.p:.2g}"
        if not law.fits:
            yield f"{model}: a power law of 1 − AUC does not fit ({failed})."
            continue
        over = f"{model}: over all points a power law does not fit ({failed});" if part else f"{model}:"
        if not law.determined:
            yield f"{over} the points{start} do not determine an exponent{_range_95(law)}."
            continue
        yield (
            f"{over} 1 − AUC falls{start} as a + b·N^−c with c = {_asymmetric(law.exponent, law.interval, 2)} and "
            f"a = {_asymmetric(law.floor, law.floor_interval, 4)}."
        )


def _range_95(law: PowerLaw) -> str:
    low, high = law.interval_95
    if not low and math.isinf(high):
        return ""
    return f" (95 %: {f'above {low:.2f}' if math.isinf(high) else f'below {high:.2f}'})"


def _listed(numbers: Sequence[int]) -> str:
    texts = [f"{number:,}" for number in numbers]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def notes(found: Findings) -> list[str]:
    """What was skipped, left out or failed, and what a reader should know of the rest."""
    curves = found.curves
    lines = [f"Skipped {model}: {reason}." for model, reason in curves.skipped.items()]
    lines += [f"Left out {events:,} events: {reason}." for events, reason in curves.left_out.items()]
    lines += [
        f"Failed: {line.model} on {point.events:,} events: {'; '.join(point.failures)}"
        for line in curves.lines
        for point in line.points
        if point.failures
    ]
    if all(len(point.trainings) == 1 for line in curves.measured for point in line.measured):
        lines.append("One seed each: the run-to-run variance is not measured and not in any error or interval.")
    early = [
        f"{line.model} at {_listed(events)}"
        for line in curves.measured
        if (events := [point.events for point in line.measured if point.ended_early])
    ]
    return [*lines, f"{EARLY} {'; '.join(early)}."] if early else lines


def tables(found: Findings) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
    """(heading, headings of columns, cells) of what there is."""
    every: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
        ("AUC on the test set", score_headings(found), score_rows(found)),
        ("Differences", gap_headings(found), gap_rows(found)),
        ("Crossovers", OVERTAKING_HEADINGS, overtaking_rows(found)),
        ("Power laws", LAW_HEADINGS, law_rows(found)),
    ]
    return [one for one in every if one[2]]


def markdown(found: Findings, *, title: str, about: Sequence[str], command: str) -> str:
    """The page without its figures."""
    lines = [f"# {title}", "", *(f"{line}  " for line in about), "", *(f"- {one}" for one in verdicts(found)), ""]
    for heading, headings, rows in tables(found):
        rule = ["---:" if place else ":---" for place in range(len(headings))]
        lines += [f"**{heading}**", "", *markdown_table([headings, rule, *rows]), ""]
    lines += [*(f"{line}  " for line in (*notes(found), *LEGEND)), "", "```sh", command, "```"]
    return "\n".join(lines) + "\n"


def to_csv(found: Findings) -> str:
    """A row a model and number of events, the scores of each seed in one cell; differences stand in a file of their
    own."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ["auc", "error", "low", "high", "spread"]
    writer.writerow(["model", "train_events", "seeds", *names, "auc_by_seed", "train_seconds", "ended_early", "failed"])
    for line in found.curves.lines:
        for point in line.points:
            values = [math.nan] * len(names)
            if point.trainings:
                score = point.score
                values = [score.mean, score.error, *score.interval("logit"), score.spread]
            by_seed = " ".join(f"{seed}:{one.auc:.6f}" for seed, one in sorted(point.trainings.items()))
            seconds = [one.seconds for one in point.trainings.values()]
            mean = _plain(math.fsum(seconds) / len(seconds)) if seconds else ""
            start = [line.model, point.events, len(point.trainings)]
            writer.writerow([*start, *map(_plain, values), by_seed, mean, point.ended_early, "; ".join(point.failures)])
    return out.getvalue()


def gaps_to_csv(found: Findings) -> str:
    """A row every two models and number of events."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ("value", "error", "low", "high", "p", "adjusted")
    writer.writerow(["one", "other", "train_events", "seeds", "difference", *names[1:]])
    for pair, some in found.gaps.items():
        for gap in some:
            writer.writerow([*pair, gap.events, gap.seeds, *(_plain(getattr(gap, name)) for name in names)])
    return out.getvalue()


def _plain(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
