"""Types of command-line arguments: names with shell completion, and groups of commands that hint at the closest match
of an unknown one."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem
from rich.padding import Padding
from rich.text import Text

from hepbench.benchmarks import registry, study
from hepbench.benchmarks.base import UserError, check_known

SEPARATORS = re.compile(r"[\s,]+")


class Name(click.ParamType[str]):
    """A name of a kind. known: returns the names for shell completion. files: it may also be a path; a word that
    begins like one is completed as a path."""

    def __init__(self, kind: str, known: Callable[[], Iterable[str]], *, files: bool = False):
        self.name = kind
        self.known = known
        self.files = files

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        return f"Known: {', '.join(self.known())}"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names with the prefix `incomplete`; in a comma-separated list the last name is completed."""
        if self.files and re.match(r"[./~]", incomplete):
            return [CompletionItem(incomplete, type="file")]
        before, comma, last = incomplete.rpartition(",")
        try:
            known = list(self.known())
        except UserError:  # an error in a file cannot be shown during completion
            return []
        return [CompletionItem(f"{before}{comma}{name}") for name in known if name.startswith(last)]


class OneOf(Name):
    """One of a few names, which a module has in a constant; for any other a UserError that suggests the closest match.
    The module is imported only when the option is used."""

    def __init__(self, kind: str, module: str, constant: str):
        super().__init__(kind, lambda: getattr(importlib.import_module(f"hepbench.{module}"), constant))

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "|".join(self.known())

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        check_known(self.name, value, self.known())
        return str(value)


def _tasks() -> list[str]:
    return ["all", *registry.names("task")]


def _models() -> list[str]:
    return ["all", *registry.names("model")]


def _metrics() -> list[str]:
    from hepbench.benchmarks.metrics import METRICS

    return list(METRICS)


def _columns() -> list[str]:
    from hepbench.tracking.leaderboard.table import NUMBERS

    return [*_metrics(), *NUMBERS, "energy"]


def _modes() -> list[str]:
    from hepbench.suite.profiling.weaver import MODES

    return list(MODES)


def _parts() -> list[str]:
    from hepbench.suite.profiling.gpu_parts import PARTS

    return list(PARTS)


TASK = Name("task", _tasks, files=True)
MODEL = Name("model", _models, files=True)
STUDY = Name("study", study.names)
METRIC = Name("metric", _metrics)
COLUMN = Name("column", _columns)
MODE = Name("mode of weaver-core", _modes)
GPU_PART = Name("part", _parts)
BUDGET = OneOf("budget", "benchmarks.budgets", "BUDGETS")
DATA = OneOf("data", "suite.data.files", "KINDS")
DEVICE = OneOf("device", "suite.device", "DEVICES")
BACKEND = OneOf("backend", "suite.device", "BACKENDS")
CLUSTER = OneOf("cluster", "suite.workers.batch_system", "SYSTEMS")
SAMPLER = OneOf("sampler", "suite.tuning.study_spec", "SAMPLERS")
PRUNER = OneOf("pruner", "suite.tuning.study_spec", "PRUNERS")
PART = OneOf("set of the split", "suite.data.split", "PARTS")
PROGRAM = OneOf("program to compare with", "suite.profiling.models", "AGAINST")
KIND = OneOf("kind", "tracking.leaderboard.figures", "KINDS")
FORMAT = OneOf("format", "tracking.leaderboard.text", "FORMATS")
TEXT_FORMAT = OneOf("format", "suite.commands.reproduce", "FORMATS")
MODEL_FORMAT = OneOf("format", "suite.commands.export_model", "FORMATS")
ONNX_FORMAT = OneOf("format", "suite.commands.measure_onnx", "FORMS")
LISTED = OneOf("list", "suite.commands.list", "LISTED")


def several(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> tuple[str, ...]:
    """Names in words: each word is a name, several names separated by commas or spaces, or the path of an existing
    file, which may contain either. UserError for a word without a name."""
    found: list[str] = []
    for text in texts:
        path = re.sub(r"(\.py):[^/]*$", r"\1", text)
        found += [text] if Path(path).expanduser().is_file() else not_empty(parameter, SEPARATORS.split(text))
    return tuple(dict.fromkeys(found))


def not_empty(parameter: click.Parameter, names: Iterable[str]) -> list[str]:
    """The names that are not empty. UserError if there is none, as from a shell variable that is not set."""
    found = list(filter(None, names))
    if not found:
        raise UserError(f"{max(parameter.opts, key=len)}: give at least one name, or omit it")
    return found


def each(tasks: Sequence[str]) -> list[str]:
    """The tasks that these words stand for, "all" and `<task>:all` included. UserError for an unknown task."""
    names = list(dict.fromkeys(name for word in tasks for name in registry.expand(word)))
    for name in names:
        registry.find("task", name)
    return names


def one(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> str:
    """The single name given to an option; UserError for several, of which click would use the last."""
    found = several(context, parameter, texts)
    if len(found) != 1:
        raise UserError(f"--{parameter.name}: give exactly one, got {', '.join(found) or 'none'}")
    return found[0]


MEANT = {
    "run": "bench",
    "train": "bench",
    "fit": "bench",
    "benchmark": "bench",
    "test": "bench",
    "results": "leaderboard",
    "rank": "leaderboard",
    "ranking": "leaderboard",
    "table": "leaderboard",
    "show": "leaderboard",
    "optimize": "tune",
    "optimise": "tune",
    "search": "tune",
    "study": "studies",
    "download": "data",
    "fetch": "data",
    "generate": "simulate",
    "info": "doctor",
    "check": "doctor",
    "version": "--version",
    "help": "--help",
    "mlflow": "ui",
    "optuna": "optuna-ui",
    "dashboard": "optuna-ui",
    "diff": "compare",
    "submit": "score",
    **{what: f"list {what}" for what in ("tasks", "models", "metrics", "budgets")},
}
"""Unknown command -> what is suggested for it."""


class Command(click.RichCommand):
    """A command with examples at the end of its help."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any):
        super().__init__(*arguments, **options)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.RichContext, formatter: click.RichHelpFormatter) -> None:  # type: ignore[override]
        super().format_epilog(ctx, formatter)
        if self.examples:
            formatter.write(Text("Examples:", style="bold"), Padding(Text("\n".join(self.examples)), (0, 0, 1, 2)))


class CommandGroup(Command, click.RichGroup):  # type: ignore[misc]  # as RichGroup itself
    """A group whose error for an unknown command suggests the closest match."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        given = args[0]
        if self.get_command(ctx, given) is None and not given.startswith("-") and not ctx.resilient_parsing:
            raise UserError(self._complaint(ctx, given))
        return super().resolve_command(ctx, args)

    def _complaint(self, ctx: click.Context, given: str) -> str:
        known = self.list_commands(ctx)
        lower = given.lower()
        near = difflib.get_close_matches(lower, known, n=1, cutoff=0.6)
        first = ctx.parent is None
        if first and lower in registry.names("task"):
            meant = f"bench {lower}"
        elif first and lower in MEANT:
            meant = MEANT[lower]
        else:
            meant = near[0] if near else ""
        hint = f", did you mean `{ctx.command_path} {meant}`?" if meant else "."
        return f"unknown command {given!r}{hint} Known: {', '.join(known)}"
