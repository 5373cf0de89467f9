"""Belle II pixels: files as a group would put them in place, the variables of a cluster, and the physics by formula."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_user_mistake, hepbench
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.features import pixel_clusters
from hepbench.benchmarks.formats import text, text_table
from hepbench.benchmarks.simulation import pxd
from hepbench.benchmarks.validation import pxd as pxd_validation
from hepbench.suite.data.dataset import obtain, prepare
from hepbench.suite.data.files import choose, official, simulated_classes, simulated_folder

PIXELS = registry.find("task", "pxd_pixels").record
CLUSTERS = registry.find("task", "pxd_clusters").record
MATRIX = ["0"] * 81
MATRIX[40], MATRIX[41], MATRIX[49] = "30", "12", "5"
ROW = "47 30 5 3 2 2"


def text_file(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def read_all(task, paths: list[Path]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    chunks = list(task.read(paths))
    together = {name: np.concatenate([s.arrays[name] for s in chunks]) for name in chunks[0].arrays}
    labels, ids = (np.concatenate([getattr(s, name) for s in chunks]) for name in ("labels", "ids"))
    return together, labels, ids


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [" ", "  ", ",", ", ", ";", "\t"])
def test_pixels_by_hand(tmp_path, separator):
    other = MATRIX.copy()
    other[0] = "255"
    line = separator.join
    pions = text_file(tmp_path / "pion.txt", [line(MATRIX), "", " " + line(other)])
    monopoles = text_file(tmp_path / "monopole.txt", [line(MATRIX)])
    found, labels, ids = read_all(PIXELS, [pions, monopoles])
    image = found["image"]
    assert image.dtype == np.uint16 and image.shape == (3, 9, 9)
    assert (image[0, 4, 4], image[0, 4, 5], image[0, 5, 4], image[1, 0, 0]) == (30, 12, 5, 255)
    assert int(image[0].sum()) == 47
    assert [PIXELS.classes[label] for label in labels] == ["pion", "pion", "monopole"]
    np.testing.assert_array_equal(ids, [2 * 10**9, 2 * 10**9 + 1, 10**9])


def test_a_last_line_without_its_end_and_windows_ends_of_lines(tmp_path):
    path = tmp_path / "pion.txt"
    path.write_bytes(b"\r\n" + f"{ROW}\r\n{ROW}".encode())
    found, _, _ = read_all(CLUSTERS, [path])
    np.testing.assert_array_equal(found["table"], [[47, 30, 5, 3, 2, 2]] * 2)


BAD_LINES = {
    "80 values": (" ".join(MATRIX[1:]), "line 2: 80 values; expected 81"),
    "82 values": (" ".join([*MATRIX, "0"]), "line 2: 82 values; expected 81"),
    "word": (" ".join([*MATRIX[1:], "five"]), "line 2: 'five' is not a number"),
    "two words in one": (" ".join([*MATRIX[1:], "1-2"]), "line 2: '1-2' is not a number"),
    "nan": (" ".join([*MATRIX[1:], "nan"]), "line 2: NaN or infinity"),
    "infinity": (" ".join([*MATRIX[1:], "1e999"]), "line 2: NaN or infinity"),
    "negative": (" ".join([*MATRIX[1:], "-3"]), r"line 2, column 80 .*: a charge below 0 or above 65,535.*\(-3\)"),
    "not of 16 bits": (" ".join(["65536", *MATRIX[1:]]), r"line 2, column 0 .*: a charge .* above 65,535.*\(65536\)"),
    "fraction": (" ".join([*MATRIX[1:], "3.5"]), r"line 2, column 80 .*: a charge that is not a whole number \(3.5\)"),
    "no pixel": (" ".join(["0"] * 81), "line 2: no pixel fired"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_line_of_pixels_is_refused(tmp_path, kind):
    line, fault = BAD_LINES[kind]
    path = text_file(tmp_path / "proton.txt", [" ".join(MATRIX), line])
    with pytest.raises(UserError, match=fault) as caught:
        list(PIXELS.read([path]))
    assert str(path) in str(caught.value)


BAD_CLUSTERS = {
    "47 30 5 3 2": "line 2: 5 values; expected 6",
    "30 47 5 3 2 2": "total charge below the seed",
    "47 5 30 3 2 2": "seed charge below the minimum",
    "47 30 0 3 2 2": "minimum charge not above 0",
    "47 30 5 0 2 2": "size that is not a positive integer",
    "47 30 5 3 2.5 2": "size that is not a positive integer",
    "47 30 5 3 1 2": "size above size in u times",
    "47 30 5 3 4 2": "size below that in u or v",
    "47 30 5 3 2 inf": "line 2: NaN or infinity",
}


@pytest.mark.parametrize("line", BAD_CLUSTERS)
def test_a_bad_line_of_clusters_is_refused(tmp_path, line):
    path = text_file(tmp_path / "pion.txt", [ROW, line])
    with pytest.raises(UserError, match=BAD_CLUSTERS[line]) as caught:
        list(CLUSTERS.read([path]))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("task", [PIXELS, CLUSTERS], ids=["pixels", "clusters"])
@pytest.mark.parametrize(
    "name, content, fault",
    [
        ("pion.txt", None, "no such file"),
        ("pion.txt", b"", "no events in it"),
        ("pion.txt", b"\n \n", "no events in it"),
        ("pion.txt", b"\x89HDF\x0d\x0a\x1a\x0a\x00\x00", "not a text file"),
        ("pion.txt", "Größe\n".encode(), "not a text file"),
        ("pion.txt", b"<html>gone</html>\n", "expected"),
        ("kaon.txt", b"1\n", "line 1: 1 values; expected"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, task, name, content, fault):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=fault) as caught:
        list(task.read([path]))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("task, line", [(PIXELS, " ".join(MATRIX)), (CLUSTERS, ROW)], ids=["pixels", "clusters"])
def test_a_file_of_another_name_has_no_labels(tmp_path, task, line):
    paths = [text_file(tmp_path / f"{name}.txt", [line] * 2) for name in ("hidden", "pion", "kaon")]
    hidden, pion, kaon = task.read(paths)
    assert hidden.labels is None and kaon.labels is None and len(pion.labels) == 2
    assert [*hidden.ids, *kaon.ids] == [0, 1, 2, 3]


def test_a_truncated_file_is_refused(tmp_path):
    path = text_file(tmp_path / "pion.txt", [" ".join(MATRIX)] * 3)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"line 3: \d+ values; expected 81"):
        list(PIXELS.read([path]))


@settings(max_examples=30, deadline=None)
@given(
    any_array(np.int64, st.tuples(st.integers(1, 40), st.just(3)), elements=st.integers(0, 255)), st.integers(20, 90)
)
def test_what_is_written_is_read_whatever_the_block(tmp_path_factory, values, block):
    path = tmp_path_factory.mktemp("lines") / "x.txt"
    np.savetxt(path, values, fmt="%d")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", block)
        chunks = list(text_table.read(path, 3))
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in chunks]), values)
    np.testing.assert_array_equal(np.concatenate([lines for lines, _ in chunks]), np.arange(1, len(values) + 1))


def test_a_fault_has_its_line_whatever_the_block(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "BLOCK", 50)
    path = text_file(tmp_path / "pion.txt", ["", *[ROW] * 39, "47 30 x 3 2 2", *[ROW] * 9])
    with pytest.raises(UserError, match="line 41: 'x' is not a number"):
        list(CLUSTERS.read([path]))


# --- files in a layout of their own ---------------------------------------------------------------------------------

STUDY_CLUSTERS = {"background": "BG", "anti-deuteron": "dd", "pion": "pi", "tetraquark": "T"}


def own_files(home: Path, name: str, files: dict[str, list[str]], *declared: str) -> Path:
    folder = home / "data" / name / "official"
    folder.mkdir(parents=True)
    for file, lines in files.items():
        text_file(folder / file, lines)
    if declared:
        text_file(folder / "layout.toml", list(declared))
    return folder


def declared_in_docs(name: str) -> list[str]:
    """Lines of the declaration that docs/tasks.md has for the study's files."""
    blocks = (ROOT / "docs" / "tasks.md").read_text().split("```toml\n")[1:]
    return blocks[name == "pxd_pixels"].split("```")[0].splitlines()


def test_six_columns_of_the_study_and_what_is_behind_them(home):
    rows = {kind: [f"{47 + n} 30 5 3 2 2 {n}.5 nan"] * 3 for n, kind in enumerate(STUDY_CLUSTERS)}
    files = {f"Beam_{STUDY_CLUSTERS[kind]}_cluster_sim.txt": lines for kind, lines in rows.items()}
    folder = own_files(home, "pxd_clusters", files, *declared_in_docs("pxd_clusters"))
    paths = official(registry.find("task", "pxd_clusters"))
    assert paths == [folder / "layout.toml", *(folder / name for name in files)]
    found, labels, ids = read_all(CLUSTERS, paths)
    np.testing.assert_array_equal(found["table"][:, 0], 47 + labels)
    np.testing.assert_array_equal(ids, labels * 10**9 + np.tile(np.arange(3), 4))
    pair = registry.find("task", "pxd_clusters:tetraquark_vs_pion")
    assert [path.name for path in official(pair)[1:]] == ["Beam_pi_cluster_sim.txt", "Beam_T_cluster_sim.txt"]
    np.testing.assert_array_equal(read_all(pair.record, official(pair))[0]["table"][:, 0], [49] * 3 + [50] * 3)


def test_pixels_of_the_study_between_other_columns(home):
    """monopol_bg_9x9.txt has a column in front, which is 0 in rows of background; the others two, and three behind."""
    high = MATRIX.copy()
    high[0] = "60000"
    line = " ".join
    files = {"monopol_bg_9x9.txt": [line(["0", *MATRIX]), line(["1", *high]), line(["0", *MATRIX])]}
    for kind in ("pion", "proton", "deuteron"):
        files[f"{kind}s.txt"] = [line(["7", "8.5", *MATRIX, "9", "9", "nan"])] * 2
    own_files(home, "pxd_pixels", files, *declared_in_docs("pxd_pixels"))
    found, labels, ids = read_all(PIXELS, official(registry.find("task", "pxd_pixels")))
    assert labels.tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 4]
    assert ids.tolist() == [0, 1, 10**9, *(n * 10**9 + row for n in (2, 3, 4) for row in (0, 1))]
    np.testing.assert_array_equal(found["image"][:, 0, 0], np.where(labels == 1, 60000, 0))
    np.testing.assert_array_equal(found["image"].sum(axis=(1, 2)), np.where(labels == 1, 60047, 47))
    four = registry.find("task", "pxd_pixels:without_background")
    assert read_all(four.record, official(four))[1].tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_the_declaration_is_part_of_the_data(home):
    files = {f"{kind}.txt": ["9 47 30 5 3 2 2 6 6"] * 30 for kind in ("pion", "tetraquark")}
    declared = [f"{kind} = {{first_column = 1}}" for kind in ("pion", "tetraquark")]
    folder = own_files(home, "pxd_clusters", files, *declared)
    pair = registry.find("task", "pxd_clusters:tetraquark_vs_pion")
    before = obtain(pair, "official", None, 0).digest
    text_file(folder / "layout.toml", [declared[0], "tetraquark = {columns = [1, 2, 3, 4, 6, 5]}"])
    assert obtain(pair, "official", None, 0).digest != before


def test_files_of_the_study_without_a_declaration_are_told_what_to_write(home):
    own_files(home, "pxd_clusters", {"Beam_T_cluster_sim.txt": [ROW], "Beam_BG_cluster_sim.txt": [ROW]})
    with pytest.raises(UserError) as caught:
        choose(registry.find("task", "pxd_clusters:tetraquark_vs_background"), "auto")
    lines = declared_in_docs("pxd_clusters")
    assert f"write layout.toml next to them with the lines `{lines[0]}` and `{lines[3]}`" in str(caught.value)
    assert choose(registry.find("task", "pxd_clusters"), "simulated") == "simulated"
    folder = home / "data" / "pxd_clusters" / "official"
    for kind in ("tetraquark", "background"):  # whose files under the names of the task come first
        text_file(folder / f"{kind}.txt", [ROW])
    assert official(registry.find("task", "pxd_clusters:tetraquark_vs_background"))


BAD_DECLARATIONS = {
    "pion = {file = 'pions.txt'": "layout.toml: not TOML .*line 1",
    "pion = {}\npion = {}": "layout.toml: not TOML .*line 2",
    "\nkaon = {}": "layout.toml, line 2: unknown particle type 'kaon'",
    "pion = 'pions.txt'": "line 1: pion must be a table such as",
    "pion = {colums = [0]}": "line 1: unknown key of pion 'colums', did you mean 'columns'",
    "pion = {file = 'a/b.txt'}": "line 1: file of pion must be the name of a file in the same folder",
    "pion = {file = 3}": "file of pion must be the name",
    "[pion]\ncolumns = 3": "line 1: columns of pion must be a list of 6 numbers",
    "pion = {columns = [0, 1, 2, 3, 4]}": "columns of pion must be 6 different numbers, got 5",
    "pion = {columns = [0, 1, 2, 3, 4, 4]}": "columns of pion must be 6 different numbers, got 5",
    "pion = {columns = [0, 1, 2, 3, 4, 5.5]}": "columns of pion must be the number of a column.*5.5",
    "pion = {first_column = -1}": "first_column of pion must be the number of a column.*-1",
    "pion = {first_column = 1, columns = [0, 1, 2, 3, 4, 5]}": "columns and first_column: give one",
    "pion = {only_where_zero = 0, skip_where_zero = 0}": "only_where_zero and skip_where_zero: give one",
    "pion = {skip_where_zero = true}": "skip_where_zero of pion must be the number of a column",
    "pion = {file = 'background.txt'}": "background and pion are the same lines of background.txt",
    "pion = {file = 'Background.txt'}": "background and pion are the same lines of",
    "pion = {file = 'background.txt.gz'}": "background and pion are the same lines of",
    "pion = {file = 'pions.txt'}": "pion is declared to be in pions.txt, which does not exist",
}


@pytest.mark.parametrize("text", BAD_DECLARATIONS)
def test_a_bad_declaration_is_refused(home, text):
    own_files(home, "pxd_clusters", {f"{kind}.txt": [ROW] for kind in CLUSTERS.classes}, text)
    with pytest.raises(UserError, match=BAD_DECLARATIONS[text]) as caught:
        official(registry.find("task", "pxd_clusters"))
    assert "\n" not in str(caught.value) and "layout.toml" in str(caught.value)


UNFIT = {  # declaration, lines of the file
    "pion = {first_column = 1}": ([ROW], r"line 1: 6 values; column 6 \(counted from 0\) is missing"),
    "pion = {first_column = 0}": ([f"{ROW} 1", ROW], "line 2: 6 values; the lines before have 7"),
    "pion = {file = 'pion.txt'}": ([f"{ROW} 1"], "line 1: 7 values; expected 6"),
    "pion = {only_where_zero = 6}": ([f"{ROW} 1"], r"no pion in it: column 6 \(counted from 0\) is never 0"),
    "pion = {skip_where_zero = 6}": ([f"{ROW} 0"], "no pion in it: column 6 .* is never other than 0"),
    "pion = {columns = [0, 1, 2, 3, 4, 6]}": ([f"{ROW} x"], "line 1: 'x' is not a number"),
    "pion = {columns = [6, 1, 2, 3, 4, 5]}": ([f"{ROW} nan"], "line 1: NaN or infinity"),
}


@pytest.mark.parametrize("text", UNFIT)
def test_a_declaration_that_does_not_fit_its_file_is_refused(tmp_path, text):
    lines, fault = UNFIT[text]
    text_file(tmp_path / "layout.toml", [text])
    path = text_file(tmp_path / "pion.txt", lines)
    with pytest.raises(UserError, match=fault) as caught:
        list(CLUSTERS.read([path]))
    assert str(caught.value).startswith(f"{path}")


def test_a_fault_has_its_column_in_the_file(tmp_path):
    text_file(tmp_path / "layout.toml", ["pion = {first_column = 2}"])
    path = text_file(tmp_path / "pion.txt", [" ".join(["7", "8.5", *MATRIX[1:], "2.5", "1"])])
    with pytest.raises(UserError, match=r"line 1, column 82 \(counted from 0\): a charge that is not a whole number"):
        list(PIXELS.read([path]))


@pytest.mark.parametrize(
    "verb", [("bench", "pxd_clusters", "--dry-run"), ("doctor",), ("list", "tasks"), ("data", "pxd_clusters")]
)
def test_a_bad_declaration_ends_a_command_in_one_line(home, verb):
    """Doctor and list, which are to be asked what is wrong, say so among the rest."""
    own_files(home, "pxd_clusters", {f"{kind}.txt": [ROW] for kind in CLUSTERS.classes}, "kaon = {}")
    done = hepbench(*verb, home=home)
    if verb[0] in ("bench", "data"):
        assert_user_mistake(done, "layout.toml, line 1: unknown particle type 'kaon'")
    else:
        assert done.returncode == 0 and "layout" in done.stdout


def test_data_in_a_layout_of_their_own_are_not_fetched(home):
    folder = own_files(
        home,
        "pxd_clusters",
        {f"{kind}s.txt": [ROW] for kind in CLUSTERS.classes},
        *(f'{kind} = {{file = "{kind}s.txt"}}' for kind in CLUSTERS.classes),
    )
    done = hepbench("data", "pxd_clusters", home=home)
    assert done.returncode == 0 and str(folder / "layout.toml") in done.stdout and "tetraquarks.txt" in done.stdout


# --- variants and splits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [PIXELS, CLUSTERS], ids=["pixels", "clusters"])
def test_a_pair_takes_its_two_kinds_and_labels_them(task):
    pairs = {name: pair for name, pair in task.variants.items() if "_vs_" in name}
    assert set(pairs) == {
        "anti-deuteron_vs_background",
        "tetraquark_vs_background",
        "pion_vs_background",
        "anti-deuteron_vs_tetraquark",
        "tetraquark_vs_pion",
    }
    for name, pair in pairs.items():
        signal, background = name.split("_vs_")
        assert pair.classes == (background, signal) and pair.signal == 1
        assert {source.name for source in pair.sources} == {f"{signal}.txt", f"{background}.txt"}


def test_a_pair_of_files_is_drawn_equally(tmp_path):
    many = text_file(tmp_path / "background.txt", [ROW] * 1000)
    few = text_file(tmp_path / "tetraquark.txt", ["90 60 12 3 2 2"] * 200)
    unused = text_file(tmp_path / "pion.txt", ["this one is not opened"])
    pair = CLUSTERS.variants["tetraquark_vs_background"]
    found, labels, ids = read_all(pair, [few, unused, many])
    np.testing.assert_array_equal(found["table"][:, 0], np.where(labels == 1, 90, 47))
    whole = read_all(CLUSTERS, [few, many])
    np.testing.assert_array_equal(ids, whole[2])
    part = pair.split(labels, ids)
    assert np.bincount(labels[part >= 0]).tolist() == [200, 200]
    for label in (0, 1):
        assert np.bincount(part[(labels == label) & (part >= 0)]).tolist() == [140, 40, 20]
    backwards = pair.split(labels[::-1], ids[::-1])[::-1]
    np.testing.assert_array_equal(part, backwards)


def test_without_background_is_the_rest_of_the_same_events(tmp_path):
    """Their ids and their parts are those that they have beside background, whose file is not opened."""
    files = [text_file(tmp_path / f"{kind}.txt", [" ".join(MATRIX)] * 40) for kind in PIXELS.classes[1:]]
    unused = text_file(tmp_path / "background.txt", ["this one is not opened"])
    four = PIXELS.variants["without_background"]
    assert four.classes == ("monopole", "pion", "proton", "deuteron") == tuple(x.name[:-4] for x in four.sources)
    assert four.classes[four.signal] == PIXELS.classes[PIXELS.signal] == "monopole"
    found, labels, ids = read_all(four, [unused, *files])
    whole = read_all(PIXELS, files)
    np.testing.assert_array_equal(found["image"], whole[0]["image"])
    np.testing.assert_array_equal(labels + 1, whole[1])
    np.testing.assert_array_equal(ids, whole[2])
    np.testing.assert_array_equal(four.split(labels, ids), PIXELS.split(*whole[1:]))


@pytest.mark.parametrize("kind", CLUSTERS.classes)
def test_pairs_of_pixels_are_the_clusters_of_the_six_variables(kind):
    """Of the same seed, event by event: equal where the cluster is within its window, else no more."""
    label = CLUSTERS.classes.index(kind)
    pair = next(one for one in PIXELS.variants.values() if kind in one.classes and one.simulation.classes)
    assert pair.simulation.classes == CLUSTERS.classes and pair.size == CLUSTERS.size
    table = CLUSTERS.simulation.generate(label, 0, 5)["table"]
    six = pixel_clusters.six(pair.simulation.generate(label, 0, 5)["image"])
    within = (table[:, 4] <= 5) & (table[:, 5] <= 5)
    assert within.mean() > 0.9
    np.testing.assert_array_equal(six[within], table[within])
    np.testing.assert_array_equal(six[:, 1], table[:, 1])
    assert (six[:, [0, 3, 4, 5]] <= table[:, [0, 3, 4, 5]]).all()


def test_pairs_of_pixels_are_simulated_beside_the_five_kinds(home):
    """Whose files are those that they were without the pairs."""
    entries = {name: registry.find("task", name) for name in ("pxd_pixels", "pxd_pixels:without_background")}
    pairs = [registry.find("task", f"pxd_pixels:{name}") for name in PIXELS.variants if "_vs_" in name]
    whole, four = (simulated_folder(entry, 50, 0) for entry in entries.values())
    assert whole == four and whole.name.startswith("n50_seed0_")
    (folder,) = {simulated_folder(entry, 50, 0) for entry in pairs}
    assert folder.name == f"pairs_{whole.name}"
    files = obtain(pairs[-1], "simulated", 20, 0)
    assert {path.name for path in files.paths} == {f"{kind}.txt" for kind in CLUSTERS.classes}
    prepared = prepare(pairs[-1], files)
    assert np.bincount(prepared.labels).tolist() == [10, 10]
    assert sorted(set(prepared.ids // 10**9)) == [2, 6]  # pion, tetraquark


def test_files_of_other_kinds_alone_are_refused(tmp_path):
    path = text_file(tmp_path / "tetraquark.txt", ["this one is not opened"])
    for task in (PIXELS, CLUSTERS.variants["pion_vs_background"]):
        with pytest.raises(
            UserError, match=r"tetraquark.txt: none of the requested particle types, background, "
        ) as caught:
            list(task.read([path]))
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("task", [PIXELS, CLUSTERS], ids=["pixels", "clusters"])
def test_split_is_70_20_10_of_each_class(task):
    labels = np.repeat(np.arange(len(task.classes)), 1000)
    part = task.split(labels, np.arange(len(labels)))
    for label in range(len(task.classes)):
        assert np.bincount(part[labels == label]).tolist() == [700, 200, 100]


def test_official_files_of_a_pair_are_enough(home):
    folder = home / "data" / "pxd_clusters" / "official"
    folder.mkdir(parents=True)
    for kind in ("pion", "tetraquark"):
        text_file(folder / f"{kind}.txt", [ROW] * 30)
    pair = registry.find("task", "pxd_clusters:tetraquark_vs_pion")
    assert [path.stem for path in official(pair)] == ["pion", "tetraquark"]
    assert official(registry.find("task", "pxd_clusters")) is None


@pytest.mark.parametrize("task", [PIXELS, CLUSTERS], ids=["pixels", "clusters"])
def test_simulated_files_are_whole_numbers_and_read_back(task, tmp_path):
    counts = [7] * len(task.classes)
    made = [task.simulation.generate(label, 0, 3) for label in range(len(task.classes))]
    chunks = ((label, {name: array[:7] for name, array in arrays.items()}) for label, arrays in enumerate(made))
    paths = task.simulation.write(tmp_path, counts, chunks)
    assert sorted(path.stem for path in paths) == sorted(task.classes)
    words = paths[0].read_text().split()
    assert len(words) == 7 * (81 if task is PIXELS else 6) and all(word.isdigit() for word in words)
    found, labels, _ = read_all(task, paths)
    for label, arrays in enumerate(made):
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name][labels == label], array[:7])


# --- all pairs at once -----------------------------------------------------------------------------------------------

REPORTED = ["reported: mlp_pxd_study_six", "reported: mlp_pxd_study_six_appendix"]
ALL_PAIRS = ("bench", "pxd_clusters:all", "--model", "gbdt", "--model", "prior", "--events", 300, "--set", "rounds=3")


@pytest.fixture(scope="module")
def all_pairs(tmp_path_factory):
    """The home of a bench of all pairs, and what it printed."""
    home = tmp_path_factory.mktemp("all") / "home"
    done = hepbench(*ALL_PAIRS, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home, done.stdout


@pytest.mark.long
def test_all_pairs_with_one_command_and_one_table(all_pairs):
    home, printed = all_pairs
    assert printed.count("AUC · simulated data · budget quick, events=300") == 1
    table = printed.partition("AUC · simulated data")[2]
    names = ("gbdt", "prior", "mlp_pxd_study_six ")
    gbdt, prior, reported = (next(x for x in table.splitlines() if x.startswith(name)) for name in names)
    assert gbdt.count("*") == 5 and gbdt.count("±") == 5
    assert prior.count("0.5") == 5 and "*" not in prior
    assert reported.split()[1:] == ["–", "0.992", "0.5", "0.5", "–"]
    assert "reported: mlp_pxd_study_six: Marvin Peter" in table
    for pair in CLUSTERS.variants:
        assert (home / "results" / "reports" / f"pxd_clusters:{pair}.html").is_file()
        assert f"pxd_clusters:{pair}.html" in table


@pytest.mark.long
def test_all_pairs_resume(all_pairs):
    home, _ = all_pairs
    again = hepbench(*ALL_PAIRS, home=home)
    assert again.returncode == 0 and again.stdout.count("2 of 2 results already exist") == 5
    dry = hepbench(*ALL_PAIRS, "--dry-run", home=home)
    assert dry.returncode == 0 and dry.stdout.count("already done") == 10 and "AUC" not in dry.stdout


@pytest.mark.long
def test_the_leaderboard_of_all_pairs_in_every_format(all_pairs):
    home, _ = all_pairs
    board = hepbench("leaderboard", "pxd_clusters:all", home=home)
    assert board.returncode == 0 and "*" in board.stdout and "reported:" in board.stdout
    markdown = hepbench("leaderboard", "pxd_clusters:all", "--format", "markdown", home=home).stdout
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in lines] == ["model", ":---", "gbdt rounds=3", "prior", *REPORTED]
    assert lines[0].split(" | ")[1] == "pxd_clusters:anti-deuteron_vs_background" and lines[2].count("**") == 10
    rows = json.loads(hepbench("leaderboard", "pxd_clusters:all", "--format", "json", home=home).stdout)
    assert {row["task"] for row in rows} == {f"pxd_clusters:{pair}" for pair in CLUSTERS.variants} and len(rows) == 10
    csv = hepbench("leaderboard", "pxd_clusters:all", "--format", "csv", home=home).stdout
    assert len(csv.splitlines()) == 11


def test_what_all_pairs_would_run(home):
    done = hepbench(*ALL_PAIRS, "--dry-run", home=home)
    assert done.returncode == 0 and done.stdout.count("to run") == 10
    assert all(f"pxd_clusters:{pair}:" in done.stdout for pair in CLUSTERS.variants)


@pytest.mark.parametrize(
    "verb, words",
    [
        (("bench", "ecal:all"), "ecal has no variants for ecal:all: give TASK=ecal"),
        (("leaderboard", "ecal:all"), "ecal has no variants"),
        (("leaderboard", "pxd_clusters:all"), "no finished runs"),
        (("bench", "pxd_cluster:all"), "unknown task 'pxd_cluster', did you mean 'pxd_clusters'"),
        (("tune", "pxd_clusters:all", "--model", "mlp"), "unknown variant of pxd_clusters 'all'"),
    ],
)
def test_all_of_nothing_is_refused(home, verb, words):
    assert_user_mistake(hepbench(*verb, home=home), words)


# --- variables of a cluster ------------------------------------------------------------------------------------------


def naive_cluster(charge: np.ndarray) -> set[tuple[int, int]]:
    """Pixels that a walk from the highest one reaches over fired pixels, corners included."""
    seed = divmod(int(np.argmax(charge)), charge.shape[1])
    if charge[seed] == 0:
        return set()
    reached, waiting = {seed}, deque([seed])
    while waiting:
        u, v = waiting.popleft()
        for at in [(u + i, v + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
            inside = 0 <= at[0] < charge.shape[0] and 0 <= at[1] < charge.shape[1]
            if inside and charge[at] > 0 and at not in reached:
                reached.add(at)
                waiting.append(at)
    return reached


@settings(max_examples=80, deadline=None)
@given(any_array(np.uint8, (3, 9, 9), elements=st.sampled_from([0, 0, 0, 4, 9, 200])))
def test_six_variables_are_those_of_a_walk_over_the_pixels(matrices):
    six, mask = pixel_clusters.six(matrices), pixel_clusters.of_seed(matrices)
    for charge, row, own in zip(matrices, six, mask, strict=True):
        pixels = naive_cluster(charge)
        assert {tuple(map(int, at)) for at in np.argwhere(own)} == pixels
        values = [int(charge[at]) for at in pixels] or [0]
        expected = [sum(values), max(values), min(values), len(pixels)]
        expected += [len({at[axis] for at in pixels}) for axis in (0, 1)]
        np.testing.assert_array_equal(row, expected)


def test_shapes_against_loops():
    rng = np.random.default_rng(0)
    charge = rng.integers(4, 200, (50, 9, 9)) * (rng.random((50, 9, 9)) < 0.2)
    charge[:, 4, 4] = 210
    shapes = pixel_clusters.shapes(charge)
    names = (*pixel_clusters.CLUSTER_VARIABLES, *pixel_clusters.SHAPE_VARIABLES)
    assert shapes.shape == (50, len(names)) and np.isfinite(shapes).all()
    for matrix, row in zip(charge, shapes, strict=True):
        found = dict(zip(names, row, strict=True))
        pixels = sorted(naive_cluster(matrix))
        weight = np.array([matrix[at] for at in pixels], float)
        u, v = np.array(pixels, float).T
        mean_u, mean_v = np.average(u, weights=weight), np.average(v, weights=weight)
        covariance = np.cov(np.stack([u, v]), aweights=weight, bias=True)
        axes = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0))
        width = np.sqrt(covariance[0, 0])
        expected = {
            "charge": weight.sum(),
            "mean_charge": weight.mean(),
            "seed_fraction": 210 / weight.sum(),
            "second_charge": np.sort(weight)[-2] if len(weight) > 1 else 0,
            "charge_spread": weight.std(),
            "width_u": width,
            "width_v": np.sqrt(covariance[1, 1]),
            "covariance_uv": covariance[0, 1],
            "skewness_u": np.average((u - mean_u) ** 3, weights=weight) / width**3 if width else 0,
            "major_axis": axes[1],
            "minor_axis": axes[0],
            "saturated": (weight > 100).sum(),
            "e3x3_fraction": weight[(np.abs(u - 4) <= 1) & (np.abs(v - 4) <= 1)].sum() / weight.sum(),
            "outside_charge": matrix.sum() - weight.sum(),
            "outside_pixels": (matrix > 0).sum() - len(weight),
        }
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=2e-5, rel=2e-5), name
        assert mean_v == pytest.approx(np.average(v, weights=weight))


def test_views_of_a_single_pixel():
    arrays = {"image": np.zeros((2, 9, 9), np.uint8)}
    arrays["image"][0, 4, 4], arrays["image"][1, 4, 4], arrays["image"][1, 4, 6] = 30, 20, 10
    image, cloud, table = (PIXELS.views[name](arrays) for name in ("image", "cloud", "table"))
    assert image["image"].shape == (2, 9, 9, 1) and image["image"].dtype == np.float32
    np.testing.assert_array_equal(cloud["mask"].sum(axis=1), [1, 2])
    np.testing.assert_allclose(cloud["points"][1, :2], [[0, 0], [0, 0.1]], atol=1e-7)
    np.testing.assert_allclose(cloud["features"][1, 1], [0, 0.1, np.log(10), np.log(1 / 3), 0.1], rtol=1e-6)
    found = dict(zip(PIXELS.variables, table["table"][1], strict=True))
    assert (found["size"], found["charge"], found["outside_pixels"], found["outside_charge"]) == (1, 20, 1, 10)


# --- physics ---------------------------------------------------------------------------------------------------------


def test_bethe_in_silicon():
    """PDG's table for silicon: minimum 1.664 MeV cm^2/g near beta gamma 3.5; it falls as beta^-5/3 below."""
    beta_gamma = np.geomspace(0.2, 100, 400)
    loss = pxd.mean_loss("pion", beta_gamma) / pxd.DENSITY * 10  # MeV cm^2/g
    assert loss.min() == pytest.approx(1.664, rel=0.01)
    assert 3 < beta_gamma[loss.argmin()] < 4
    slope = np.gradient(np.log(loss), np.log(beta_gamma / np.hypot(1, beta_gamma)))
    assert slope[np.searchsorted(beta_gamma, 0.3)] == pytest.approx(-5 / 3, abs=0.1)


def test_most_probable_loss_by_hand():
    """xi is 1.34 keV / beta^2 in 75 um; 17.5 keV or 4800 electrons at the minimum, 19 keV on the Fermi plateau."""
    assert pxd.xi("pion", np.array([1e3]), 75.0)[0] == pytest.approx(1.337, rel=0.002)
    beta_gamma = np.geomspace(1, 1e4, 200)
    loss = pxd.most_probable_loss("pion", beta_gamma, 75.0)
    plateau = 1.337 * (np.log(2 * 511.0 * 1.337 / 0.03105**2) + 0.2)  # plasma energy 31.05 eV
    assert loss[-1] == pytest.approx(plateau, rel=0.01)
    assert loss.min() / pxd.PAIR == pytest.approx(4800, rel=0.01)


def test_a_monopole_loses_no_more_when_slow():
    """Ahlen: g^2 in place of (z / beta)^2, so the loss falls with the velocity where a charge's rises."""
    slow, fast = np.array([0.3]), np.array([3.0])
    assert pxd.mean_loss("monopole", slow)[0] < pxd.mean_loss("monopole", fast)[0]
    assert pxd.mean_loss("proton", slow)[0] > 3 * pxd.mean_loss("proton", fast)[0]
    ratio = pxd.mean_loss("monopole", fast)[0] / pxd.mean_loss("proton", fast)[0]
    assert ratio == pytest.approx(68.5**2 * 0.9, rel=0.1)


@pytest.mark.parametrize("check", pxd_validation.of_simulation(), ids=lambda check: check.figure)
def test_simulation_at_fixed_momentum_follows_its_formula(check):
    assert abs(check.pull) < 4, check


def test_vavilov_narrows_to_a_gaussian():
    """What a slow deuteron can give to one electron is bounded by 2 m beta^2 gamma^2; a fast pion has a long tail."""
    pion, deuteron = (pxd_validation.total_losses(*one, 6000) for one in (("pion", 3.5), ("deuteron", 0.15)))
    tail = [np.quantile(x, 0.99) / np.median(x) for x in (pion, deuteron)]
    assert tail[0] > 2.5 and tail[1] < 1.4
    assert abs((deuteron.mean() - np.median(deuteron)) / deuteron.std()) < 0.15


def test_largest_transfers():
    assert pxd.highest_transfer("deuteron", np.array([0.2]))[0] == pytest.approx(1022 * 0.04, rel=0.01)
    gamma = np.hypot(1, 10.0)
    assert pxd.highest_transfer("background", np.array([10.0]))[0] == pytest.approx((gamma - 1) * 511 / 2, rel=1e-4)


@pytest.mark.parametrize("kind", pxd.KINDS)
def test_crossings_are_within_the_acceptance(kind):
    crossing = pxd.crossings(kind, 3000, np.random.default_rng(0))
    assert all(len(values) == 3000 and np.isfinite(values).all() for values in crossing.values())
    assert set(np.unique(crossing["pitch_v"])) <= set(pxd.PITCH_V.ravel())
    assert (crossing["beta_gamma"] > 0.04).all()
    if kind == "background":
        assert np.median(np.abs(crossing["tan_u"])) > 3 * np.median(np.abs(PIONS["tan_u"]))


PIONS = pxd.crossings("pion", 3000, np.random.default_rng(1))


def test_a_straight_track_meets_the_sensor_at_the_angle_of_its_place():
    """At high momentum nothing bends: tan_u is the place on the ladder over the radius, tan_v cot(theta) / cos."""
    events = 2000
    rng = np.random.default_rng(0)
    pt, pz = np.full(events, 200.0), np.full(events, 100.0)
    crossing = pxd._cross("pion", pt, pz, rng)
    radius = pxd.RADII[crossing["layer"]]
    place = crossing["tan_u"] * radius
    assert place.min() > pxd.LADDER_U[0] - 0.05 and place.max() < pxd.LADDER_U[1] + 0.05
    np.testing.assert_allclose(crossing["tan_v"], 0.5 * np.hypot(1, crossing["tan_u"]), rtol=5e-3)


def test_thermal_momenta():
    """<E> of exp(-E/T) p^2 dp, for the heavy deuteron near m + 3T/2 and a relativistic correction."""
    share, momentum = pxd._thermal(1.87561)
    sample = np.interp((np.arange(20000) + 0.5) / 20000, share, momentum)
    energy = np.hypot(sample, 1.87561)
    assert energy.mean() == pytest.approx(1.87561 + 1.5 * 0.17 + 15 / 8 * 0.17**2 / 1.87561, rel=0.005)


def test_drift_of_basf2():
    """Charge from the back drifts 53 um and is shifted by some 10 um; near the gate by nothing."""
    shift, spread_u, spread_v = pxd.drift(np.array([0.0, 53.0]))
    assert shift[0] == pytest.approx(9.7, abs=0.2) and shift[1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose([spread_u[1], spread_v[1]], [4.22, 4.09], atol=0.01)


def test_charge_is_kept():
    """What is set free is collected, unless the path leaves the grid."""
    rng = np.random.default_rng(0)
    still = {"tan_u": np.full(200, 0.3), "tan_v": np.full(200, 0.5), "beta_gamma": np.full(200, 1.0)}
    crossing = {**still, "layer": np.zeros(200, np.int64), "pitch_v": np.full(200, 55.0)}
    path = 75 * np.sqrt(1 + 0.3**2 + 0.5**2)
    charge = pxd.deposit("proton", crossing, rng).sum(axis=(1, 2)) * pxd.PAIR
    expected, rough = pxd.most_probable_loss("proton", np.array([1.0]), path)[0], np.median(charge)
    assert expected < rough < 1.3 * expected
    sensor = pxd._sensor(crossing["layer"], crossing["pitch_v"], rng)
    middle = np.full((200, 1), 50.0)
    shares = pxd._collect(
        np.ones((200, 1)), middle * 17, middle * 11, np.full((200, 1), 30.0), np.zeros(200), np.zeros(200), sensor
    )
    np.testing.assert_allclose(shares.sum(axis=(1, 2)), 1, rtol=1e-5)


def test_digitiser():
    rng = np.random.default_rng(0)
    full = pxd.digitise(np.full((20, 35, 19), 1e7, np.float32), rng).astype(float)
    assert full.mean() == pytest.approx(155, abs=1) and full.std() == pytest.approx(30, abs=1)
    mip = pxd.digitise(np.full((20, 35, 19), 6000, np.float32), rng).astype(float)
    assert mip.mean() == pytest.approx(6000 / 217, abs=0.05)
    assert mip.std() == pytest.approx(np.sqrt(150**2 + 6000) / 217, abs=0.3)
    empty = pxd.digitise(np.zeros((6000, 35, 19), np.float32), rng)
    assert (empty > 0).mean() == pytest.approx(1e-5, rel=0.5)
    assert empty[empty > 0].min() >= 4 and empty.max() <= 5


def test_window_has_the_seed_in_the_middle():
    charge = np.zeros((3, 35, 19), np.uint8)
    charge[0, 0, 0], charge[1, 34, 18], charge[2, 17, 9], charge[2, 17, 13] = 9, 9, 9, 7
    windows = pxd.window(charge)
    assert windows.shape == (3, 9, 9)
    np.testing.assert_array_equal(windows[:, 4, 4], 9)
    assert windows[2, 4, 8] == 7 and windows.sum() == 34


def test_background_is_mostly_single_pixels_and_signals_are_not():
    six = {kind: pxd.generate(kind, 3000, np.random.default_rng(0))[1] for kind in ("background", "pion", "tetraquark")}
    single = {kind: (table[:, 3] == 1).mean() for kind, table in six.items()}
    assert single["background"] > 0.5 > 0.3 > single["pion"] > single["tetraquark"]
    assert np.median(six["tetraquark"][:, 0]) > 2 * np.median(six["pion"][:, 0])


@pytest.mark.parametrize("name", ["pxd_pixels", "pxd_clusters"])
def test_a_chunk_is_its_seed_class_and_number(name):
    generate = registry.find("task", name).record.simulation.generate

    def text(*which):
        return {key: array.tobytes() for key, array in generate(*which).items()}

    first = text(2, 1, 0)
    assert first == text(2, 1, 0)
    assert first != text(2, 0, 0) and first != text(2, 1, 1) and first != text(3, 1, 0)


@pytest.mark.parametrize(
    "name",
    [
        "pxd_pixels",
        "pxd_pixels:without_background",
        "pxd_pixels:tetraquark_vs_pion",
        "pxd_clusters",
        "pxd_clusters:tetraquark_vs_pion",
    ],
)
def test_validation_agrees(name):
    entry = registry.find("task", name)
    generate, key = entry.record.simulation.generate, "image" if "pixels" in name else "table"
    base = simulated_classes(entry)
    made = [generate(base.index(kind), 0, 0)[key] for kind in entry.record.classes]
    labels = np.repeat(np.arange(len(made)), [len(one) for one in made])
    checks = entry.record.validate({key: np.concatenate(made)}, labels)
    assert len(checks) >= 10
    assert all(abs(check.pull) < 4 for check in checks), [c for c in checks if abs(c.pull) >= 4]
