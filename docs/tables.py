"""The tables of these pages: results from `results/*.csv`, tasks and models from the registry.

python docs/tables.py            # write them
python docs/tables.py --check    # exit status 1 if one is stale
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from hepbench.benchmarks import budgets, registry, study
from hepbench.benchmarks.base import Model, Task
from hepbench.benchmarks.metrics import METRICS

HERE = Path(__file__).parent
MADE = "<!-- written by docs/tables.py -->\n\n"
COLUMNS = ("auc", "accuracy", "rejection_50")
PAIRED = "=: not significantly different from the first on the same test events, at 5 % after Holm's correction."
INDEPENDENT = (
    "=: within two combined errors of the first, taken as independent. The paired test on the same events, for which "
    "the file does not have the scores, distinguishes more rows."
)


def main() -> int:
    pages = {f"results/{path.stem}.md": results(path) for path in sorted(HERE.glob("results/*.csv"))}
    tasks = {name: registry.find("task", name).record for name in registry.names("task")}
    models = {name: registry.find("model", name).record for name in registry.names("model")}
    pages |= {f"tables/task_{name}.md": facts(name, task) for name, task in tasks.items()}
    pages |= {"tables/tasks.md": of_tasks(tasks), "tables/models.md": of_models(models)}
    pages["tables/trainable.md"] = trainable(models)
    pages |= {"tables/hyperparameters.md": hyperparameters(models), "tables/budgets.md": of_budgets()}
    pages["tables/metrics.md"] = of_metrics()
    pages["tables/faults.md"] = of_faults()
    pages["tables/onnx.md"], pages["tables/onnx_times.md"] = of_onnx()
    stale = [name for name, text in pages.items() if not _is(HERE / name, MADE + text)]
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"stale: {', '.join(stale)}; make tables writes them", file=sys.stderr)
        return int(bool(stale))
    for name in stale:
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_text(MADE + pages[name])
    return 0


def results(path: Path) -> str:
    """One table per dataset and feature set, sorted by AUC, with the command that made it."""
    rows = pd.read_csv(path, keep_default_na=False, na_values=[""])
    rows["set"] = rows["set"].fillna("")
    # A feature set changes the inputs of all models; any other setting is a model's own.
    rows["features"] = rows["set"].where(rows["set"].str.startswith("features="), "")
    rows["model"] = rows["model"].str.cat(rows["set"].where(rows["features"] == "", ""), sep=" ").str.strip()
    text = [
        f"# Budget `{path.stem}`\n\n[{path.name}]({path.name}) contains all numbers, the hyper-parameters and seeds.\n"
    ]
    text.append("\n## AUC of every model on every task\n\n" + _overview(rows))
    for (task, features), group in rows.groupby(["task", "features"]):
        group = group.sort_values(["auc", "model"], ascending=[False, True])
        title = f"\n## `{task}`" + (f", `{features}`" if features else "")
        one = group.iloc[0]
        digests = f"data `{one['data_digest'][:12]}`, split `{one['split_hash'][:12]}`"
        about = f"{one['data'].capitalize()} {digests}, {one['events']:,} test events; {_days(group)}."
        text.append(f"{title}\n\n{about}\n\n{_ranking(group)}")
        if by := _slices(group):
            text.append(f"\nAUC by {by[0]}:\n\n{by[1]}")
        text.append("\n```sh\n" + "\n".join(_commands(path.stem, task, group)) + "\n```\n")
    return "".join(text)


def _overview(rows: pd.DataFrame) -> str:
    names = rows["task"] + rows["features"].str.replace("features=", ", ")
    cells = [_measured(auc, error) for auc, error in zip(rows["auc"], rows["auc_error"], strict=True)]
    cells = [cell + ("" if seeds == 3 else f" ({seeds})") for cell, seeds in zip(cells, rows["seeds"], strict=True)]
    table = pd.DataFrame({"model": rows["model"], "task": names, "cell": cells})
    table = table.pivot(index="model", columns="task", values="cell").fillna("–")
    lines = [[f"`{model}`", *row] for model, row in zip(table.index, table.to_numpy(), strict=True)]
    return _table(["model", *table.columns], lines) + "\nThree seeds, or the number in brackets.\n"


def _ranking(group: pd.DataFrame) -> str:
    best = group.iloc[0]
    paired = _paired(group)
    lines = []
    for rank, (_, row) in enumerate(group.iterrows(), 1):
        near = best["auc"] - row["auc"] <= 2 * math.hypot(best["auc_error"], row["auc_error"])
        tied = rank > 1 and (row["tied"] if paired else near)
        values = [_measured(row[name], row[f"{name}_error"]) for name in COLUMNS]
        lines.append(
            [f"{'=' if tied else ''}{rank}", f"`{row['model']}`", *values, f"{row['parameters']:,.0f}", row["seeds"]]
        )
    heading = ["#", "model", *(METRICS[name].heading for name in COLUMNS), "parameters", "seeds"]
    return _table(heading, lines) + f"\n{PAIRED if paired else INDEPENDENT}\n"


def _paired(group: pd.DataFrame) -> bool:
    """Whether all rows have the paired test against the first one on the same test events."""
    return "tied_by" in group and group["rank"].iloc[0] == 1 and (group["tied_by"].iloc[1:] == "paired test").all()


def _slices(group: pd.DataFrame) -> tuple[str, str] | None:
    """(the variable that defines the slices, the table), or None for a task without slices."""
    names = [n for n in group.columns if n.startswith("auc_") and f"{n}_error" in group.columns]
    names = sorted((n for n in names if group[n].notna().any()), key=lambda n: int(n.rpartition("_")[2]))
    if not names:
        return None
    lines = [
        [f"`{row['model']}`", *(_measured(row[name], row[f"{name}_error"]) for name in names)]
        for _, row in group.iterrows()
    ]
    what = names[0].removeprefix("auc_").rpartition("_")[0].replace("_", " ")
    return what, _table(["model", *(name.rpartition("_")[2] for name in names)], lines)


def _commands(budget: str, task: str, group: pd.DataFrame) -> Iterator[str]:
    for (setting, seeds), rows in group.groupby(["set", "seeds"]):
        models = " ".join(_given(model.partition(" ")[0]) for model in sorted(rows["model"]))
        setting = f' SET="{setting}"' if setting else ""
        yield f'make bench TASK={task} BUDGET={budget} SEEDS={seeds}{setting} MODEL="{models}"'


def _given(model: str) -> str:
    """A model of the suite by its name, one of the examples by its file, and also its name if that differs."""
    if model in registry.names("model"):
        return model
    stems = [path.stem for path in HERE.parent.glob("examples/*.py")]
    (stem,) = [stem for stem in stems if model == stem or model.startswith(f"{stem}_")]
    return f"examples/{stem}.py" + ("" if model == stem else f":{model}")


def _days(group: pd.DataFrame) -> str:
    days = pd.to_datetime(group["ended"], unit="s").dt.strftime("%-d %B %Y").unique()
    hardware = sorted(set(group["hardware"].str.rpartition(" x")[0]))
    return f"{', '.join(hardware)}, {', '.join(sorted(days))}"


def facts(name: str, task: Task) -> str:
    """The facts in a task's record, and the results published for it."""
    lines = [["classes", ", ".join(task.classes) + f"; signal: {task.classes[task.signal]}"]]
    if len(task.classes) > 2:
        lines = [["classes", ", ".join(task.classes)]]
    lines.append(["views", ", ".join(f"`{view}`" for view in task.views)])
    if task.variables:
        lines.append(["variables of `table`", ", ".join(f"`{variable}`" for variable in task.variables)])
    if task.context:
        lines.append(["context", ", ".join(f"`{variable}`" for variable in task.context)])
    if task.features:
        lines.append(["feature sets", ", ".join(f"`{one}`" for one in task.features) + " (default: the first)"])
    if task.variants:
        lines.append(["variants", ", ".join(f"`{name}:{variant}`" for variant in task.variants)])
    lines.append(["official files", _files(task)])
    if task.size:
        lines.append(["events", f"{task.size:,}"])
    lines.append(["simulation", "yes" if task.simulation else "none: the published file is included"])
    lines += [["licence", task.licence], ["citation", task.citation]]
    text = _table([f"`{name}`", task.title], [line for line in lines if line[1]])
    tasks = {name: task, **{f"{name}:{variant}": one for variant, one in task.variants.items()}}
    published = [(of, reference) for of, one in tasks.items() for reference in (*one.references, *study.references(of))]
    if published:
        text += "\nPublished results:\n\n" + _table(
            ["task", "model", "result", "trained on", "source", "read in the source"],
            [
                [
                    f"`{of}`",
                    f"`{one.model}`" if "_study" in one.model else one.model,
                    ", ".join(f"{_heading(metric)} {value:g}" for metric, value in one.metrics.items()),
                    one.trained_on,
                    one.source,
                    "yes" if one.verified else "no",
                ]
                for of, one in published
            ],
        )
    return text


def _heading(metric: str) -> str:
    if metric.startswith("auc_"):  # of a slice of the test events
        return f"AUC ({metric.removeprefix('auc_').replace('_', ' ')})"
    return METRICS[metric].heading if metric in METRICS else metric.replace("_", " ")


def _files(task: Task) -> str:
    if not any(source.url for source in task.sources):
        return ", ".join(f"`{source.name}`" for source in task.sources) + ": not published"
    linked = [f"[`{source.name}`]({source.url})" for source in task.sources]
    return ", ".join(linked if len(linked) <= 3 else [linked[0], f"… ({len(linked)} files)", linked[-1]])


def of_tasks(tasks: dict[str, Task]) -> str:
    lines = [[f"[`{name}`](tasks.md#{name})", task.title, ", ".join(task.views)] for name, task in tasks.items()]
    return _table(["task", "description", "views"], lines)


def of_models(models: dict[str, Model]) -> str:
    lines = [[f"`{name}`", model.title, model.view or "–", _arxiv(model.source)] for name, model in models.items()]
    return _table(["model", "description", "view", "source"], lines)


def trainable(models: dict[str, Model]) -> str:
    """Trainable parameters of each network on each task that it supports."""
    counts = pd.read_csv(registry.HOME / "parameters.csv", index_col="model")
    lines = [
        [f"`{name}`", *("–" if pd.isna(number) else f"{int(number):,}" for number in counts.loc[name])]
        for name in models
        if name in counts.index
    ]
    return _table(["model", *counts.columns], lines)


def hyperparameters(models: dict[str, Model]) -> str:
    lines = [
        [f"`{name}`", ", ".join(f"`{key}={value}`" for key, value in model.defaults.items()) or "none"]
        for name, model in models.items()
    ]
    return _table(["model", "defaults"], lines)


def of_metrics() -> str:
    lines = [
        [
            f"`{one.name}`",
            one.title,
            one.heading,
            "higher" if one.higher_is_better else "lower",
            "multi-class only" if "classes" in one.needs else f"also `{one.name}_<class>`" if one.of_class else "",
        ]
        for one in METRICS.values()
    ]
    return _table(["metric", "description", "heading", "better", "classes"], lines)


def of_budgets() -> str:
    lines = [
        [f"`{name}`", events, one.epochs, one.table_epochs, one.rounds, one.seeds, one.trials]
        for name, one in budgets.BUDGETS.items()
        for events in ["all" if one.events is None else f"{one.events:,}"]
    ]
    headings = [
        "budget",
        "events",
        "epochs",
        "epochs (networks on tables)",
        "boosting rounds",
        "seeds",
        "trials per study",
    ]
    return _table(headings, lines)


def of_faults() -> str:
    """Results of `make faults` by kind, with their sum; above it the file's first line, which describes the call."""
    path = HERE / "faults.csv"
    rows = pd.read_csv(path, index_col="kind", comment="#")
    rows.loc["all"] = ["all", *rows.drop(columns="title").sum()]
    lines = [[f"`{kind}`", *row] for kind, row in zip(rows.index, rows.to_numpy(), strict=True)]
    said = path.read_text().partition("\n")[0].removeprefix("# ")
    return f"{said}:\n\n{_table(['', 'faults', *rows.columns[1:]], lines)}"


ONNX, DYNAMIC, STATIC = (f"ONNX Runtime, one thread{form}" for form in ("", ", 8 bits dynamic", ", 8 bits static"))


def of_onnx() -> tuple[str, str]:
    """From `docs/onnx_table.py`: agreement and quantisation, then latencies; one row per model."""
    rows = pd.read_csv(HERE / "onnx.csv")
    whole = {key: group.set_index("form") for key, group in rows.groupby(["task", "model"], sort=False)}

    def loss(forms: pd.DataFrame, form: str) -> str:
        if form not in forms.index or pd.isna(forms.at[form, "auc_loss"]):
            return "–"
        return f"{forms.at[form, 'auc_loss']:.4f} ± {forms.at[form, 'auc_loss_error']:.4f}"

    def number(forms: pd.DataFrame, form: str, column: str, scale: float = 1) -> str:
        if form not in forms.index:
            return "–"
        value = forms.at[form, column] * scale
        return "not measured" if pd.isna(value) else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

    agreement, times = [], []
    for (task, model), forms in whole.items():
        names = [f"`{model}`", f"`{task}`"]
        missing = forms["missing"].get(ONNX)
        if isinstance(missing, str):
            agreement.append([*names, missing, "–", "–", "–"])
            continue
        largest = f"{forms.at[ONNX, 'difference']:.1e}"
        losses = [loss(forms, form) for form in (DYNAMIC, STATIC)]
        agreement.append([*names, largest, *losses, f"{forms.at[ONNX, 'mib']:.2f}"])
        latencies = [number(forms, form, "p50_ms") for form in ("as trained", ONNX, DYNAMIC, STATIC)]
        rates = [number(forms, form, "events_per_second", 1e-3) for form in ("as trained", ONNX)]
        times.append([*names, *latencies, *rates])
    machine = ", ".join(f"{machine}, {day}" for machine, day in rows[["machine", "day"]].drop_duplicates().to_numpy())
    columns = [f"{of}: one event, ms" for of in ("as trained", "ONNX", "8-bit dynamic", "8-bit static")]
    columns += [f"{of}: events/ms by 1,000" for of in ("as trained", "ONNX")]
    head = ["model", "task", "largest difference", "8-bit dynamic: loss of AUC", "8-bit static: loss of AUC", "MiB"]
    return _table(head, agreement), _table(["model", "task", *columns], times) + f"\n{machine}.\n"


def _arxiv(source: str) -> str:
    return f"[{source}](https://arxiv.org/abs/{source})" if source else "–"


def _measured(value: float, error: float) -> str:
    """The value with its error, to two digits of the error."""
    if not math.isfinite(value):
        return "–"
    digits = 4 if not error > 0 else min(4, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:.{digits}f} ±\N{NO-BREAK SPACE}{error:.{digits}f}"


def _table(head: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    head = list(head)
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
