"""The disk fills at a step of the program: a tmpfs where one may be mounted, else no file may grow further."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from faults.commands import MOMENTS, arguments_of, check_files, stage, strike
from faults.scene import Running, Scene

DISKS = 2 * len(MOMENTS)
SIZE = 2**31  # bytes of the disk


def fill(scene: Scene, number: int) -> str:
    """Every moment twice: with nearly no room left, and with room for some of what follows. In every third fault the
    program's temporary files lie on that disk, too."""
    moment = MOMENTS[number % len(MOMENTS)]
    chance = random.Random(f"disk {number}")
    spare = chance.randrange(2**14 if number < len(MOMENTS) else 2**20)
    with _disk(scene.home) if may_mount() else contextlib.nullcontext():
        stage(scene, moment.command)
        if number % 3 == 0:
            (scene.home / "tmp").mkdir()
            scene.variables["TMPDIR"] = str(scene.home / "tmp")
        if may_mount():
            ballast = scene.home / "ballast"

            def blow(running: Running) -> str:
                with ballast.open("wb") as file:
                    while (room := shutil.disk_usage(scene.home).free - spare) > 4096:
                        with contextlib.suppress(OSError):  # the program was faster
                            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), room // 4096 * 4096)
                return f"{spare:,} bytes left on the disk"

            done = strike(scene, moment, chance, blow, limit=150)
            ballast.unlink()
        else:
            limit = ["prlimit", f"--fsize={spare}"]
            scene.call(*arguments_of(moment.command, scene), before=limit)
            done = f"no file above {spare:,} bytes, {moment.command.name}"
        scene.repeat(*arguments_of(moment.command, scene))
    check_files(scene, moment.command)
    return done


@functools.cache
def may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _disk(Path(folder) / "disk"):
                return True
        except (subprocess.CalledProcessError, OSError):
            return False


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """A disk that is mounted at this folder; in the end the folder is a plain one with what was on the disk."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "hepbench-faults", folder]
    subprocess.run(mount, check=True, capture_output=True)
    kept = folder.with_name("kept")
    try:
        yield
        shutil.copytree(folder, kept)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()
    kept.rename(folder)
