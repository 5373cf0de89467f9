"""A seeded mutator of files: what a bad disk, a broken transfer or an attacker makes of them.

`for what, spoilt in mutants(path, folder, count, seed)` writes spoilt copies of a file: of its bytes, and, where these
are compressed, of what is in them, packed again with right checksums, since those would have caught it. The same seed
gives the same.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

EXTREMES = (0, 1, -1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 10**9, 10**12)
"""What a length or a number of events is declared to be."""
WORDS = (b"", b"nan", b"-inf", b"1e300", b"1e-300", b"-1", b"0", b"2", b"0x1p4", b"\xff\xfe", b'"', b",", b"\n")
"""What stands in the place of a field of text."""


def flip(data: bytearray, rng: np.random.Generator) -> None:
    """Bits, of one byte or of a few."""
    for position in rng.integers(len(data), size=rng.integers(1, 9)):
        data[position] ^= 1 << rng.integers(8)


def insert(data: bytearray, rng: np.random.Generator) -> None:
    """Some bytes more, which push the others back."""
    position = rng.integers(len(data))
    data[position:position] = rng.bytes(rng.integers(1, 40))


def cut(data: bytearray, rng: np.random.Generator) -> None:
    """A piece is missing: the end, or one within."""
    start = int(rng.integers(len(data)))
    stop = len(data) if rng.random() < 0.5 else start + int(rng.integers(1, 200))
    del data[start:stop]


def blank(data: bytearray, rng: np.random.Generator) -> None:
    """A block of the disk reads as zeros, or as another block."""
    size = int(rng.integers(1, 513))
    start, other = rng.integers(len(data), size=2)
    block = bytes(data[other : other + size]) if rng.random() < 0.5 else bytes(size)
    data[start : start + len(block)] = block


def swap(data: bytearray, rng: np.random.Generator) -> None:
    """Two numbers of four or eight bytes change places, as lengths and offsets of two parts would."""
    size = int(rng.choice([4, 8]))
    one, other = (int(position) for position in rng.integers(max(1, len(data) - size), size=2))
    data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]


def declare(data: bytearray, rng: np.random.Generator) -> None:
    """A number of two, four or eight bytes becomes another, most often one near the front, where headers are."""
    size = int(rng.choice([2, 4, 8]))
    reach = len(data) if rng.random() < 0.3 else min(len(data), 4096)
    position = int(rng.integers(reach))
    value = int(rng.choice(EXTREMES)) % 256**size
    data[position : position + size] = value.to_bytes(size, str(rng.choice(["little", "big"])))


def reword(data: bytearray, rng: np.random.Generator) -> None:
    """A field of text becomes another word."""
    borders = [number for number, letter in enumerate(data[: 2**16]) if letter in b", \n"]
    if len(borders) > 1:
        which = rng.integers(len(borders) - 1)
        data[borders[which] + 1 : borders[which + 1]] = WORDS[rng.integers(len(WORDS))]


KINDS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (flip, insert, cut, blank, swap, declare, reword)


def mutated(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Name of the kind, and the bytes with one to three mutations of it; never the same bytes."""
    while True:
        kind = KINDS[rng.integers(len(KINDS))]
        changed = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            if changed:
                kind(changed, rng)
        if changed != data:
            return kind.__name__, bytes(changed)


def mutants(path: Path, folder: Path, count: int, seed: int) -> Iterator[tuple[str, Path]]:
    """(what was done, file) of so many spoilt copies of a file, each under its own name in a folder of its own."""
    data = path.read_bytes()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        inside = _repacked(data, rng) if rng.random() < 0.6 else None
        kind, changed = inside or mutated(data, rng)
        target = folder / f"{number:04d}_{kind}" / path.name
        target.parent.mkdir(parents=True)
        target.write_bytes(changed)
        yield target.parent.name, target


def _repacked(data: bytes, rng: np.random.Generator) -> tuple[str, bytes] | None:
    """A mutation of what a compressed file holds; None where the file is not compressed."""
    for magic, unpack, pack in (
        (b"\x1f\x8b", gzip.decompress, gzip.compress),
        (b"BZh", bz2.decompress, bz2.compress),
        (b"\xfd7zXZ\x00", lzma.decompress, lzma.compress),
    ):
        if data.startswith(magic):
            kind, changed = mutated(unpack(data), rng)
            return f"{kind}_inside", pack(changed)
    if not data.startswith(b"PK\x03\x04"):
        return None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = list(members)[rng.integers(len(members))]
    kind, members[chosen] = mutated(members[chosen], rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return f"{kind}_inside", packed.getvalue()
