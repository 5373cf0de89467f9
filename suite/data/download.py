"""Fetches the published files of a task and checks them; tells a listener how far it is.

pooch fetches, with the transfer that is written here: its own asks for no byte range, so that a connection that breaks
at 70 of the 80 MB of a file of `ecal` would have them sent again. Ours resumes, in a later command, too, which the
tests see on a server that breaks off twice.
"""

from __future__ import annotations

import logging
import os
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hepbench.benchmarks.base import Source, Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite.atomic import write_whole
from hepbench.suite.data.dataset import refuse_unlabelled
from hepbench.suite.data.files import digest_of_file
from hepbench.suite.paths import official_folder

BLOCK = 2**20  # bytes
ATTEMPTS = 4  # each resumes where the one before it stopped
TIMEOUT = 30  # seconds without a byte


@dataclass(frozen=True)
class Transfer:
    """So many bytes of a file have arrived, of a total where it is known."""

    source: Source
    done: int
    total: int | None


@dataclass(frozen=True)
class Checked:
    """A file is in place and as it should be. fetched: it came just now."""

    source: Source
    fetched: bool


Listener = Callable[[Transfer | Checked], None]


def carried(task: Entry[Task]) -> list[Path] | None:
    """Genuine data that an installed Python package carries; None where the task's come by download or not at all."""
    return task.record.locate() if task.record.locate else None


def fetch(task: Entry[Task], count: int | None, listener: Listener) -> list[Path]:
    """The official files of a task, or the first `count` of them, downloaded where they are not in place and checked
    in any case.

    A published sha256 is compared; otherwise the size, where one is known, and the structure as the task's reader
    sees it. Digests are recorded in SHA256SUMS beside the files. Raises UserError if a file cannot be had.
    """
    record, folder = task.record, official_folder(task.dataset)
    if not record.sources:
        raise UserError(f"{task.name} has no published file: DATA=simulated makes its data")
    needed = record.needed or sum(not source.optional for source in record.sources)
    if count is not None and not needed <= count <= len(record.sources):
        raise UserError(f"{task.name} has {len(record.sources)} files and needs at least {needed}, got files={count}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for source in record.sources[:count]:
        path = folder / source.name
        there = path.is_file()
        if there:
            _check(path, source, record)
        elif not source.url:
            or_else = ", or declare what you have in layout.toml beside it" if record.own_layout else ""
            raise UserError(f"{source.name} is published nowhere: put your own file at {path}{or_else}")
        else:
            arriving = folder / ".arriving"
            _retrieve(source, arriving, path, listener)
            try:
                _check(arriving / source.name, source, record)
            except UserError:
                (arriving / source.name).unlink()
                raise
            os.replace(arriving / source.name, path)
        listener(Checked(source, fetched=not there))
        paths.append(path)
    sums = [f"{digest_of_file(path)}  {path.name}\n" for path in paths]
    write_whole(folder / "SHA256SUMS", "".join(sums))
    return paths


def _retrieve(source: Source, folder: Path, final: Path, listener: Listener) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)

    def download(url: str, output: str, _: object) -> None:
        part = folder / f"{source.name}.part"
        _transfer(url, part, source, listener)
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
            f"Repeat the command to resume, or fetch it by hand and put it at {final}{size}"
        ) from None


def _transfer(url: str, part: Path, source: Source, listener: Listener) -> None:
    """Bring `part` to its end, in several attempts. Raises the last error of `requests`."""
    import requests
    import tenacity

    broken = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_incrementing(start=1, increment=1),
        retry=tenacity.retry_if_exception_type(broken),
        reraise=True,
    )
    retrying(_resume, url, part, source, listener)


def _resume(url: str, part: Path, source: Source, listener: Listener) -> None:
    """One attempt, with a byte range where `part` has begun."""
    import requests

    begun = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={begun}-", "Accept-Encoding": "identity"} if begun else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
        if reply.status_code == 416:  # nothing is left to send: whole, or longer than it should be
            if begun == _length(reply.headers.get("Content-Range", "")):
                return
            part.unlink()
            raise requests.ConnectionError("the server's file is shorter than what has arrived")
        reply.raise_for_status()
        resumed = reply.status_code == 206
        done = begun if resumed else 0
        left = reply.headers.get("Content-Length")
        total = done + int(left) if left else source.size
        listener(Transfer(source, done, total))
        with part.open("ab" if resumed else "wb") as file:
            for block in reply.iter_content(BLOCK):
                file.write(block)
                done += len(block)
                listener(Transfer(source, done, total))
        if left and total is not None and part.stat().st_size < total:
            raise requests.ConnectionError("the transfer ended early")


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
    events = next(iter(task.read([path])), None)  # the reader complains of what is not its format
    if events and events.labels is None:
        refuse_unlabelled(task.read, [path])
