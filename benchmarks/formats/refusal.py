"""How readers refuse a file, in one sentence with its path, the event or line, and the fault; and what all of them
check: labels, numbers as they are stored, memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import UserError

NEAR = 1e-3  # how far a label that some program wrote as 0.999999 may be from a whole number

Refuse = Callable[[np.ndarray, str], None]
"""Raises UserError with this fault for the first event or line that is bad, (n,) bool."""


def refuse_first(path: Path, unit: str, start: int, bad: np.ndarray | np.bool_, fault: str) -> None:
    """Raises UserError for the first that is bad.

    unit: "event" or "line", which are counted from `start`. bad: (n,) bool of those from there on.
    """
    if bad.any():
        raise UserError(f"{path}: {unit} {start + int(np.argmax(bad))}: {fault}")


@contextlib.contextmanager
def library_errors(path: Path, fault: str) -> Iterator[None]:
    """Whatever a library raises of a damaged file, and each raises a dozen types of it, is a UserError: the block calls
    the library and nothing else."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except BlockingIOError as error:
        raise UserError(
            f"{path}: another program has locked it, or its file system's locks fail ({shown(error, 300)}): close what "
            "writes to it, or set HDF5_USE_FILE_LOCKING=FALSE"
        ) from None
    except Exception as error:
        raise UserError(f"{path}: {fault} ({shown(error, 300) or type(error).__name__})") from None


def shown(given: object, most: int = 60) -> str:
    """What a file says or a library says of it, in one line that any terminal can print."""
    text = " ".join(str(given).encode("ascii", "backslashreplace").decode().split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= most else f"{text[:most]}..."


def binary_labels(refuse: Refuse, given: np.ndarray, name: str) -> np.ndarray:
    """(n,) int64 of labels (n,) or (n, 1), bools or numbers of any type: 0 and 1, and what rounding left of them."""
    label = given.reshape(len(given)).astype(np.float64)
    nearest = np.clip(np.round(label), -1, 2)
    refuse(
        ~((np.abs(label - nearest) <= NEAR) & ((nearest == 0) | (nearest == 1))), f"label outside {{0, 1}} in {name}"
    )
    return nearest.astype(np.int64)


def as_float32(values: np.ndarray) -> np.ndarray:
    """The same where they are float32; what is beyond it becomes infinity, without a warning: check what is stored."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return values.astype(np.float32, copy=False)


def refuse_beyond_memory(path: Path, what: str, size: int) -> None:
    """Raises UserError where so many bytes, which a file declares, are more than the memory that is free."""
    import psutil

    free = psutil.virtual_memory().available
    if size > free:
        raise UserError(f"{path}: {what} takes {size / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB are free")
