"""The Makefile: whatever its variables hold reaches programs as words, and no shell as a program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

TEXT = (ROOT / "Makefile").read_text()
CODE = re.sub(r"^#.*$", "", TEXT, flags=re.MULTILINE)
GIVEN = re.search(r"^GIVEN := ((?:.*\\\n)*.*)$", TEXT, re.MULTILINE).group(1).replace("\\", "").split()
"""Variables that a user sets."""

FIXED = {"VENV", "READY", "LOCK", "HEPBENCH", "PYTEST", "EXTRAS", "COMPILE", "ELSEWHERE", "CURDIR", "MAKEFILE_LIST"}
FIXED |= {"MAKECMDGOALS", "NEWLINE"} | set(re.findall(r"^([A-Z_]+) (?:=|:=) ", TEXT, re.MULTILINE)) | {"TAKEN"}
"""Those that the Makefile makes itself."""

TARGETS = sorted(set(re.findall(r"^([a-z-]+):.*## ", TEXT, re.MULTILINE)) - {"help", "clean", "lock"})

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.fixture
def folder(tmp_path):
    """One with the Makefile and programs that print their words."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (tmp_path / "tests").mkdir()  # where the faults are called from
    for name in ("hepbench", "python", "ruff", "mypy", "mkdocs"):
        (programs / name).write_text('#!/bin/sh\nprintf "[%s]" "$@"; echo\n')
        (programs / name).chmod(0o755)
    locks = ("requirements.lock", "requirements-cuda.lock")
    for name in (*locks, "pyproject.toml"):
        (tmp_path / name).touch()
    for name in locks:  # after all that it is made from, else `make` makes it again
        (programs.parent / f"{name}.ready").touch()
    return tmp_path


def made(folder: Path, *arguments: str, **variables: str) -> str:
    return asked(folder, *arguments, **variables).stdout


def asked(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN and "MAKE" not in name}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment | variables, capture_output=True, text=True, timeout=900
    )


def hostile(trap: Path) -> tuple[str, ...]:
    """A shell reads nothing of a line with quotes that do not close, so that each has those of its own."""
    touch = f"touch {trap}"
    return (
        f"a; {touch} `{touch}` $({touch}) $(shell {touch}) '; {touch}; ' \"; {touch}; # \n{touch} #\\",
        f"a; {touch}; `{touch}` $({touch}) $(shell {touch})",
        f"a' ; {touch} ; 'b \" ; {touch} ; \" c",
    )


@pytest.mark.parametrize("number", range(len(hostile(Path()))))
@pytest.mark.parametrize("origin", ["command line", "environment"])
def test_a_program_in_a_variable_is_no_program(origin, number, folder):
    trap = folder / "trapped"
    text = hostile(trap)[number]
    values = {name: text for name in GIVEN if name != "PYTHON"}
    if origin == "environment":
        made(folder, "-i", "-k", *TARGETS, **values)
        made(folder, "-i", "-B", "env", **values, PYTHON=text)
        asked(folder, "bench", f"{text}=1", PYTHON=text)
    else:
        told = made(folder, "-i", "-k", *TARGETS, *(f"{name}={value}" for name, value in values.items()))
        assert "[bench]" in told  # nothing was refused
        made(folder, "-i", "-B", "env", f"CUDA={text}", f"PYTHON={text}")
        made(folder, "bench", "UNKNOWN=1", f"PYTHON={text}")
        made(folder, text.replace("=", ""), "TASK=ecal")
    assert not trap.exists()


@pytest.mark.parametrize(
    "words, said",
    [
        ("bench TASK=ecal SEED=3", "unknown variable SEED, did you mean SEEDS? Known to make bench: BACKEND BUDGET "),
        ("bench MODELS=cnn", "unknown variable MODELS, did you mean MODEL?"),
        ("bench task=ecal", "unknown variable task, did you mean TASK?"),
        ("bench BUGDET=smoke", "unknown variable BUGDET, did you mean BUDGET?"),
        ("leaderboard TASK=x SEEDS=3", "unknown variable SEEDS. Known to make leaderboard:"),
        ("bench ecal", "unknown target ecal, did you mean make bench TASK=ecal? Known: bench "),
        ("bench ecal magic", 'did you mean make bench TASK="ecal magic"?'),
        ("reproduce ecal_cnn", "did you mean make reproduce STUDY=ecal_cnn?"),
        ("becnh TASK=ecal", "unknown target becnh, did you mean make bench?"),
    ],
)
def test_what_is_not_known_is_refused_with_the_near_name(words, said, folder):
    done = asked(folder, *words.split())
    assert done.returncode == 2 and not done.stdout, done.stdout
    assert said in done.stderr


@pytest.mark.parametrize("target", ["help", "clean", "env", "doctor", "test"])
def test_every_target_refuses_what_it_does_not_take(target, folder):
    done = asked(folder, target, "TASKS_=1")
    assert done.returncode == 2 and f"Known to make {target}: " in done.stderr
    assert (folder / ".venv").exists() and not done.stdout


def test_every_variable_is_taken_by_a_target(folder):
    done = asked(folder, *TARGETS, "UNKNOWN=1")
    assert set(done.stderr.partition("Known to make ")[2].partition(":")[2].rpartition(".  Stop.")[0].split()) == {
        *GIVEN
    }


def test_every_variable_of_a_recipe_is_known():
    used = set(re.findall(r"\$\((\w+)\)", CODE)) | set(re.findall(r"\$\(call \w+,(?:[\w-]+,)?([A-Z_]+)\)", CODE))
    assert {name for name in used if name.isupper()} <= {*GIVEN, *FIXED}


def test_no_function_has_the_name_of_one_of_make():
    """`$(call words,ONLY)` is the number of words, whatever the Makefile defines under that name."""
    own = set(re.findall(r"^([a-z]+) = .*\$\(1\)", CODE, re.MULTILINE))
    assert {"quoted", "option", "parts"} <= own
    built_in = """subst patsubst strip findstring filter filter-out sort word words wordlist firstword lastword dir
        notdir suffix basename addsuffix addprefix join wildcard realpath abspath if or and intcmp foreach file call
        value eval origin flavor error warning info shell guile let"""
    assert not own & set(built_in.split())


def test_words_arrive_as_they_were_given(folder):
    (folder / "one.hdf5").touch()
    (folder / "two.hdf5").touch()
    told = made(
        folder, "bench", "TASK=my task.py", "MODEL=gbdt ./a'b.py", "SET=step_epoch=10,20 x=$y", "COLUMNS=a b", "DRY=0"
    )
    assert told == "[bench][my task.py][--model][gbdt][--model][./a'b.py][--set][step_epoch=10,20][--set][x=$y]" + (
        "[--columns][a b]\n"
    )
    told = made(folder, "predict", "RUN=ab", "FILES=*.hdf5 absent.hdf5", "OUT=x y", "MODEL=./my.py")
    assert told == "[predict][ab][one.hdf5][two.hdf5][absent.hdf5][--out][x y][--model][./my.py]\n"
    told = made(folder, "score", "TASK=x", "FILES=*.hdf5", "NAME=mine", "URL=https://a/b?c=d&e", "FORCE=1")
    assert told == "[score][x][one.hdf5][two.hdf5][--name][mine][--url][https://a/b?c=d&e][--force]\n"
    assert made(folder, "score", "TASK=x", "FILES=one.hdf5", NAME="machine") == "[score][x][one.hdf5]\n"
    assert made(folder, "events", "TASK=x", "SPLIT=train", "LABELS=1") == "[events][x][--split][train][--labels]\n"
    assert made(folder, "export", "TASK=all", "OUT=a b.zip") == "[export][all][--out][a b.zip]\n"
    assert made(folder, "import", "FILES=one.hdf5") == "[import][one.hdf5]\n"
    assert made(folder, "faults", "ONLY=kill:1 disk") == "[-m][faults][kill:1][disk]\n"
    assert made(folder, "faults") == "[-m][faults]\n"
    assert made(folder, "reproduce") == "[reproduce][--list]\n"
    assert made(folder, "reproduce", "STUDY=ecal_cnn", "ONLY=a b") == "[reproduce][ecal_cnn][--only][a][--only][b]\n"
    assert made(folder, "leaderboard", "TASK=x", COLUMNS="80") == "[leaderboard][x]\n"
    told = made(folder, "compare", "TASK=x", "A=cnn", "B=gbdt rounds=3", "BUDGET=quick")
    assert told == "[compare][x][cnn][gbdt rounds=3][--budget][quick]\n"
    assert made(folder, "sweep", "TASK=x", "EPOCHS=1,2", "FORCE=1") == "[sweep][x][--epochs][1,2][--force]\n"
    told = made(folder, "curve", "TASK=x", "MODEL=a b", "TRAIN_EVENTS=10 20", "SEEDS=2", "FORMAT=markdown", "DRY=1")
    curve = "[curve][x][--model][a][--model][b][--seeds][2][--train-events][10 20][--format][markdown][--dry-run]"
    assert told == f"{curve}\n"
    assert made(folder, "test-all", "ONLY=long").endswith("[-m][long]\n")


def test_a_row_with_settings_can_be_plotted(folder):
    told = made(folder, "plot", "TASK=ecal", "MODEL=cnn gbdt rounds=300 depth=3 mlp tuned")
    assert "[--model][,cnn ,gbdt rounds=300 depth=3 ,mlp tuned]" in told
