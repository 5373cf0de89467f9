"""What stands on a command line: names, of which a shell completes the known ones, and groups of verbs, where one that
does not exist gets a hint."""

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
    """A name of a kind. known: gives those that a shell offers. files: it may also be a path, which a shell offers once
    it begins as one."""

    def __init__(self, kind: str, known: Callable[[], Iterable[str]], *, files: bool = False):
        self.name = kind
        self.known = known
        self.files = files

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        return f"Known: {', '.join(self.known())}"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those that begin as what is there; of several with commas, as the last."""
        if self.files and re.match(r"[./~]", incomplete):
            return [CompletionItem(incomplete, type="file")]
        before, comma, last = incomplete.rpartition(",")
        try:
            known = list(self.known())
        except UserError:  # a shell has no place for what is wrong with a file
            return []
        return [CompletionItem(f"{before}{comma}{name}") for name in known if name.startswith(last)]


class OneOf(Name):
    """One of the few names that a module has in a constant; UserError with the near one for any other. The module is
    imported where the option is used."""

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
PART = OneOf("part of the split", "suite.data.split", "PARTS")
PROGRAM = OneOf("program to measure against", "suite.profiling.models", "AGAINST")
KIND = OneOf("kind", "tracking.leaderboard.figures", "KINDS")
FORMAT = OneOf("format", "tracking.leaderboard.text", "FORMATS")
TEXT_FORMAT = OneOf("format", "suite.commands.reproduce", "FORMATS")
MODEL_FORMAT = OneOf("format", "suite.commands.export_model", "FORMATS")
ONNX_FORMAT = OneOf("format", "suite.commands.measure_onnx", "FORMS")
LISTED = OneOf("list", "suite.commands.list", "LISTED")


def several(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> tuple[str, ...]:
    """Names of words, each a name, several with commas or spaces, or the path of a file, whatever stands in it."""
    found: list[str] = []
    for text in texts:
        path = re.sub(r"(\.py):[^/]*$", r"\1", text)
        found += [text] if Path(path).expanduser().is_file() else filter(None, SEPARATORS.split(text))
    return tuple(dict.fromkeys(found))


def each(tasks: Sequence[str]) -> list[str]:
    """The tasks that these words stand for, "all" and `<task>:all` among them. UserError where one is none."""
    names = list(dict.fromkeys(name for word in tasks for name in registry.expand(word)))
    for name in names:
        registry.find("task", name)
    return names


def one(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> str:
    """The one name that an option was given; UserError for several, of which click would take the last."""
    found = several(context, parameter, texts)
    if len(found) != 1:
        raise UserError(f"--{parameter.name}: give one, got {', '.join(found) or 'none'}")
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
"""What somebody who types a verb that does not exist is after."""


class CommandFunction(click.RichCommand):
    """A command with examples, which stand at the end of its help."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any):
        super().__init__(*arguments, **options)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.RichContext, formatter: click.RichHelpFormatter) -> None:  # type: ignore[override]
        super().format_epilog(ctx, formatter)
        if self.examples:
            formatter.write(Text("Examples:", style="bold"), Padding(Text("\n".join(self.examples)), (0, 0, 1, 2)))


class CommandGroup(CommandFunction, click.RichGroup):  # type: ignore[misc]  # as RichGroup itself
    """A group whose complaint about an unknown verb says which one was meant."""

    command_class = CommandFunction

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
