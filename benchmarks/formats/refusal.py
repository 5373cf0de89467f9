"""How readers reject a file, in one sentence with its path, the event or line, and the fault; and checks common to all:
labels, stored numbers, memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import UserError

NEAR = 1e-3  # tolerance on integer labels, for programs that write 0.999999

Refuse = Callable[[np.ndarray, str], None]
"""Raises UserError with this fault for the first event or line that is bad, (n,) bool."""


def refuse_first(path: Path, unit: str, start: int, bad: np.ndarray | np.bool_, fault: str) -> None:
    """Raises UserError for the first bad event or line.

    unit: "event" or "line", counted from `start`. bad: (n,) bool, from there on.
    """
    if bad.any():
        raise UserError(f"{path}: {unit} {start + int(np.argmax(bad))}: {fault}")


@contextlib.contextmanager
def library_errors(path: Path, fault: str) -> Iterator[None]:
    """Converts any exception of a library, which may raise a dozen types for damaged files, to UserError: the block
    must contain only calls of the library."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except BlockingIOError as error:
        raise UserError(
            f"{path}: locked by another program, or locks fail in its file system ({shown(error, 300)}): close the "
            "program that writes to it, or set HDF5_USE_FILE_LOCKING=FALSE"
        ) from None
    except Exception as error:
        raise UserError(f"{path}: {fault} ({shown(error, 300) or type(error).__name__})") from None


def shown(given: object, most: int = 60) -> str:
    """Text from a file or a library as one line that any terminal can print."""
    text = " ".join(str(given).encode("ascii", "backslashreplace").decode().split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= most else f"{text[:most]}..."


def binary_labels(refuse: Refuse, given: np.ndarray, name: str) -> np.ndarray:
    """(n,) int64 from labels (n,) or (n, 1), bools or numbers of any type: 0 and 1, up to rounding."""
    label = given.reshape(len(given)).astype(np.float64)
    nearest = np.clip(np.round(label), -1, 2)
    refuse(
        ~((np.abs(label - nearest) <= NEAR) & ((nearest == 0) | (nearest == 1))), f"label outside {{0, 1}} in {name}"
    )
    return nearest.astype(np.int64)


def as_float32(values: np.ndarray) -> np.ndarray:
    """As float32, without a copy if they already are; values beyond it silently become infinity: check the result."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return values.astype(np.float32, copy=False)


def refuse_beyond_memory(path: Path, what: str, size: int) -> None:
    """Raises UserError if `size` bytes, which a file declares, are more than the free memory."""
    import psutil

    free = psutil.virtual_memory().available
    if size > free:
        raise UserError(f"{path}: {what} needs {size / 2**30:,.1f} GiB of memory; {free / 2**30:,.1f} GiB are free")
