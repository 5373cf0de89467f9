"""`make data` against a real HTTP server on this machine that plays what servers, proxies and sites do."""

from __future__ import annotations

import datetime
import errno
import gzip
import hashlib
import http.server
import importlib.metadata
import ipaddress
import ssl
import threading
import time
import types
from email.utils import format_datetime

import numpy as np
import pytest
from conftest import free_port, hepbench, images_by_hand, write_images

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite.data import download
from hepbench.suite.data.files import digest_of_file

TASK = """
from hepbench.benchmarks.base import Source, Task
from hepbench.benchmarks.tasks import ecal
TASK = Task(title="x", classes=ecal.CLASSES, read=ecal.read, views={{}},
            sources=(Source("jets.hdf5", "{url}", sha256={sha256!r}, size={size!r}, mirrors={mirrors!r}),))
"""

ETAG = '"one"'


class Server(http.server.ThreadingHTTPServer):
    """Sends `content`, under /gone what a server says that does not have it.

    break_after: bytes after which the first `breaks` replies break off. ranges, heed: whether it honours Range and
    If-Range. answers: (status, headers) of the first replies, in place of the file. headers: of every file it sends.
    asked: the headers of every request, with its first line under "line".
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = b""
        self.break_after: int | None = None
        self.breaks = 0
        self.ranges = self.heed = True
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.headers: dict[str, str] = {"ETag": ETAG}
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/download"

    def starts(self) -> list[int]:
        """From where each request wanted the file."""
        return [int(one.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")) for one in self.asked]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server: Server = self.server
        server.asked.append({**self.headers, "line": self.requestline})
        if server.answers or self.path == "/gone":
            status, headers = (404, {}) if self.path == "/gone" else server.answers.pop(0)
            return self.reply(status, headers)
        same = not server.heed or self.headers.get("If-Range") in (None, *server.headers.values())
        start = server.starts()[-1] if server.ranges and same else 0
        if start >= len(server.content):
            return self.reply(416, {"Content-Range": f"bytes */{len(server.content)}"})
        rest, whole = server.content[start:], len(server.content)
        of = {"Content-Range": f"bytes {start}-{whole - 1}/{whole}"} if start else {}
        broken = server.break_after if server.break_after and server.breaks > 0 else None
        server.breaks -= 1
        self.reply(206 if start else 200, {**of, **server.headers}, rest, broken)

    def reply(self, status, headers, content=b"", broken=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:broken])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(download, "BLOCK", 1000)
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def content(tmp_path):
    labels = np.array([0, 1] * 10, np.float32)
    return write_images(tmp_path / "x.hdf5", images_by_hand(20), labels).read_bytes()


def task_of(server, tmp_path, sha256=None, size=None, url=None, mirrors=()):
    task = tmp_path / "jets.py"
    task.write_text(TASK.format(url=url or server.url, sha256=sha256, size=size, mirrors=mirrors))
    return task


def fetch(server, tmp_path, listener=lambda event: None, **source):
    return download.fetch(registry.find("task", str(task_of(server, tmp_path, **source))), None, listener)


def test_resumes_where_the_transfer_broke(server, tmp_path, content, home):
    server.content, server.break_after, server.breaks = content, 30_000, 2
    (path,) = fetch(server, tmp_path, size=len(content))
    assert path == home / "data" / "jets" / "official" / "jets.hdf5"
    assert path.read_bytes() == content
    assert server.starts()[0] == 0 and len(server.asked) == 3
    assert all(0 < start <= 60_000 for start in server.starts()[1:])
    recorded = (path.parent / "SHA256SUMS").read_text()
    assert recorded == f"{digest_of_file(path)}  jets.hdf5\n"
    fetch(server, tmp_path, size=len(content))
    assert len(server.asked) == 3  # in place: not fetched again


def test_the_command_fetches_and_says_what_is_in_place(server, tmp_path, content, home):
    server.content = content
    task = task_of(server, tmp_path, size=len(content))
    done = hepbench("data", task, home=home)
    assert done.returncode == 0, done.stderr
    assert "jets.hdf5: downloaded and verified" in done.stdout
    assert f"1 files in {home}/data/jets/official" in done.stdout
    assert "jets.hdf5: present and verified" in hepbench("data", task, home=home).stdout
    assert len(server.asked) == 1
    assert "no download needed" in hepbench("data", "magic", home=home).stdout


def test_a_later_command_resumes(server, tmp_path, content):
    server.content, server.break_after, server.breaks = content, 20_000, download.ATTEMPTS
    with pytest.raises(UserError, match="Repeat the command to resume, or download it manually"):
        fetch(server, tmp_path)
    server.asked.clear()
    (path,) = fetch(server, tmp_path)
    assert path.read_bytes() == content
    assert server.starts()[0] > 0


def test_a_server_without_ranges_starts_again(server, tmp_path, content):
    server.content, server.break_after, server.breaks, server.ranges = content, 20_000, 1, False
    (path,) = fetch(server, tmp_path)
    assert path.read_bytes() == content


def test_nobody_knows_whether_the_rest_is_of_the_same_file_so_it_is_fetched_anew(server, tmp_path, content):
    server.content, server.break_after, server.breaks, server.headers = content, 20_000, 1, {}
    (path,) = fetch(server, tmp_path)
    assert path.read_bytes() == content and server.starts() == [0, 0]


def test_a_published_digest_is_enough_to_resume(server, tmp_path, content):
    server.content, server.break_after, server.breaks, server.headers = content, 20_000, 1, {}
    (path,) = fetch(server, tmp_path, sha256=hashlib.sha256(content).hexdigest())
    assert path.read_bytes() == content and server.starts()[1] > 0


@pytest.mark.parametrize("heed", [True, False])
@pytest.mark.parametrize("named", ["ETag", "Last-Modified"])
def test_a_file_that_changed_meanwhile_is_not_joined_to_what_was(server, tmp_path, content, heed, named):
    server.heed = heed
    server.content, server.break_after, server.breaks = content[::-1], 20_000, download.ATTEMPTS
    server.headers = {named: '"one"' if named == "ETag" else "Mon, 02 Mar 2026 08:00:00 GMT"}
    with pytest.raises(UserError, match="Repeat the command to resume"):
        fetch(server, tmp_path)
    server.content = content
    server.headers = {named: '"two"' if named == "ETag" else "Tue, 03 Mar 2026 08:00:00 GMT"}
    (path,) = fetch(server, tmp_path)
    assert path.read_bytes() == content


def test_every_request_names_the_program(server, tmp_path, content):
    """Zenodo, for one, refuses the names that Python's clients have by default."""
    server.content, server.break_after, server.breaks = content, 20_000, 1
    fetch(server, tmp_path)
    version = importlib.metadata.version("hepbench")
    assert all(asked["User-Agent"].startswith(f"hepbench/{version} (") for asked in server.asked)
    assert all(asked["Accept-Encoding"] == "identity" for asked in server.asked)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_busy_server_is_asked_again_when_it_says(server, tmp_path, content, status, form):
    asked, then = time.monotonic(), datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    after = "60" if form == "seconds" else format_datetime(then, usegmt=True)
    server.content, server.answers = content, [(status, {"Retry-After": after}), (status, {})]
    events = []
    (path,) = fetch(server, tmp_path, events.append)
    assert path.read_bytes() == content
    first, second = [event for event in events if isinstance(event, download.Waiting)]
    most, least = 60, 59 - (time.monotonic() - asked) if form == "date" else 60  # a date has no fractions of a second
    assert least <= first.seconds <= most and f"127.0.0.1 answers {status}" in first.reason
    assert second.seconds == 2


def test_a_server_that_wants_to_be_left_alone_is(server, tmp_path):
    server.answers = [(429, {"Retry-After": "86400"})]
    with pytest.raises(UserError, match=r"answers 429 .* and asks to retry in 86,400 s"):
        fetch(server, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
def test_bytes_are_stored_as_they_were_sent(server, tmp_path, encoding):
    """Where a server calls a .gz file an encoding of what is in it, the file is still the .gz."""
    server.content = gzip.compress(b"1,2\n" * 1000)
    server.headers = {"Content-Encoding": encoding, "Content-Type": "text/csv"}
    source = registry.find("task", "hepmass").record.sources[0]
    download._transfer(server.url, tmp_path / "part", source, lambda event: None)
    assert (tmp_path / "part").read_bytes() == server.content


def test_the_next_address_is_tried(server, tmp_path, content, home):
    server.content = content
    task = task_of(server, tmp_path, url=server.url.replace("download", "gone"), mirrors=(server.url,))
    done = hepbench("data", task, home=home)
    assert done.returncode == 0, done.stderr
    assert "/gone: 127.0.0.1 answers 404 Not Found; trying the next address" in done.stdout
    assert "jets.hdf5: downloaded and verified" in done.stdout


def test_the_next_address_is_tried_where_the_first_has_another_file(server, tmp_path, content):
    other = Server()
    other.content = content + b"x"
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    try:
        server.content = content
        digest = hashlib.sha256(content).hexdigest()
        (path,) = fetch(server, tmp_path, url=other.url, mirrors=(server.url,), sha256=digest)
        assert path.read_bytes() == content
        server.content = b"another"
        path.unlink()
        with pytest.raises(UserError, match=rf"{other.url}: .*; nor from {server.url}: .*sha256"):
            fetch(server, tmp_path, url=other.url, mirrors=(server.url,), sha256=digest)
    finally:
        other.shutdown()
        thread.join()
        other.server_close()


@pytest.mark.parametrize(
    "page", [b"\n<!DOCTYPE html><title>Sign in</title>", b"<HTML>", b"<?xml version='1.0'?><html>"]
)
def test_a_login_page_is_called_one_and_takes_nothing_away(server, tmp_path, content, page):
    server.content, server.break_after, server.breaks = content, 20_000, download.ATTEMPTS
    with pytest.raises(UserError):
        fetch(server, tmp_path)
    (part,) = (tmp_path / "home").rglob("*.part")
    begun = part.read_bytes()
    server.content, server.headers = page, {"Content-Type": "text/html"}
    with pytest.raises(
        UserError, match=r"127.0.0.1 sends a web page in place of the file: it may require a login"
    ) as said:
        fetch(server, tmp_path)
    assert len(str(said.value).splitlines()) == 1
    assert part.read_bytes() == begun


def test_a_proxy_of_the_environment_is_asked(server, tmp_path, content, monkeypatch):
    server.content = content
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://me:s3cret@127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    fetch(server, tmp_path, url="http://data.example/jets.hdf5")
    assert server.asked[0]["line"].startswith("GET http://data.example/jets.hdf5 ")
    assert "Proxy-Authorization" in server.asked[0]


def test_a_proxy_that_is_not_there_is_named_without_its_password(server, tmp_path, monkeypatch):
    port = free_port()
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://me:s3cret@127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(UserError, match=rf"the proxy http://me:\*\*\*@127.0.0.1:{port}") as said:
        fetch(server, tmp_path, url="http://data.example/jets.hdf5")
    assert "s3cret" not in str(said.value)


def test_certificates_of_a_site(server, tmp_path, content, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    server.content = content
    certificate = own_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    with pytest.raises(UserError, match=r"the certificate of 127.0.0.1 is not accepted .*REQUESTS_CA_BUNDLE"):
        fetch(server, tmp_path, url=url)
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(certificate))
            (path,) = fetch(server, tmp_path, url=url)
            path.unlink()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    with pytest.raises(UserError, match=r"absent.pem"):
        fetch(server, tmp_path, url=url)


def own_certificate(folder):
    """A file with a key and a certificate of 127.0.0.1 that it signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "site")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "site.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_full_disk_is_no_fault_of_the_server(server):
    with pytest.raises(OSError, match="No space left"), download._faults(server.url):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("wrong", ["page", "size", "digest"])
def test_what_is_not_the_file_is_refused_and_not_left(server, tmp_path, content, home, wrong):
    server.content = b"<html>expired</html>" if wrong == "page" else content
    fault = {"page": "sends a web page", "size": "published are 5", "digest": "published is 000"}[wrong]
    sha256 = "0" * 64 if wrong == "digest" else None
    with pytest.raises(UserError, match=fault):
        fetch(server, tmp_path, sha256=sha256, size=5 if wrong == "size" else None)
    assert not list((home / "data" / "jets" / "official").glob("**/*.hdf5"))


def test_no_server_names_the_file_and_the_place(tmp_path, monkeypatch, home):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    dead = types.SimpleNamespace(url=f"http://127.0.0.1:{free_port()}/download")
    with pytest.raises(UserError, match="could not be downloaded") as caught:
        fetch(dead, tmp_path, size=1234)
    assert str(home / "data" / "jets" / "official" / "jets.hdf5") in str(caught.value)
    assert "1,234 bytes" in str(caught.value)
