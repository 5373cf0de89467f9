"""Downloads the published files of a task and verifies them; reports progress to a listener.

requests does the transfer, with the proxy, certificates and netrc of its environment. Resuming, also by a later
command, is implemented here: no common library requests a byte range and verifies that the remainder belongs to the
same file.
"""

from __future__ import annotations

import contextlib
import email.utils
import importlib.metadata
import json
import os
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hepbench.benchmarks.base import Source, Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite.atomic import locked, write_atomically
from hepbench.suite.data.dataset import refuse_unlabelled
from hepbench.suite.data.files import digest_of_file
from hepbench.suite.paths import official_folder
from hepbench.tracking.passwords import masked

if TYPE_CHECKING:
    from requests import Response

BLOCK = 2**20  # bytes
ATTEMPTS = 4  # per address; each resumes where the previous one stopped
TIMEOUT = 30  # seconds without a byte
LONGEST_WAIT = 300.0
"""Seconds; if a server asks for a longer pause, the download gives up."""
BUSY = (408, 429, 500, 502, 503, 504)
"""Status codes of a server that may provide the file a little later."""


@dataclass(frozen=True)
class Transfer:
    """`done` bytes of a file have arrived, of a total if known."""

    source: Source
    done: int
    total: int | None


@dataclass(frozen=True)
class Waiting:
    """An address is tried again after this number of seconds, for this reason."""

    source: Source
    seconds: float
    reason: str


@dataclass(frozen=True)
class NextAddress:
    """An address did not provide the file, for this reason; the next is tried."""

    source: Source
    reason: str


@dataclass(frozen=True)
class Checked:
    """A file is present and verified. fetched: it was just downloaded."""

    source: Source
    fetched: bool


DownloadEvent = Transfer | Waiting | NextAddress | Checked
Listener = Callable[[DownloadEvent], None]


class Refused(Exception):
    """An address does not provide the file; the message says why. wait: seconds after which it may, None if retrying is
    pointless."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


def carried(task: Entry[Task]) -> list[Path] | None:
    """Genuine data shipped in an installed Python package; None if the task's are downloaded or do not exist."""
    return task.record.locate() if task.record.locate else None


def fetch(task: Entry[Task], count: int | None, listener: Listener) -> list[Path]:
    """The official files of a task, or the first `count` of them, downloaded if missing and verified in any case.

    A published sha256 or md5 is compared; otherwise the size, if known, and the structure as the task's reader sees it.
    Digests are recorded in SHA256SUMS next to the files. Raises UserError if a file cannot be obtained.
    """
    record, folder = task.record, official_folder(task.dataset)
    if not record.sources:
        raise UserError(f"{task.name} has no published file: DATA=simulated generates its data")
    needed = record.required_sources or sum(not source.optional for source in record.sources)
    if count is not None and not needed <= count <= len(record.sources):
        raise UserError(f"{task.name} has {len(record.sources)} files and needs at least {needed}, got files={count}")
    arriving = folder / ".arriving"
    paths = []
    for source in record.sources[:count]:
        path = folder / source.name
        with locked(arriving):  # another command may fetch the same file
            there = path.is_file()
            if there:
                _check(path, source, record)
            elif not source.url:
                or_else = ", or declare your files in layout.toml next to it" if record.custom_layout else ""
                raise UserError(f"{source.name} is not published: put your own file at {path}{or_else}")
            else:
                _retrieve(source, arriving / source.name, path, record, listener)
        listener(Checked(source, fetched=not there))
        paths.append(path)
    sums = [f"{digest_of_file(path)}  {path.name}\n" for path in paths]
    write_atomically(folder / "SHA256SUMS", "".join(sums))
    return paths


def _retrieve(source: Source, arriving: Path, final: Path, task: Task, listener: Listener) -> None:
    """Download a file from the first of its addresses that provides it."""
    arriving.parent.mkdir(parents=True, exist_ok=True)
    part = arriving.with_name(f"{arriving.name}.part")
    reasons = []
    addresses = (source.url, *source.mirrors)
    for url in addresses:
        try:
            _transfer(url, part, source, listener)
            os.replace(part, arriving)
            try:
                _check(arriving, source, task)
            except UserError as error:
                arriving.unlink()
                raise Refused(str(error)) from None
            os.replace(arriving, final)
            _note(part).unlink(missing_ok=True)
            return
        except Refused as error:
            reasons.append(f"{masked(url)}: {error}")
            if url != addresses[-1]:
                listener(NextAddress(source, reasons[-1]))
    size = f" ({source.size:,} bytes)" if source.size else ""
    raise UserError(
        f"{source.name} could not be downloaded from {'; nor from '.join(reasons)}. "
        f"Repeat the command to resume, or download it manually and put it at {final}{size}"
    )


def _transfer(url: str, part: Path, source: Source, listener: Listener) -> None:
    """Complete `part`, in several attempts. Raises Refused."""
    import tenacity

    def wait(state: tenacity.RetryCallState) -> float:
        asked = state.outcome and state.outcome.exception()
        return max(float(state.attempt_number), getattr(asked, "wait", None) or 0.0)

    def tell(state: tenacity.RetryCallState) -> None:
        listener(Waiting(source, state.upcoming_sleep, str(state.outcome and state.outcome.exception())))

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=wait,
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Refused) and error.wait is not None),
        before_sleep=tell,
        reraise=True,
    )
    retrying(_attempt, url, part, source, listener)


def _attempt(url: str, part: Path, source: Source, listener: Listener) -> None:
    """One attempt, with a byte range if `part` exists and the remainder can be verified to belong to the same file: by
    the server's version of it, or by a published digest."""
    import requests

    begun, version = _begun(part, url)
    if not (version or source.digest):
        begun = 0
    headers = {"User-Agent": user_agent(), "Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
        if version:
            headers["If-Range"] = version
    with _faults(url), requests.Session() as session:
        session.verify = os.environ.get("SSL_CERT_FILE") or True  # unless REQUESTS_CA_BUNDLE names another
        reply = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
        with reply:
            if reply.status_code == 416 and begun == _total(reply):  # nothing is left to send
                return
            if reply.status_code == 416 or (reply.status_code == 206 and not _continues(reply, begun, version)):
                part.unlink(missing_ok=True)
                raise Refused("the file has changed meanwhile and is downloaded again", wait=0)
            _refuse_status(reply)
            _store(reply, url, part, source, listener)


def _store(reply: Response, url: str, part: Path, source: Source, listener: Listener) -> None:
    """Write what the server sends, byte for byte, at the end of `part` or over it."""
    resumed = reply.status_code == 206
    done = part.stat().st_size if resumed else 0
    left = reply.headers.get("Content-Length", "")
    total = done + int(left) if left.isdigit() else source.size
    blocks: Iterator[bytes] = reply.raw.stream(BLOCK, decode_content=False)
    first = next(blocks, b"")
    if not resumed:
        if _is_page(first, reply.headers.get("Content-Type", "")):
            raise Refused(
                f"{urllib.parse.urlsplit(reply.url).hostname} sends a web page in place of the file: it may require a "
                "login or the acceptance of a licence in a browser"
            )
        part.unlink(missing_ok=True)
        write_atomically(_note(part), json.dumps({"url": url, "version": _version(reply.headers)}))
    listener(Transfer(source, done, total))
    with part.open("ab") as file:
        while first:
            file.write(first)
            done += len(first)
            listener(Transfer(source, done, total))
            first = next(blocks, b"")
    if total is not None and done < total:
        raise Refused("the transfer ended early", wait=0)


@contextlib.contextmanager
def _faults(url: str) -> Iterator[None]:
    """Converts errors of the transfer to Refused."""
    import requests
    import urllib3

    host = urllib.parse.urlsplit(url).hostname
    try:
        yield
    except requests.exceptions.SSLError as error:
        fix = "if your site has its own certificates, set REQUESTS_CA_BUNDLE to their file"
        raise Refused(f"the certificate of {host} is not accepted ({_last_words(error)}): {fix}") from None
    except requests.exceptions.ProxyError as error:
        proxy = requests.utils.get_environ_proxies(url).get(urllib.parse.urlsplit(url).scheme, "")
        raise Refused(f"the proxy {masked(proxy)} of the environment fails: {_last_words(error)}") from None
    except (requests.Timeout, urllib3.exceptions.ReadTimeoutError):
        raise Refused(f"{host} does not answer", wait=0) from None
    except (requests.ConnectionError, urllib3.exceptions.HTTPError):
        raise Refused(f"no connection to {host}, or it was interrupted", wait=0) from None
    except OSError as error:
        if error.errno is not None:  # of the disk
            raise
        raise Refused(masked(" ".join(str(error).split()))) from None


def _refuse_status(reply: Response) -> None:
    status = reply.status_code
    if status < 400:
        return
    host, reason = urllib.parse.urlsplit(reply.url).hostname, f"{reply.status_code} {reply.reason or ''}".strip()
    if status not in BUSY:
        raise Refused(f"{host} answers {reason}")
    wait = _seconds(reply.headers.get("Retry-After", ""))
    if wait > LONGEST_WAIT:
        raise Refused(f"{host} answers {reason} and asks to retry in {wait:,.0f} s")
    raise Refused(f"{host} answers {reason}", wait)


def user_agent() -> str:
    """hepbench/VERSION and a link: some servers reject clients that do not identify themselves."""
    about = importlib.metadata.metadata("hepbench")
    addresses = [line.split(", ", 1)[1] for line in about.get_all("Project-URL") or []]
    return f"hepbench/{about['Version']} ({f'+{addresses[0]}' if addresses else about['Summary']})"


def _begun(part: Path, url: str) -> tuple[int, str]:
    """Bytes that have arrived, and the version of their file by this address, if any."""
    try:
        note = json.loads(_note(part).read_text())
        return part.stat().st_size, note["version"] if note["url"] == url else ""
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""


def _note(part: Path) -> Path:
    """File next to a partial download with its address and version."""
    return part.with_name(f"{part.name}.json")


def _version(headers: Mapping[str, str]) -> str:
    """Identifier of the exact content: a strong ETag, or else the time of the last change."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _continues(reply: Response, begun: int, version: str) -> bool:
    """Whether a reply has the requested range: some servers ignore If-Range."""
    sent = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    named = _version(reply.headers)
    return sent == str(begun) and (not version or not named or named == version)


def _total(reply: Response) -> int | None:
    """1234 from `bytes */1234`."""
    total = reply.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _seconds(retry_after: str) -> float:
    """Seconds from Retry-After, which gives seconds or a date; 0 if neither."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _is_page(beginning: bytes, content_type: str) -> bool:
    """Whether what should be a data file begins like a web page."""
    text = beginning[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<!doctype html", b"<html")) or (
        b"html" in content_type.lower().encode() and text[:1] == b"<"
    )


def _last_words(error: Exception) -> str:
    """The innermost message of an error that wraps others."""
    return " ".join(str(error).rpartition(": ")[2].strip("()'\" ").split())[:200]


def _check(path: Path, source: Source, task: Task) -> None:
    """Raises UserError if the file has another digest or size than published, or is not what the reader expects."""
    found = path.stat().st_size
    if source.digest:
        kind, published = source.digest
        digest = digest_of_file(path, kind)
        if digest != published:
            raise UserError(f"{path.name}: {kind} is {digest}, published is {published}: remove it and download again")
    elif source.size is not None and found != source.size:
        raise UserError(f"{path.name}: {found:,} bytes, published are {source.size:,}: remove it and download again")
    events = next(iter(task.read([path])), None)  # the reader rejects other formats
    if events and events.labels is None:
        refuse_unlabelled(task.read, [path])
