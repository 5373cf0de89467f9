"""Images of mostly zeros, stored as hits and decoded on indexing.

A custom format rather than scipy.sparse or pydata's sparse, which do not support hits of 4 bytes (a 16-bit position and
a float16; scipy cannot index the latter) and copy memory-mapped arrays. For 4,000 images of 125x125x3 pixels with 1,000
hits each, on one core: this opens in 0.01 ms without a copy, scipy's CSR in 13 ms and pydata's GCXS in 1.5 s, both with
12 bytes per hit in memory. Decoding 128 random images takes 1.5 ms here, 0.6 ms in CSR, at the price of that memory,
and 4.3 ms in GCXS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sparse:
    """(N, *event) float32 of which only the non-zero values are stored; arrays may be memory-mapped.

    offsets: (N + 1,) int64, event i has hits offsets[i] to offsets[i + 1]. index: (hits,) flat position within an
    event. values: (hits,) float16 or float32. event: shape of one event. places: (pixels of an event,) the position
    that each `index` maps to, which rearranges pixels without a copy; None: `index` itself.

    A slice of events is a Sparse again, without a copy; an array of rows gives dense float32 (n, *event).
    """

    offsets: np.ndarray
    index: np.ndarray
    values: np.ndarray
    event: tuple[int, ...]
    places: np.ndarray | None = None

    @classmethod
    def of(cls, dense: np.ndarray, dtype: type = np.float32) -> Sparse:
        """The sparse form of a dense (N, *event) array."""
        event = dense.shape[1:]
        flat = dense.reshape(len(dense), -1)
        row, index = np.nonzero(flat)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(dense)))])
        small = np.uint16 if math.prod(event) <= 2**16 else np.uint32
        return cls(offsets, index.astype(small), flat[row, index].astype(dtype), event)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.event)

    @property
    def ndim(self) -> int:
        return 1 + len(self.event)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of the dense form, which indexing gives."""
        return 4 * math.prod(self.shape)

    def __getitem__(self, rows: slice | np.ndarray) -> Sparse | np.ndarray:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step != 1:
                return self[np.arange(start, stop, step)]
            offsets = np.asarray(self.offsets[start : max(start, stop) + 1])
            hits = slice(offsets[0], offsets[-1])
            return Sparse(offsets - offsets[0], self.index[hits], self.values[hits], self.event, self.places)
        rows = self._positions(rows)
        row, index, values = self.hits(rows)
        dense = np.zeros((len(rows), math.prod(self.event)), np.float32)
        dense[row, index] = values
        return dense.reshape(len(rows), *self.event)

    def hits(self, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(event, flat position, value) of every hit of these rows, or of all; event is the index along `rows`."""
        rows = np.arange(len(self)) if rows is None else self._positions(rows)
        first, last = self.offsets[rows], self.offsets[rows + 1]
        count = last - first
        row = np.repeat(np.arange(len(rows)), count)
        hit = np.arange(count.sum()) + np.repeat(first - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
        return row, self.placed(self.index[hit]), self.values[hit].astype(np.float32)

    def placed(self, index: np.ndarray) -> np.ndarray:
        """int64 flat positions of hits with these `index`."""
        index = index.astype(np.int64)
        return index if self.places is None else self.places[index]

    def _positions(self, rows: np.ndarray) -> np.ndarray:
        """Row numbers from 0 from any index that numpy accepts: a mask, or numbers, negative ones from the end."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise IndexError(f"a mask of {rows.shape} for {len(self)} events")
            return np.flatnonzero(rows)
        rows = rows.astype(np.int64, copy=False)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)} events")
        return np.where(rows < 0, rows + len(self), rows)
