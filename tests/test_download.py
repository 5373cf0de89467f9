"""`make data` against a real HTTP server on this machine that breaks off, forgets ranges, or sends the wrong thing."""

from __future__ import annotations

import http.server
import threading
import time

import numpy as np
import pytest
from conftest import hepbench, images_by_hand, write_images

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite.data import download
from hepbench.suite.data.files import digest_of_file

TASK = """
from hepbench.benchmarks.base import Source, Task
from hepbench.benchmarks.tasks import ecal
TASK = Task(title="x", classes=ecal.CLASSES, read=ecal.read, views={{}},
            sources=(Source("jets.hdf5", "{url}", sha256={sha256!r}, size={size!r}),))
"""


class Server(http.server.ThreadingHTTPServer):
    """Sends `content`. break_after: bytes after which the first replies break off. ranges: whether it honours them."""

    content = b""
    break_after: int | None = None
    breaks = 0
    ranges = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server: Server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.end_headers()
            return
        rest = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if server.break_after and server.breaks > 0:
            server.breaks -= 1
            rest = rest[: server.break_after]
        self.wfile.write(rest)

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


def fetch(server, tmp_path, sha256=None, size=None):
    task = tmp_path / "jets.py"
    task.write_text(TASK.format(url=f"http://127.0.0.1:{server.server_port}/download", sha256=sha256, size=size))
    return download.fetch(registry.find("task", str(task)), None, lambda event: None)


def test_resumes_where_the_transfer_broke(server, tmp_path, content, home):
    server.content, server.break_after, server.breaks = content, 30_000, 2
    (path,) = fetch(server, tmp_path, size=len(content))
    assert path == home / "data" / "jets" / "official" / "jets.hdf5"
    assert path.read_bytes() == content
    assert server.asked[0] is None
    assert len(server.asked) == 3
    assert all(0 < int(asked.removeprefix("bytes=").rstrip("-")) <= 60_000 for asked in server.asked[1:])
    recorded = (path.parent / "SHA256SUMS").read_text()
    assert recorded == f"{digest_of_file(path)}  jets.hdf5\n"
    fetch(server, tmp_path, size=len(content))
    assert len(server.asked) == 3  # in place: not fetched again


def test_the_command_fetches_and_says_what_is_in_place(server, tmp_path, content, home):
    server.content = content
    task = tmp_path / "jets.py"
    url = f"http://127.0.0.1:{server.server_port}/download"
    task.write_text(TASK.format(url=url, sha256=None, size=len(content)))
    done = hepbench("data", task, home=home)
    assert done.returncode == 0, done.stderr
    assert "jets.hdf5: fetched and checked" in done.stdout
    assert f"1 files in {home}/data/jets/official" in done.stdout
    assert "jets.hdf5: in place" in hepbench("data", task, home=home).stdout
    assert len(server.asked) == 1
    assert "no download needed" in hepbench("data", "magic", home=home).stdout


def test_a_later_command_resumes(server, tmp_path, content):
    server.content, server.break_after, server.breaks = content, 20_000, download.ATTEMPTS
    with pytest.raises(UserError, match="Repeat the command to resume, or fetch it by hand"):
        fetch(server, tmp_path)
    server.asked.clear()
    (path,) = fetch(server, tmp_path)
    assert path.read_bytes() == content
    assert int(server.asked[0].removeprefix("bytes=").rstrip("-")) > 0


def test_a_server_without_ranges_starts_again(server, tmp_path, content):
    server.content, server.break_after, server.breaks, server.ranges = content, 20_000, 1, False
    (path,) = fetch(server, tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("wrong", ["page", "size", "digest"])
def test_what_is_not_the_file_is_refused_and_not_left(server, tmp_path, content, home, wrong):
    server.content = b"<html>expired</html>" if wrong == "page" else content
    fault = {"page": "not a complete HDF5", "size": "published are 5", "digest": "jets.hdf5"}[wrong]
    sha256 = "0" * 64 if wrong == "digest" else None
    with pytest.raises(UserError, match=fault):
        fetch(server, tmp_path, sha256=sha256, size=5 if wrong == "size" else None)
    assert not list((home / "data" / "jets" / "official").glob("**/*.hdf5"))


def test_no_server_names_the_file_and_the_place(tmp_path, monkeypatch, home):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    dead = Server()
    dead.server_close()
    with pytest.raises(UserError, match="could not be fetched") as caught:
        fetch(dead, tmp_path, size=1234)
    assert str(home / "data" / "jets" / "official" / "jets.hdf5") in str(caught.value)
    assert "1,234 bytes" in str(caught.value)
