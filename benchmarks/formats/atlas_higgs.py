"""The CSV file of the ATLAS Higgs challenge of 2014, plain or compressed: reading and writing.

A header, then one line per event: `EventId`, the 30 VARIABLES, `Weight`, `Label` ("s" or "b"), `KaggleSet` ("t" the
challenge's training events, "b" those of its public leaderboard, "v" of its private one, "u" unused), `KaggleWeight`.
Missing values are -999. Columns are in any order. The challenge's own training.csv has neither KaggleSet nor
KaggleWeight, and its test.csv no Weight and no Label either: such events can be scored.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.formats import text as text_file
from hepbench.benchmarks.formats.refusal import shown

CLASSES = ("background", "signal")
LABELS, SETS = ("b", "s"), ("t", "b", "v", "u")
VARIABLES = (
    *("DER_mass_MMC", "DER_mass_transverse_met_lep", "DER_mass_vis", "DER_pt_h", "DER_deltaeta_jet_jet"),
    *("DER_mass_jet_jet", "DER_prodeta_jet_jet", "DER_deltar_tau_lep", "DER_pt_tot", "DER_sum_pt"),
    *("DER_pt_ratio_lep_tau", "DER_met_phi_centrality", "DER_lep_eta_centrality", "PRI_tau_pt", "PRI_tau_eta"),
    *("PRI_tau_phi", "PRI_lep_pt", "PRI_lep_eta", "PRI_lep_phi", "PRI_met", "PRI_met_phi", "PRI_met_sumet"),
    *("PRI_jet_num", "PRI_jet_leading_pt", "PRI_jet_leading_eta", "PRI_jet_leading_phi", "PRI_jet_subleading_pt"),
    *("PRI_jet_subleading_eta", "PRI_jet_subleading_phi", "PRI_jet_all_pt"),
)
"""Momenta in GeV, angles in radians; PRI are measured, DER derived from them."""

COLUMNS = ("EventId", *VARIABLES, "Weight", "Label", "KaggleSet", "KaggleWeight")
MISSING = -999.0
ID_OF_SET = 10**9
"""Ids of a set begin at a multiple, in the order of SETS; ids of files without sets come after all of these."""

GOLDEN = 0.618033988749895
"""Multiples of it fill the interval from 0 to 1 evenly, modulo 1, however many there are."""


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with table (n, 30) float32, including -999, and weights from `Weight`. Raises UserError naming file
    and fault."""
    for path in paths:
        path, row = Path(path), 0
        for chunk in _chunks(path):
            yield _events(path, row, chunk)
            row += len(chunk)


def _chunks(path: Path) -> Iterator[Any]:
    """Arrow tables of the columns in COLUMNS that the file has."""
    import pyarrow

    every = dict.fromkeys((*VARIABLES, "Weight", "KaggleWeight"), pyarrow.float64()) | {"EventId": pyarrow.int64()}
    every |= dict.fromkeys(("Label", "KaggleSet"), pyarrow.string())
    types: dict[str, Any] = {}
    for line, text in text_file.blocks(path):
        start = 0
        while not types and start < len(text):
            end = text.index(b"\n", start) + 1
            separator, header = text_file.names(text[start:end])
            wanted = {name.casefold() for name in COLUMNS} & set(header)
            if any(header) and (wanted or text[start:end].lstrip()[:1] not in (b"#", b"%")):
                types = {name: every[name] for name in _columns(path, line, header)}
            start, line = end, line + 1
        if start < len(text):
            yield text_file.table(path, line, text[start:], separator, header, types)
    if not types:
        raise UserError(f"{path}: no header in it; expected {', '.join(COLUMNS[:3])}, ... {COLUMNS[-1]}")


def _columns(path: Path, line: int, header: Sequence[str]) -> list[str]:
    """Those of COLUMNS that a header has. UserError if one is missing or duplicated."""
    found = [name for name in COLUMNS if name.casefold() in header]
    if missing := [name for name in ("EventId", *VARIABLES) if name not in found]:
        raise UserError(
            f"{path}: line {line}: no column {missing[0]!r}; expected {', '.join(COLUMNS[:3])}, ... {COLUMNS[-1]}"
        )
    if twice := [name for name in found if header.count(name.casefold()) > 1]:
        raise UserError(f"{path}: line {line}: {header.count(twice[0].casefold())} columns are called {twice[0]}")
    if ("Label" in found) != ("Weight" in found):
        raise UserError(f"{path}: only one of the columns 'Label' and 'Weight'; expected both, or neither for scoring")
    return found


def _events(path: Path, before: int, chunk: Any) -> Events:
    for name in chunk.column_names:
        if chunk[name].null_count:
            raise UserError(f"{path}: {chunk[name].null_count} events from {before} have no {name}; expected -999")
    with np.errstate(over="ignore"):  # beyond float32 it becomes infinity, which is rejected as such
        table = np.stack([chunk[name].to_numpy() for name in VARIABLES], axis=1).astype(np.float32)
    ids = chunk["EventId"].to_numpy()
    if len(ids) and not 0 <= ids.min() <= ids.max() < ID_OF_SET:
        raise UserError(f"{path}: an EventId is outside 0 to {ID_OF_SET - 1:,}")
    kind = _words(path, before, chunk, "KaggleSet", SETS) if "KaggleSet" in chunk.column_names else np.full(len(ids), 4)
    labels = _words(path, before, chunk, "Label", LABELS) if "Label" in chunk.column_names else None
    with np.errstate(over="ignore"):
        weights = None if labels is None else chunk["Weight"].to_numpy().astype(np.float32)
    return Events({"table": table}, labels, kind * ID_OF_SET + ids, weights)


def _words(path: Path, before: int, chunk: Any, name: str, known: Sequence[str]) -> np.ndarray:
    """(n,) index of each word among the known ones."""
    words = chunk[name].to_numpy(zero_copy_only=False).astype(str)
    found = np.stack([words == one for one in known])
    if (bad := np.flatnonzero(~found.any(axis=0))).size:
        raise UserError(
            f"{path}: event {before + bad[0]}: {name} is {shown(words[bad[0]])!r}; expected {', '.join(known)}"
        )
    return np.asarray(found.argmax(axis=0))


def write(folder: Path, events: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """One file, with the sets in the official proportions: 250,000 "t", 100,000 "b", 450,000 "v", 18,238 "u"."""
    import pandas as pd

    path = folder / "atlas-higgs-challenge-2014-v2.csv.gz"
    edges = np.array([250_000, 350_000, 800_000]) / 818_238
    seen = [0, 0]
    with gzip.open(path, "wt", compresslevel=1, encoding="ascii") as file:
        print(*COLUMNS, sep=",", file=file)
        for label, arrays in chunks:
            table, weights = arrays["table"], arrays["weight"]
            place = seen[label] + np.arange(len(table))
            kind = np.searchsorted(edges, place * GOLDEN % 1, side="right")
            rows = pd.DataFrame(table.astype(np.float64), columns=VARIABLES)
            rows.insert(0, "EventId", 100_000 + 2 * place + label)
            rows["Weight"] = rows["KaggleWeight"] = weights.astype(np.float64)
            rows["Label"], rows["KaggleSet"] = LABELS[label], np.array(SETS)[kind]
            rows.to_csv(
                file, columns=list(COLUMNS), header=False, index=False, float_format="%.6g", lineterminator="\n"
            )
            seen[label] += len(table)
    return [path]
