"""The ROOT files of JetClass, alone or in the published tar archives: reading and writing.

A tree has one row per jet: `part_px`, `part_py`, `part_pz`, `part_energy` in GeV, `part_d0val`, `part_d0err`,
`part_dzval`, `part_dzerr` in mm, `part_charge` and five flags of the particle type for each particle, `label_QCD` to
`label_Tbl`, one of which is 1, and variables of the jet. A tree without the labels holds unlabelled jets. The reader
uses no variables of the jet. Archives are read in place, member by member, in the order of their names.
"""

from __future__ import annotations

import contextlib
import re
import tarfile
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.features import boosted_jets
from hepbench.benchmarks.formats import root_tree
from hepbench.benchmarks.formats.refusal import as_float32, library_errors, refuse_first, shown

CLASSES = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")
LABELS = tuple(f"label_{kind}" for kind in CLASSES)
PARTICLES = 128
MOMENTA = ("part_px", "part_py", "part_pz", "part_energy")
DISPLACEMENT = ("part_d0val", "part_d0err", "part_dzval", "part_dzerr")
KINDS = {
    "part_isChargedHadron": 211,
    "part_isNeutralHadron": 130,
    "part_isPhoton": 22,
    "part_isElectron": 11,
    "part_isMuon": 13,
}
"""Flag -> the PDG code that stands for it; 11 and 13 have charge -1."""
BRANCHES = (*MOMENTA, *DISPLACEMENT, "part_charge", *KINDS)
PARTS = {"train": 0, "val": 1, "test": 2}
IDS_OF_PART, IDS_OF_FILE = 10**12, 10**9
CHUNK = 2048  # jets read at a time
SHARES = (0.70, 0.85)  # of each class, up to which simulated jets are of the training and the validation file


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with momenta (n, 128, 4) float32 px, py, pz, E by falling pT, displacement (n, 128, 4) float32 and
    kinds (n, 128) int16 PDG codes, of the first 128 particles of a jet. Ids encode training, validation or test set by
    the file's name, the number after `_part` in it, and the row. Raises UserError naming file and jet."""
    seen: dict[int, int] = {}
    for path in paths:
        first = _first_id(path)
        for where, file in _members(path):
            start = 0
            for columns, labels in _chunks(where, file):
                number = seen.get(first, 0)
                events = _checked(where, start, columns, labels, first + number)
                seen[first] = number + len(events.ids)
                start += len(events.ids)
                yield events


def part_of(path: Path) -> str:
    """ "train", "val" or "test", whichever the file's name contains; else "train"."""
    words = re.split(r"[^a-z0-9]+", path.name.casefold())
    return next((part for part in ("val", "test") if part in words), "train")


def _first_id(path: Path) -> int:
    found = re.search(r"_part(\d{1,3})\b", path.name)
    return PARTS[part_of(path)] * IDS_OF_PART + (int(found[1]) if found else 0) * IDS_OF_FILE


def _members(path: Path) -> Iterator[tuple[Path, Any]]:
    """Each ROOT file with a name for error messages: the file itself, or those in the archive."""
    with library_errors(path, "cannot be opened"), path.open("rb") as file:
        is_root = file.read(4) == b"root"
    if is_root:
        yield path, path
        return
    with library_errors(path, "neither a ROOT file nor a tar archive of ROOT files"):
        archive = tarfile.open(path, "r:")  # noqa: SIM115 -- closed below; any error becomes one line
    with archive:
        with library_errors(path, "not a complete tar archive"):
            members = [one for one in archive.getmembers() if one.isfile() and one.name.endswith(".root")]
        if not members:
            raise UserError(f"{path}: no ROOT file in the archive")
        for member in sorted(members, key=lambda one: one.name):
            yield path / member.name, archive.extractfile(member)


def _chunks(where: Path, file: Any) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray | None]]:
    """Particle branches (n, 128), and labels (n, classes), None if the tree has none."""
    import uproot

    with library_errors(where, "not a ROOT file, or a damaged one"):
        opened = uproot.open(file)
    with opened:
        with library_errors(where, "not a ROOT file, or a damaged one"):
            tree = opened[root_tree.tree_of(where, opened, "tree")]
            there, count = set(tree.keys()), tree.num_entries
        labels = [name for name in LABELS if name in there]
        missing = [name for name in (*BRANCHES, *(LABELS if labels else ())) if name not in there]
        if missing:
            raise UserError(f"{where}: no branch {missing[0]!r}; it has {shown(', '.join(sorted(there)))}")
        if not count:
            raise UserError(f"{where}: no events in it")
        for start in range(0, count, CHUNK):
            with library_errors(where, f"jets from {start} cannot be read"):
                rows = tree.arrays([*BRANCHES, *labels], entry_start=start, entry_stop=start + CHUNK, library="ak")
            columns = {name: root_tree.dense(f"{where}: {name}", rows[name], PARTICLES) for name in BRANCHES}
            if odd := [name for name, array in columns.items() if array.shape[1:] != (PARTICLES,)]:
                raise UserError(f"{where}: {odd[0]} must have one number per particle")
            of = [root_tree.dense(f"{where}: {name}", rows[name], 0) for name in labels]
            yield columns, np.stack(of, axis=1) if labels else None


def _checked(path: Path, start: int, columns: dict[str, np.ndarray], labels: np.ndarray | None, first: int) -> Events:
    refuse = partial(refuse_first, path, "event", start)
    momenta, displacement = (
        as_float32(np.stack([columns[name] for name in names], axis=-1)) for names in (MOMENTA, DISPLACEMENT)
    )
    finite = np.isfinite(momenta).all(axis=(1, 2)) & np.isfinite(displacement).all(axis=(1, 2))
    refuse(~finite, "NaN or infinity among the particles, or beyond float32")
    energy, pt = momenta[..., 3], np.hypot(momenta[..., 0], momenta[..., 1])
    refuse((energy < 0).any(axis=1), "negative energy")
    refuse(~(pt > 0).any(axis=1), "a jet without particles")
    there = pt > 0
    flags = np.stack([columns[name] for name in KINDS], axis=-1) != 0
    charge = np.sign(columns["part_charge"]).astype(np.int16)
    refuse((there & (flags.sum(axis=-1) != 1)).any(axis=1), "a particle of none or several of the five types")
    charged = flags[..., [0, 3, 4]].any(axis=-1)
    refuse((there & (charged != (charge != 0))).any(axis=1), "a particle whose charge is not that of its type")
    code = (flags * np.array(list(KINDS.values()), np.int16)).sum(axis=-1)
    sign = np.where(charged, np.where(np.isin(code, (11, 13)), -charge, charge), 1)
    order = np.argsort(-pt, axis=1, kind="stable")
    arrays = {
        "momenta": np.take_along_axis(momenta, order[..., None], axis=1),
        "displacement": np.take_along_axis(displacement, order[..., None], axis=1),
        "kinds": np.take_along_axis((code * sign * there).astype(np.int16), order, axis=1),
    }
    known = None
    if labels is not None:
        refuse(
            ((labels != 0) & (labels != 1)).any(axis=1) | (labels.sum(axis=1) != 1), "not exactly one label that is 1"
        )
        known = labels.argmax(axis=1).astype(np.int64)
    return Events(arrays, known, first + np.arange(len(pt), dtype=np.int64))


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """Three files, 70, 15 and 15 % of each class, with the official branches except those of the generator."""
    import awkward as ak
    import uproot

    paths = [folder / f"JetClass_simulated_{part}.root" for part in PARTS]
    edges = [np.round(count * np.array(SHARES)) for count in counts]
    made = [0] * len(counts)
    of_jets = [*LABELS, *("jet_pt", "jet_eta", "jet_phi", "jet_energy", "jet_nparticles", "jet_sdmass")]
    of_jets += [f"jet_tau{number}" for number in (1, 2, 3, 4)]
    names = [name.removeprefix("part_") for name in (*BRANCHES, "part_deta", "part_dphi")]
    kinds = ", ".join(f"{name}: float32" for name in names)
    branches = {"part": f"var * {{{kinds}}}", **dict.fromkeys(of_jets, "float32")}
    with contextlib.ExitStack() as stack:
        # uproot writes the time into a file, which would make the same jets different data every second.
        stack.enter_context(mock.patch("uproot._util.datetime_to_code", return_value=0))
        files = [stack.enter_context(uproot.recreate(path, uuid_function=lambda: uuid.UUID(int=1))) for path in paths]
        trees = [file.mktree("tree", branches) for file in files]
        for label, arrays in chunks:
            number = made[label] + np.arange(len(arrays["momenta"]))
            made[label] += len(number)
            part = np.searchsorted(edges[label], number, side="right")
            for code, tree in enumerate(trees):
                some = {name: array[part == code] for name, array in arrays.items()}
                if not len(some["momenta"]):
                    continue
                particles, jets = _branches(some)
                there = some["momenta"][..., 3] > 0
                flat = ak.zip({name: values[there].astype(np.float32) for name, values in particles.items()})
                jets |= {name: np.full(len(there), name == LABELS[label]) for name in LABELS}
                rows = {name: jets[name].astype(np.float32) for name in of_jets}
                tree.extend({"part": ak.unflatten(flat, there.sum(axis=1)), **rows})
    return paths


def _branches(arrays: Arrays) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Branches of particles, without the prefix, (n, P), and of jets, (n,)."""
    momenta, kinds = arrays["momenta"].astype(np.float64), arrays["kinds"]
    axis = boosted_jets.axes(momenta)
    directions = boosted_jets.directions(momenta)
    step = (directions[..., 2] - axis[:, 2:3] + np.pi) % (2 * np.pi) - np.pi
    charge = np.where(np.isin(np.abs(kinds), (11, 13)), -np.sign(kinds), np.sign(kinds)) * ~np.isin(kinds, (22, 130))
    particles = {name.removeprefix("part_"): momenta[..., place] for place, name in enumerate(MOMENTA)}
    particles |= {name.removeprefix("part_"): arrays["displacement"][..., n] for n, name in enumerate(DISPLACEMENT)}
    particles |= {name.removeprefix("part_"): np.abs(kinds) == code for name, code in KINDS.items()}
    towards = np.where(axis[:, 1:2] >= 0, 1, -1)
    particles |= {"charge": charge, "deta": (directions[..., 1] - axis[:, 1:2]) * towards, "dphi": step}
    tau = boosted_jets.subjettiness(momenta)
    jets = dict(zip(("jet_pt", "jet_eta", "jet_phi", "jet_energy"), axis.T, strict=True))
    jets |= {"jet_nparticles": (momenta[..., 3] > 0).sum(axis=1), "jet_sdmass": arrays["soft_drop_mass"]}
    jets |= {f"jet_tau{number + 1}": tau[:, number] for number in range(4)}
    return particles, jets
