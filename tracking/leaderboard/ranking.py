"""From finished runs to ranked rows, one a configuration.

Results are ranked together only where they were measured on the same thing: the same task, data (official or
simulated), data digest, split and budget.
"""

from __future__ import annotations

import math
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hepbench.tracking import statistics
from hepbench.tracking.leaderboard import shifts
from hepbench.tracking.metric import Metric

Row = dict[str, Any]

GROUP = ("task", "data", "data_digest", "split_hash", "budget")
"""Tags that must be equal for results to be ranked together."""

IDENTITY = {"model", "seed", "configuration", "identity"}
"""Tags without which a run is not one of a benchmark."""

SUBMITTED = "submitted"
"""The tag `origin` of a run of external scores."""

THROUGHPUTS = tuple(f"throughput_{events}" for events in (1, 10, 100, 1_000, 10_000))
"""Events per second, by the number predicted at once."""

COSTS = (
    "open_seconds",
    "fit_seconds",
    "compile_seconds",
    "train_seconds",
    "validate_seconds",
    "predict_seconds",
    "log_seconds",
    "predict_us_per_event",
    "latency_ms",
    "latency_p99_ms",
    "train_events_per_second",
    *THROUGHPUTS,
)
"""Times of a run: seconds of its parts, one event's prediction, events per second."""

HARDWARE = (
    "hardware_cpu_mean_percent",
    "hardware_cpu_peak_percent",
    "hardware_memory_peak_mib",
    "hardware_gpu_mean_percent",
    "hardware_gpu_memory_peak_mib",
    "hardware_gpu_power_mean_watt",
    "hardware_gpu_energy_joule",
)
"""Use of the machine by a run, as `Sampler.summary` names it."""

BUSY_PERCENT = 10
"""Per cent of the machine's CPU time used by others, above which times count as measured on a busy machine."""

ENERGY = ("train_cpu_joule", "train_gpu_joule", "million_cpu_joule", "million_gpu_joule")
"""Of a training run, and of a million predictions as on the test set, by the counters of the machine's CPUs and of the
GPU in use."""

TIED_WITHIN = 2
"""Combined errors from the best within which a row counts as tied."""


def rows(
    runs: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Metric],
    ranked_by: str,
    titles: Mapping[str, str] | None = None,
) -> list[Row]:
    """One row a configuration, ranked within what is comparable; group by group, from rank 1.

    runs: as `Store.runs` gives them; those that did not finish or are not final are left out. A trial that was
    repeated counts once a machine, by its latest run, and a configuration once a machine, by its latest version:
    that of the same model, hyper-parameters, start, device, backend and machine that it was imported from. Submitted
    scores and ensembles count once, wherever they or their members were trained. metrics:
    records by name; every row has all of them, None where they were not measured. ranked_by: the name of one.
    titles: model name -> what it is.

    Each row holds rank, tied, tied_by ("errors", taken as independent, or "paired test"), model, title, the group's
    tags, requested_events (of the dataset, where another number than the budget's was asked for), events (of the test
    set), seeds, every metric with `_error`, `_spread` (see `statistics.combine`) and `_low` and `_high`, its 95 %
    interval or, without a value, a bound; parameters (the number of trainable ones), COSTS and the use of the
    hardware as means over the seeds, busy (whether others had more than BUSY_PERCENT of the machine's CPU time, or
    the same GPU, during training and prediction of a seed, which its times then hold), set (hyper-parameters that
    differ from the defaults), start (id of the run whose weights it began with), tuned (the study that chose them),
    submitted (whether its scores were made by other means), imported_from (the machine whose results were imported,
    or ""), training_code ("known", an address, or "not known"), test_labels_seen ("no", "not known" or "may have
    been"), url, train_events, device, hardware, backend, configuration, hyperparameters, shifts (as of
    `shifts.of_runs`), run_ids, command and commit (which repeat it with all of its seeds; "" where the commit is not
    known), ended (seconds since 1970).
    What was not measured is None.
    """
    latest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for run in sorted(runs, key=lambda run: run["start"]):
        tags = run["tags"]
        if run["status"] == "FINISHED" and tags.get("stage") == "final" and tags.keys() >= IDENTITY:
            latest[tags["identity"], _machine(run)] = run

    versions: dict[tuple[Any, ...], dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for run in latest.values():
        tags = run["tags"]
        group = tuple(tags.get(name, "") for name in GROUP)
        hyperparameters = tuple(sorted(run["parameters"].items()))
        chosen = "weights" in tags and not tags.get("set")  # an ensemble: each seed may have members on other devices
        where = ("", "") if chosen else (tags.get("device"), tags.get("backend"))
        same = (group, tags["model"], hyperparameters, tags.get("start", ""), *where, tags.get("imported_from", ""))
        versions[same][tags["configuration"]].append(run)

    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for (group, *_), configurations in versions.items():
        groups[group] += [_row(some, metrics, titles or {}) for some in _newest(list(configurations.values()))]

    found = []
    # Of a task the official data first, and of these what was tested on the most events
    most = {group: max(row["events"] or 0 for row in of_group) for group, of_group in groups.items()}
    for group in sorted(groups, key=lambda group: (group[0], group[1] != "official", -most[group], group[1:])):
        found += ranked(groups[group], metrics[ranked_by])
    return found


def _newest(versions: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[list[Mapping[str, Any]]]:
    """The runs of each row: of each machine the latest version that it has run. Seeds that were shared out among
    machines are one row; where a seed was run on two, each machine has its own, so that no times are replaced by those
    of another."""
    seen: set[str] = set()
    for version in sorted(versions, key=lambda some: max(run["start"] for run in some), reverse=True):
        own = [run for run in version if _machine(run) not in seen]
        machines = list(dict.fromkeys(map(_machine, own)))
        seeds = [run["tags"]["seed"] for run in own]
        if len(set(seeds)) == len(seeds):
            yield from [own] if own else []
        else:
            yield from ([run for run in own if _machine(run) == machine] for machine in machines)
        seen.update(machines)


def _machine(run: Mapping[str, Any]) -> str:
    """That computed a run; "" for submitted scores and an ensemble, of which the latest replaces any earlier one."""
    tags = run["tags"]
    return "" if tags.get("origin") == SUBMITTED or "weights" in tags else str(tags.get("hardware", ""))


def id_of(row: Mapping[str, Any]) -> str:
    """What no other row has: two of one configuration were run on different machines."""
    return str(row["run_ids"][0])


def _row(runs: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric], titles: Mapping[str, str]) -> Row:
    """The seeds of one configuration together."""
    runs = sorted(runs, key=lambda run: int(run["tags"]["seed"]))
    first = runs[0]["tags"]
    row: Row = {
        "rank": None,
        "tied": False,
        "tied_by": "",
        "model": first["model"],
        "title": titles.get(first["model"], ""),
    }
    row |= {name: first.get(name) for name in GROUP}
    row["weighted"] = first.get("weighted", "")
    row["missing"] = first.get("missing", "")
    row["requested_events"] = int(first["events"]) if first.get("events") else None
    row["set"] = first.get("set", "")
    row["start"] = first.get("start", "")
    row["tuned"] = next((run["tags"]["tuned"] for run in runs if run["tags"].get("tuned")), "")
    row["submitted"] = first.get("origin") == SUBMITTED
    row["imported_from"] = first.get("imported_from", "")
    row["training_code"] = (first.get("training_code") or "not known") if row["submitted"] else "known"
    row["test_labels_seen"] = _seen(runs) if row["submitted"] else "no"
    row["url"] = first.get("url", "")
    if row["submitted"]:
        row["title"] = f"training code: {row['training_code']}, test labels seen: {row['test_labels_seen']}"
    row["seeds"] = len(runs)
    for name in dict.fromkeys([*metrics, *_tested(runs)]):
        scale = metrics[name].scale if name in metrics else _scale_of_slice(name, metrics)
        row |= _combined(name, runs, scale, metrics[name].lowest if name in metrics else -math.inf)

    row |= _load(runs)
    hardware = sorted({run["tags"].get("hardware", "") for run in runs})
    for name in (*COSTS, *HARDWARE, *ENERGY):  # a mean over different machines says nothing
        row[name] = _mean(runs, name) if len(hardware) == 1 else None
    trainable = _mean(runs, "parameters")
    row["parameters"] = None if trainable is None else round(trainable)
    for name, metric in (("events", "test_events"), ("train_events", "train_events")):
        events = runs[0]["metrics"].get(metric)
        row[name] = None if events is None else round(events)
    row |= {name: first.get(name) for name in ("device", "backend", "configuration")}
    row["hardware"] = "; ".join(hardware)
    row["hyperparameters"] = dict(runs[0]["parameters"])
    row["shifts"] = shifts.of_runs(runs)
    row["seed_list"] = [int(run["tags"]["seed"]) for run in runs]
    row["run_ids"] = [run["id"] for run in runs]
    row["command"] = _command(first.get("command", ""), row["seed_list"])
    row["commit"] = _commit(first)
    row["ended"] = max(run["end"] or run["start"] for run in runs)
    return row


def _command(of_first: str, seeds: Sequence[int]) -> str:
    """The command that reproduces all of these seeds, from that of the first. What is no command of a trial stays."""
    try:
        words = shlex.split(of_first)
    except ValueError:
        return of_first
    if words[:2] != ["hepbench", "bench"] or "--seed" not in words:
        return of_first
    place = words.index("--seed")
    return shlex.join(
        [*words[:place], *(word for seed in seeds for word in ("--seed", str(seed))), *words[place + 2 :]]
    )


def _commit(tags: Mapping[str, str]) -> str:
    commit = tags.get("git_commit", "not available")
    if commit == "not available":
        return ""
    return f"{commit} with uncommitted changes" if tags.get("git_dirty") == "True" else commit


def _load(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What others did on the machine meanwhile, of the run where it was most; None where a run does not tell."""
    loads: dict[str, float | None] = {}
    for name in ("other_cpu_mean_percent", "other_gpu_processes"):
        values = [run["metrics"].get(f"hardware_{name}") for run in runs]
        loads[f"hardware_{name}"] = None if None in values else _number(max(values))
    cpu, gpu = loads.values()
    busy = None if cpu is None and gpu is None else (cpu or 0) > BUSY_PERCENT or (gpu or 0) > 0
    return {**loads, "busy": busy}


def _seen(runs: Sequence[Mapping[str, Any]]) -> str:
    """Whether a submitted model has seen the labels of the test events, as far as that is known."""
    given = any(run["tags"].get("test_labels") == "given out" for run in runs)
    return "may have been" if given else "not known"


def _tested(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the test set's metrics that have an error."""
    names = {name for run in runs for name in run["metrics"]}
    return sorted(n.removeprefix("test_") for n in names if n.startswith("test_") and f"{n}_error" in names)


def _scale_of_slice(name: str, metrics: Mapping[str, Metric]) -> str:
    """Of the metric that a slice's name begins with; other shares are efficiencies."""
    known = [metric.scale for metric in metrics.values() if name.startswith(f"{metric.name}_")]
    return known[0] if known else "logit" if "efficiency" in name else "linear"


def _combined(name: str, runs: Sequence[Mapping[str, Any]], scale: str, lowest: float) -> dict[str, float | None]:
    """The metric over the seeds, with its 95 % interval, cut at its lowest value; None where a seed did not measure it,
    which a mean over the others would hide. Where each seed has a value or a limit, `_low` is the lowest of their
    bounds."""
    values, errors, limits = (
        [run["metrics"].get(f"test_{name}{part}", math.nan) for run in runs] for part in ("", "_error", "_limit")
    )
    if any(map(math.isnan, values)):
        bounds = [
            statistics.interval(value, error, scale)[0] if math.isnan(limit) else limit
            for value, error, limit in zip(values, errors, limits, strict=True)
        ]
        found = statistics.Combined(math.nan, math.nan, (), math.nan)
        low, high = math.nan if any(map(math.isnan, bounds)) else min(bounds), math.nan
    else:
        found = statistics.combine(values, errors)
        low, high = found.interval(scale)
    own = [[run["metrics"].get(f"test_{name}{part}", math.nan) for run in runs] for part in ("_low", "_high")]
    if not any(math.isnan(bound) for some in own for bound in some):  # the metric has an interval of its own
        of_training = 0.0
        if len(runs) > 1 and math.isfinite(found.spread):
            of_training = statistics.quantile(statistics.LEVEL, len(runs) - 1) * found.spread / math.sqrt(len(runs))
        lows, highs = (math.fsum(some) / len(runs) for some in own)
        middle = (lows + highs) / 2 if math.isnan(found.mean) else found.mean
        low = max(middle - math.hypot(middle - lows, of_training), 0)
        high = min(middle + math.hypot(highs - middle, of_training), 1)
    low = max(low, lowest)  # NaN stays
    parts = {"": found.mean, "_error": found.error, "_spread": found.spread, "_low": low, "_high": high}
    return {f"{name}{part}": _number(value) for part, value in parts.items()}


def _mean(runs: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [run["metrics"].get(name) for run in runs]
    return None if None in values else _number(math.fsum(values) / len(values))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def limit_of(row: Mapping[str, Any], name: str) -> float | None:
    """The lower limit at 95 % that a row has in place of a metric's value; None where it has a value, or neither."""
    return row.get(f"{name}_low") if row.get(name) is None and row.get(f"{name}_high") is None else None


def value_or_limit(row: Mapping[str, Any], name: str) -> float | None:
    """By what a row is sorted; None where nothing is measured."""
    limit = limit_of(row, name)
    return row.get(name) if limit is None else limit


def ranked(group: Sequence[Row], metric: Metric) -> list[Row]:
    """The rows of one table by this metric, the best first, those of the same value or limit with the limit first;
    their rank and "tied", by the errors, are set."""
    name, error = metric.name, f"{metric.name}_error"
    sign = -1 if metric.higher_is_better else 1
    known = [(value, row) for row in group if (value := value_or_limit(row, name)) is not None]
    known.sort(key=lambda one: (sign * one[0], one[1][name] is not None, one[1]["model"], one[1]["configuration"]))
    rest = sorted((row for row in group if value_or_limit(row, name) is None), key=lambda row: row["model"])
    order = [*(row for _, row in known), *rest]
    for rank, row in enumerate(order, 1):
        row["rank"] = rank
    for value, row in known[1:]:
        best, first = known[0]
        errors = [one[error] for one in (row, first) if one[name] is not None]
        if None not in errors:  # a row with a limit may be as good as the first
            row["tied"] = row[name] is None or abs(value - best) <= TIED_WITHIN * math.hypot(*errors)
            row["tied_by"] = "errors"
    return order


def groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows in their tables: each list is ranked from 1."""
    table: list[Row] = []
    for row in rows:
        if table and any(row[name] != table[0][name] for name in GROUP):
            yield table
            table = []
        table.append(row)
    if table:
        yield table
