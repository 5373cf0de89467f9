"""`make data`: fetches the official files of a task, goes on where a broken transfer stopped, and checks them."""

from __future__ import annotations

import logging
import os
import time
import urllib.parse
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Source, Task, UserError
from hepbench.suite.atomic import write_whole
from hepbench.suite.data.files import digest_of_file
from hepbench.suite.paths import official_folder

BLOCK = 2**20
TRIES = 4  # each goes on where the one before it stopped
TIMEOUT = 30  # seconds without a byte


def fetch(task_given: str, count: int | None, console: Console) -> list[Path]:
    """The official files of a task, or the first `count` of them, downloaded where they are not in place and checked
    in any case.

    A published sha256 is compared; otherwise the size, where one is known, and the structure as the task's reader
    sees it. Digests are recorded in SHA256SUMS beside the files. Raises UserError if a file cannot be had.
    """
    entry = registry.find("task", task_given)
    task = entry.record
    folder = official_folder(entry.dataset)
    carried = task.locate() if task.locate else None
    if carried:
        console.print(f"{entry.name}: genuine data are here with a Python package, no download needed: {carried[0]}")
        return carried
    if not task.sources:
        raise UserError(f"{entry.name} has no published file: DATA=simulated makes its data")
    needed = len(task.sources) if task.needed is None else task.needed
    if count is not None and not needed <= count <= len(task.sources):
        raise UserError(f"{entry.name} has {len(task.sources)} files and needs at least {needed}, got files={count}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for source in task.sources[:count]:
        path = folder / source.name
        if path.is_file():
            _check(path, source, task)
            console.print(f"{source.name}: in place, as it should be")
        elif not source.url:
            raise UserError(f"{source.name} is published nowhere: put your own file at {path}")
        else:
            arriving = folder / ".arriving"
            _retrieve(source, arriving, path, console)
            try:
                _check(arriving / source.name, source, task)
            except UserError:
                (arriving / source.name).unlink()
                raise
            os.replace(arriving / source.name, path)
            console.print(f"{source.name}: fetched and checked")
        paths.append(path)
    sums = [f"{digest_of_file(path)}  {path.name}\n" for path in paths]
    write_whole(folder / "SHA256SUMS", "".join(sums))
    console.print(f"{len(paths)} files in {folder}; digests in SHA256SUMS. make bench TASK={entry.name} reads them.")
    return paths


def _retrieve(source: Source, folder: Path, final: Path, console: Console) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)

    def download(url: str, output: str, _) -> None:
        part = folder / f"{source.name}.part"
        _resume(url, part, source, console)
        os.replace(part, output)

    known = f"sha256:{source.sha256}" if source.sha256 else None
    try:
        pooch.retrieve(source.url, known, fname=source.name, path=folder, downloader=download)
    except (requests.RequestException, ValueError) as error:
        host = urllib.parse.urlsplit(source.url).netloc
        if isinstance(error, requests.Timeout):
            reason = f"{host} does not answer"
        elif isinstance(error, requests.ConnectionError):
            reason = f"no connection to {host}, or it broke off"
        else:  # the server's refusal, or pooch's word on the digest
            reason = " ".join(str(error).split())
        size = f" ({source.size:,} bytes)" if source.size else ""
        raise UserError(
            f"{source.name} could not be fetched from {source.url}: {reason}. "
            f"Repeat the command to go on, or fetch it by hand and put it at {final}{size}"
        ) from None


def _resume(url: str, part: Path, source: Source, console: Console) -> None:
    """Bring `part` to its end, with a byte range where it has begun. Raises the last error of `requests`."""
    import requests

    columns = [TextColumn(source.name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console) as bar:
        line = bar.add_task(source.name, total=source.size)
        for attempt in range(1, TRIES + 1):
            begun = part.stat().st_size if part.is_file() else 0
            headers = {"Range": f"bytes={begun}-", "Accept-Encoding": "identity"} if begun else {}
            try:
                with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
                    if reply.status_code == 416:  # nothing is left to send: whole, or longer than it should be
                        if begun == _length(reply.headers.get("Content-Range", "")):
                            return
                        part.unlink()
                        continue
                    reply.raise_for_status()
                    resumed = reply.status_code == 206
                    left = reply.headers.get("Content-Length")
                    done = begun if resumed else 0
                    bar.update(line, completed=done, total=done + int(left) if left else source.size)
                    with part.open("ab" if resumed else "wb") as file:
                        for block in reply.iter_content(BLOCK):
                            file.write(block)
                            bar.advance(line, len(block))
                    if left and part.stat().st_size < done + int(left):
                        raise requests.ConnectionError("the transfer ended early")
                    return
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if attempt == TRIES:
                    raise
                time.sleep(attempt)
    raise requests.ConnectionError("the server's file is shorter than what has arrived")


def _length(content_range: str) -> int | None:
    """Of `bytes */1234`, 1234."""
    _, _, total = content_range.partition("/")
    return int(total) if total.isdigit() else None


def _check(path: Path, source: Source, task: Task) -> None:
    """Raises UserError if the file has another digest or size than published, or is not what the reader expects."""
    found = path.stat().st_size
    if source.sha256:
        digest = digest_of_file(path)
        if digest != source.sha256:
            raise UserError(f"{path.name}: sha256 is {digest}, published is {source.sha256}: remove it and fetch again")
    elif source.size is not None and found != source.size:
        raise UserError(f"{path.name}: {found:,} bytes, published are {source.size:,}: remove it and fetch again")
    next(iter(task.read([path])), None)  # the reader complains of what is not its format
