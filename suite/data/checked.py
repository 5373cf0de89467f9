"""Checks the output of a task's `read` and views once, so that all later code may rely on it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, Task, UserError
from hepbench.benchmarks.formats.sparse_images import Sparse
from hepbench.benchmarks.weighting import fault_of


def checked(where: str, task: Task, chunks: Iterable[Events]) -> Iterator[Events]:
    """The chunks with labels and ids as (n,) int64, weights as (n,) float32 and finite arrays, in which values that the
    task declares as missing are NaN.

    Raises UserError for anything else, beginning with `where`, which names the task, with the array, the first bad
    event, counted from 0 over all chunks, and what was expected.
    """
    if not isinstance(chunks, Iterable):
        raise UserError(f"{where}: read gives {_kind(chunks)}; expected an iterator: yield Events, a chunk at a time")
    first, layout, weighted = 0, None, None
    for events in chunks:
        if not isinstance(events, Events):
            raise UserError(f"{where}: read yields {_kind(events)}; expected hepbench.Events(arrays, labels, ids)")
        if not isinstance(events.arrays, Mapping) or not events.arrays:
            raise UserError(f"{where}: arrays is {_kind(events.arrays)}; expected a dict of at least one named array")
        if odd := [name for name in events.arrays if not (isinstance(name, str) and re.fullmatch(r"\w[\w-]*", name))]:
            raise UserError(f"{where}: an array is called {odd[0]!r}; expected letters, digits, '_' and '-'")
        labels = None if events.labels is None else _labels(where, events.labels, task.classes, first)
        ids = _ids(where, events.ids)
        arrays = finite_arrays(where, events.arrays, len(ids), first, task.missing)
        if labels is not None and len(labels) != len(ids):
            raise UserError(f"{where}: labels: {len(labels):,} for {_counted(len(ids), first)}; expected as many")
        weights = None if events.weights is None else _weights(where, events.weights, len(ids), first)
        weighted = (weights is not None) if weighted is None else weighted
        if weighted != (weights is not None):
            now, before = ("weights", "none") if weights is not None else ("no weights", "some")
            raise UserError(f"{where}: {now} from event {first:,} on, {before} before; expected the same in all")
        found = {name: _layout(array) for name, array in arrays.items()}
        layout = layout or found
        if found != layout:
            name = next(name for name in [*layout, *found] if found.get(name) != layout.get(name))
            before, now = (one.get(name, "nothing") for one in (layout, found))
            raise UserError(
                f"{where}: {name}: {now} from event {first:,} on, {before} before; expected the same in all"
            )
        yield Events(arrays, labels, ids, weights)
        first += len(ids)


def finite_arrays(
    where: str, arrays: Arrays, count: int, first: int = 0, missing: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Arrays of `count` numbers or images each, all finite in single precision, which networks use, except for NaN in
    those that `missing` names, where NaN also replaces the number that it gives. first: number of the first event.
    Raises UserError for others."""
    if unknown := sorted(set(missing or ()) - set(arrays)):
        raise UserError(f"{where}: missing names {unknown[0]!r}; expected one of its arrays: {', '.join(arrays)}")
    made: dict[str, Any] = {}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray | Sparse) or isinstance(array, np.ma.MaskedArray):
            raise UserError(f"{where}: {name} is {_kind(array)}; expected a numpy array whose first axis is the event")
        if not array.ndim or len(array) != count:
            length = f"{len(array):,}" if array.ndim else "a single number"
            raise UserError(f"{where}: {name}: {length} for {_counted(count, first)}; expected as many")
        instead = (missing or {}).get(name)
        if isinstance(array, Sparse):
            made[name] = dataclasses.replace(array, values=_finite(where, name, array.values, first, instead, array))
        else:
            made[name] = _finite(where, name, array, first, instead)
    return made


def check_ids(where: str, ids: np.ndarray) -> None:
    """Raises UserError if two events have the same id. ids: (n,) int64 of all events."""
    order = np.argsort(ids, kind="stable")
    again = order[1:][ids[order[1:]] == ids[order[:-1]]]
    if len(again):
        event = int(again.min())
        before = int(np.flatnonzero(ids == ids[event])[0])
        raise UserError(
            f"{where}: ids: event {event:,} has {ids[event]}, like event {before:,}; expected unique ids over all files"
        )


def _labels(where: str, labels: Any, classes: Sequence[str], first: int) -> np.ndarray:
    labels = np.asarray(labels)
    expected = f"expected class numbers, {', '.join(f'{number} {kind}' for number, kind in enumerate(classes))}"
    if labels.ndim != 1:
        raise UserError(f"{where}: labels have the shape {labels.shape}; {expected}, in the shape (n,)")
    if labels.dtype.kind not in "iubf":
        begins = f", event {first:,} has {labels[0]!r}" if len(labels) else ""
        raise UserError(f"{where}: labels are {labels.dtype}{begins}; {expected}")
    with np.errstate(invalid="ignore"):
        numbers: np.ndarray = labels.astype(np.int64)
    wrong = (numbers != labels) | (numbers < 0) | (numbers >= len(classes))
    if wrong.any():
        event = int(wrong.argmax())
        raise UserError(f"{where}: labels: event {first + event:,} has {labels[event]}; {expected}")
    return numbers


def _weights(where: str, weights: Any, count: int, first: int) -> np.ndarray:
    weights = np.asarray(weights)
    if weights.shape != (count,) or weights.dtype.kind not in "iubf":
        shape = f"{weights.dtype} of the shape {weights.shape}"
        raise UserError(f"{where}: weights are {shape}; expected numbers of the shape ({count},)")
    if fault := fault_of(weights):
        event, reason = fault
        raise UserError(f"{where}: weights: event {first + event:,} has {weights[event]}: {reason}")
    checked_weights: np.ndarray = weights.astype(np.float32)
    return checked_weights


def _ids(where: str, ids: Any) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise UserError(f"{where}: ids are {ids.dtype} of the shape {ids.shape}; expected whole numbers (n,)")
    numbers: np.ndarray = ids.astype(np.int64)
    return numbers


def _finite(
    where: str, name: str, values: np.ndarray, first: int, missing: float | None, sparse: Sparse | None = None
) -> np.ndarray:
    """The numbers in the byte order of this machine. sparse: the images, if the numbers are their hits."""
    if values.dtype.kind not in "iubf":
        raise UserError(f"{where}: {name} has the dtype {values.dtype}; expected numbers")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if missing is not None and sparse is None:
        values = values if values.dtype.kind == "f" else values.astype(np.float32)
        values = np.where(values == missing, values.dtype.type(np.nan), values)
    if values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):
        single = values.astype(np.float32, copy=False)
        wrong = ~np.isfinite(single) if missing is None else np.isinf(single)
    if not wrong.any():
        return values
    place = tuple(map(int, np.argwhere(wrong)[0]))
    value = values[place]
    event, inner = (
        (int(np.searchsorted(sparse.offsets, place[0], "right")) - 1, ()) if sparse else (place[0], place[1:])
    )
    fix = f", or missing={{{name!r}: nan}} in the task, for missing values" if np.isnan(value) else ""
    at = f" at {list(inner)}" if inner else ""
    raise UserError(
        f"{where}: {name}: event {first + event:,} has {value}{at}; expected a finite number in single precision{fix}"
    )


def _layout(array: np.ndarray | Sparse) -> str:
    if isinstance(array, Sparse):
        return f"hits {array.index.dtype} and {array.values.dtype} of {array.event}"
    return f"{array.dtype} {array.shape[1:]}"


def _counted(count: int, first: int) -> str:
    return f"{count:,} ids" + f" in the chunk from event {first:,} on" * bool(first)


def _kind(given: object) -> str:
    return "None" if given is None else f"a {type(given).__name__}"
