"""Who gets in: the ports that are open while trials run, and who is refused by them."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys

import psutil
import pytest
from conftest import with_patience

from hepbench.suite.workers import security
from hepbench.suite.workers.batch_system import BatchSystem
from hepbench.suite.workers.place import of_scheduler, on_this_machine

KNOCK = """
import encodings.idna, os, socket, ssl, sys, tempfile
port, kind, user, certificate = *sys.argv[1:], sys.stdin.read()
if user:
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as line:
    try:
        if kind != "plain":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if certificate:
                with tempfile.NamedTemporaryFile("w") as file:
                    file.write(certificate)
                    file.flush()
                    context.load_cert_chain(file.name)
            line = context.wrap_socket(line)
        else:
            line.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        print("answered" if line.recv(100) else "refused")
    except (ssl.SSLError, ConnectionError):
        print("refused")
"""
"""Asks a port on loopback for its first word, as another user where one is given."""


def knock(port: int, kind: str, certificate: str = "", user: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", KNOCK, str(port), kind, user],
        input=certificate, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def of(certificate) -> str:
    """Key and certificate as one text."""
    return certificate.tls_client_key + certificate.tls_client_cert


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    return {tuple(one.laddr) for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """Two workers of this machine, and the ports that came with them."""
    here = psutil.Process()
    before = listening(here).union(*(listening(child) for child in here.children(recursive=True)))
    with on_this_machine(2, "cpu", tmp_path_factory.mktemp("workers") / "worker.log") as workers:
        found = listening(here).union(*(listening(child) for child in here.children(recursive=True))) - before
        yield workers, found


def test_workers_listen_on_loopback_alone(two_workers):
    """The scheduler, and for each worker itself and what watches it; no page of the web."""
    workers, found = two_workers
    assert {address for address, _ in found} == {"127.0.0.1"}
    assert len(found) == 5
    assert workers.client.scheduler_info()["services"] == {}


def test_no_profiler_asks_for_frames(two_workers):
    """Python before 3.11.9 may stand still within `sys._current_frames`."""
    from functools import partial

    workers, _ = two_workers
    counted = [workers.client.submit(partial(asked_for_frames, 2.0), workers=[name], pure=False) for name in (0, 1)]
    assert workers.client.gather(counted) == [0, 0]


def asked_for_frames(seconds):
    """How often a process does so within some seconds of work."""
    import sys
    import time

    number, ours = 0, sys._current_frames

    def counting():
        nonlocal number
        number += 1
        return ours()

    sys._current_frames = counting
    try:
        time.sleep(seconds)
    finally:
        sys._current_frames = ours
    return number


def test_another_address_of_the_machine_is_refused(two_workers):
    _, found = two_workers
    everyone = [one for those in psutil.net_if_addrs().values() for one in those]
    others = {one.address for one in everyone if one.family == socket.AF_INET}
    if sys.platform == "linux":
        others.add("127.0.0.2")
    for address in others - {"127.0.0.1"}:
        for _, port in found:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, port), timeout=20)


@pytest.mark.parametrize("user", ["the same", "another"])
def test_who_does_not_hold_the_certificate_is_refused(two_workers, user):
    workers, found = two_workers
    if user == "another" and os.geteuid():
        pytest.skip("only root can be another user")
    uid = "65534" if user == "another" else ""
    for _, port in sorted(found):
        assert knock(port, "plain", user=uid) == "refused"
        assert knock(port, "tls", user=uid) == "refused"
        assert knock(port, "tls", of(security.certificate()), user=uid) == "refused"
    held = of(workers.client.security)
    assert {knock(port, "tls", held) for _, port in found} == {"answered"}  # the knocking itself works


def test_a_scheduler_that_asks_for_a_certificate(two_workers):
    from hepbench import UserError

    workers, _ = two_workers
    with pytest.raises(UserError, match="requires a certificate, and none is set: set DASK_DISTRIBUTED__COMM__TLS"):
        of_scheduler(workers.client.scheduler.address)


# As sbatch, it keeps a copy of the script, which dask-jobqueue takes away as soon as the job is submitted.
SUBMIT = """#!/bin/sh
script=$(cat "$1")
cd "$(dirname "$0")"
sh -c "$script" > job.log 2>&1 &
echo "Submitted batch job $!"
"""


@pytest.mark.long
def test_workers_of_a_batch_system_hold_the_certificate(home, tmp_path, monkeypatch):
    """A stand-in for Slurm runs the job's script on this machine."""
    pytest.importorskip("dask_jobqueue")
    for name, text in {"sbatch": SUBMIT, "scancel": '#!/bin/sh\nkill "$1"\n'}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    here, jobs = psutil.Process(), home / "results" / "jobs"
    before = listening(here)
    with BatchSystem("slurm").start(1) as workers:
        with_patience(lambda: workers.capacity == 1)
        assert workers.client.run(os.getpid)
        (folder,) = jobs.glob("certificate-*")
        assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "key.pem")] == [0o700, 0o600]
        ports = {port for _, port in listening(here) - before}
        ports |= {int(address.rsplit(":", 1)[1]) for address in workers.client.scheduler_info()["workers"]}
        assert len(ports) == 2
        for port in ports:
            assert knock(port, "plain") == "refused"
            assert knock(port, "tls", of(security.certificate())) == "refused"
    assert f"--tls-key {jobs}" in BatchSystem("slurm").job_script()
    assert not list(jobs.glob("certificate-*"))
