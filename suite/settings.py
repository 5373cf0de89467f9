"""Hyper-parameters as a user gives them, by name and often as text, in the types of their defaults."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from hepbench.benchmarks.base import Model, Task, UserError, as_text, check_known, plain
from hepbench.benchmarks.registry import Entry
from hepbench.suite.trial.spec import known_hyperparameters


def settings_by_model(
    settings: Mapping[str, Any], task: Entry[Task], models: Sequence[Entry[Model]]
) -> dict[str, dict[str, Any]]:
    """model -> hyper-parameters, each of the type of its default. A name must be known to one of the models at least
    and is set for those that know it; UserError otherwise. What equals the default is no setting."""
    known = {model.name: known_hyperparameters(task.record, model.record) for model in models}
    chosen: dict[str, dict[str, Any]] = {model.name: {} for model in models}
    for name, given in settings.items():
        check_known("hyper-parameter", name, dict.fromkeys(one for defaults in known.values() for one in defaults))
        for model, defaults in known.items():
            if name in defaults:
                value = _typed(name, given, defaults[name])
                if value != defaults[name] or name == "epochs":  # a default is capped by the budget, what is set is not
                    chosen[model][name] = value
    return chosen


def _typed(name: str, given: Any, default: Any) -> Any:
    """A value of the type of the default. A text is a tuple's entries with commas; where the default is None, it is
    read as None, a number or a bool where it looks like one."""
    given = plain(name, given)
    if isinstance(default, tuple):
        return _typed_tuple(name, given, default)
    if default is None:
        return _read(given) if isinstance(given, str) else given
    if isinstance(default, bool):
        check_known(f"value of {name}", str(given).lower(), ("true", "false"))
        return str(given).lower() == "true"
    try:
        value = type(default)(given)
        if not isinstance(given, str) and not isinstance(default, str) and value != given:
            raise ValueError
    except (TypeError, ValueError):
        kind = {int: "a whole number", float: "a number"}.get(type(default), "a text")
        raise UserError(f"{name}={given}: expected {kind}, such as the default {default}") from None
    return value


def _typed_tuple(name: str, given: Any, default: tuple[Any, ...]) -> tuple[Any, ...]:
    """Its entries have the type of the default's first, unless that has entries of several types or tuples."""
    if isinstance(given, str):
        texts = [text.strip() for text in given.strip().removeprefix("(").removesuffix(")").split(",")]
        given = tuple(_read(text) for text in texts if text)
    if not isinstance(given, tuple):
        raise UserError(f"{name}={given}: expected several, such as the default {as_text(default)}")
    kinds = {type(one) for one in default}
    same = len(kinds) == 1 and not kinds & {tuple, type(None)}
    return tuple(_typed(name, one, default[0]) for one in given) if same else given


def _read(text: str) -> Any:
    """None, a bool or a number where a text is one, or else the text."""
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
