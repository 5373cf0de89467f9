"""Storage of Optuna studies: location, locks and contents. No other module opens their database."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import UserError
from hepbench.suite.paths import file_name, studies_file
from hepbench.tracking import sqlite_files
from hepbench.tracking.passwords import masked
from hepbench.tracking.runs import StoreError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial


VARIABLE = "OPTUNA_STORAGE"
"""Environment variable with the database, sqlite:/// or postgresql://, instead of a file next to the results."""

RETRY_SECONDS = 60.0
"""Seconds to wait for a database that is unreachable or does not respond."""

UNLOCKING = 5.0
"""Seconds to wait for the release of a lock, which ends with the connection in any case."""


@dataclass(frozen=True)
class DatabaseGone:
    """The database of studies does not answer; the call is retried after this number of seconds."""

    seconds: float


Listener = Callable[[DatabaseGone], None]


def ignore(event: DatabaseGone) -> None:
    """A listener that ignores all events."""


def location() -> str:
    uri = os.environ.get(VARIABLE) or sqlite_files.address(studies_file())
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", uri)


def connect(listener: Listener = ignore) -> BaseStorage:
    """The database of studies, created if missing. StoreError if it cannot be reached or written, or is lost later for
    too long: each call of Optuna waits for it `with_retries`, and informs the listener."""
    import optuna
    import sqlalchemy

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    uri = location()
    if not uri.startswith(("sqlite:///", "sqlite+", "postgresql")):
        raise StoreError(f"{VARIABLE} must be like postgresql://user@host/name or sqlite:////path, got {masked(uri)!r}")
    sqlite = uri.startswith("sqlite")
    arguments = {"timeout": 60} if sqlite else {"connect_timeout": 10}
    try:
        if file := sqlite_files.file_of(uri):
            sqlite_files.create_atomically(file, _make_tables, "studies")
        storage = optuna.storages.RDBStorage(uri, engine_kwargs={"connect_args": arguments, "pool_pre_ping": True})
        if not sqlite:
            sqlalchemy.event.listen(storage.engine, "connect", lambda connection, _: _connections.add(connection))
            storage.engine.dispose()  # with the connections made before
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, ImportError, OSError, RuntimeError) as error:
        if isinstance(error, ImportError):
            advice = "pip install 'hepbench[cluster]'"
        else:
            advice = f"start it, or unset {VARIABLE}" if not sqlite else "check its disk and permissions"
        raise StoreError(
            f"the database of studies {masked(uri)} cannot be opened: {_reason(error)}; {advice}"
        ) from error
    return _waiting(storage, listener)


def _make_tables(uri: str) -> None:
    """Create Optuna's tables in an empty database."""
    import optuna

    optuna.storages.RDBStorage(uri).engine.dispose()


def _waiting(storage: RDBStorage, listener: Listener) -> BaseStorage:
    """The same storage, with every call made `with_retries`."""
    import optuna

    cached = optuna.storages.get_storage(storage)

    def waits(name: str) -> Callable[..., Any]:
        return lambda self, *arguments, **options: with_retries(
            getattr(cached, name), *arguments, listener=listener, **options
        )

    calls = [name for name in vars(optuna.storages.BaseStorage) if not name.startswith("_")]
    waiting: Any = type("Waiting", (optuna.storages.BaseStorage,), {name: waits(name) for name in calls})()
    waiting.engine = storage.engine
    patient: BaseStorage = waiting
    return patient


def with_retries(call: Callable[..., Any], *arguments: Any, listener: Listener = ignore, **options: Any) -> Any:
    """The result of the call, retried while the database is unreachable; StoreError after RETRY_SECONDS."""
    import optuna
    import sqlalchemy
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(
            (optuna.exceptions.StorageInternalError, sqlalchemy.exc.OperationalError)
        ),
        stop=tenacity.stop_after_delay(RETRY_SECONDS),
        wait=tenacity.wait_exponential(multiplier=0.5, max=10),
        before_sleep=lambda state: listener(DatabaseGone(state.upcoming_sleep)),
    )
    try:
        with _cut_after(RETRY_SECONDS):
            return retrying(call, *arguments, **options)
    except tenacity.RetryError as error:
        gone = error.last_attempt.exception()
        raise StoreError(
            f"the database of studies {masked(location())} was unreachable for {RETRY_SECONDS:.0f} s: {_reason(gone)}"
        ) from gone


_connections: weakref.WeakSet[Any] = weakref.WeakSet()
"""Connections of this process to PostgreSQL."""


@contextlib.contextmanager
def _cut_after(seconds: float) -> Iterator[None]:
    """Cut the connections to PostgreSQL if the block takes longer, since the library would wait forever for a server
    that does not respond. The block then gets an error."""
    timer = threading.Timer(seconds, _cut)
    timer.daemon = True
    if _connections:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut() -> None:
    for connection in list(_connections):
        # Suppressed: it is already closed.
        with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as one:
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold a study exclusively, until this process ends in any way. UserError if another process has it."""
    uri = location()
    held = UserError(f"the study {name} is being run by another process: wait for it, or give another --study")
    with _held_file(uri, name, held) if uri.startswith("sqlite") else _held_in_postgresql(uri, name, held):
        yield


@contextlib.contextmanager
def _held_file(uri: str, name: str, held: UserError) -> Iterator[None]:
    import filelock

    file = sqlite_files.file_of(uri) or studies_file()
    path = file.with_suffix(".locks") / f"{file_name(name)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise held from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _held_in_postgresql(uri: str, name: str, held: UserError) -> Iterator[None]:
    """By an advisory lock of a separate connection, which the server releases if this process dies."""
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
    engine = sqlalchemy.create_engine(uri, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        _connections.add(connection.connection.dbapi_connection)
        if not connection.scalar(sqlalchemy.text("SELECT pg_try_advisory_lock(:number)"), {"number": number}):
            raise held
        try:
            yield
        finally:
            with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError), _cut_after(UNLOCKING):
                connection.scalar(sqlalchemy.text("SELECT pg_advisory_unlock(:number)"), {"number": number})


def named(storage: BaseStorage, name: str) -> Study | None:
    """The study of this name, or None."""
    import optuna

    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return None


def counted(trials: list[FrozenTrial]) -> dict[str, int]:
    """Numbers of trials that are "complete", "pruned", "failed", "running" and "waiting". One that was interrupted and
    retried counts once, by its replacement."""
    replaced = {trial.user_attrs["retry_of"] for trial in trials if "retry_of" in trial.user_attrs}
    counts = dict.fromkeys(("complete", "pruned", "failed", "running", "waiting"), 0)
    for trial in trials:
        if trial.number not in replaced:
            counts[state_of(trial)] += 1
    return counts


def state_of(trial: FrozenTrial) -> str:
    name = trial.state.name.lower()
    return "failed" if name == "fail" else name


def finished(trials: list[FrozenTrial]) -> int:
    counts = counted(trials)
    return counts["complete"] + counts["pruned"] + counts["failed"]


def best(study: Study) -> FrozenTrial | None:
    """The best trial that satisfies the constraints; None if there is none."""
    try:
        return study.best_trial
    except ValueError:
        return None


def requeue_interrupted(study: Study) -> list[int]:
    """Mark as failed the trials that no process runs any more, and requeue each, unless a worker had started it twice;
    returns their numbers. The caller must hold the study exclusively. A trial's attribute "begun" says that a worker
    had started it."""
    import optuna

    trials = study.get_trials(deepcopy=False)
    replaced = {trial.user_attrs.get("retry_of") for trial in trials}
    numbers = []
    for trial in trials:
        if trial.state != optuna.trial.TrialState.RUNNING:
            continue
        # Queued before it is marked, so that no kill in between loses it. A trial not yet started loses no attempt.
        begun, second = (trial.user_attrs.get(name, False) for name in ("begun", "second"))
        if not (begun and second) and trial.number not in replaced:
            attributes = {"retry_of": trial.number, "second": begun or second}
            study.enqueue_trial(trial.params, user_attrs=attributes)
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
        numbers.append(trial.number)
    return numbers


def tuned(task: str, model: str, budget: str) -> tuple[str, dict[str, Any]] | None:
    """(name, best hyper-parameters) of the latest study of a model on a task within a budget that has a best trial;
    None where there is none."""
    import optuna

    storage = connect()
    found = []
    for summary in optuna.get_all_study_summaries(storage=storage):
        about = summary.user_attrs.get("about", {})
        if [about.get(name) for name in ("task", "model", "budget")] == [task, model, budget]:
            study = optuna.load_study(study_name=summary.study_name, storage=storage)
            if len(study.directions) == 1 and (trial := best(study)) is not None:
                found.append((trial.datetime_complete, summary.study_name, trial.user_attrs["parameters"]))
    return max(found)[1:] if found else None


def _reason(error: BaseException | None) -> str:
    """The fault itself, on one line, without the address."""
    cause = getattr(error, "orig", None) or getattr(error, "__cause__", None) or error
    cause = getattr(cause, "orig", None) or cause
    return masked((str(cause).strip() or type(cause).__name__).splitlines()[0])[:200]
