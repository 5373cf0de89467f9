"""Runs in MLflow: the only module that imports it, beside its server in `served`. It does so inside functions, since
that takes seconds. Those of a database are read without it.

Every call names its run; there is no active run, so processes and threads can log to runs that others started.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import logging
import math
import operator
import os
import platform
import posixpath
import re
import shutil
import sqlite3
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepbench.tracking import moved, reading, sqlite_files
from hepbench.tracking.passwords import masked
from hepbench.tracking.printable import printable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sqlalchemy import Engine


LONGEST_TAG = 5000
"""Characters of a tag or parameter that every store takes."""

LONGEST_NAME = LONGEST_KEY = 250
"""Characters of the name of a run or an experiment, and of a metric or parameter, that every store takes."""

DESCRIPTION = "mlflow.note.content"
"""The tag that MLflow's page shows as the description of a run or an experiment."""

VERSIONS = "mlflow.modelVersions"
"""The tag by which a model in MLflow's list names its registered versions."""

PAGE = 1000
"""Runs that one request to the store returns."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A lost server is waited for a minute or two instead of MLflow's five, and each request 20 s instead of 120.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    # The server's own jobs judge language models: seven processes for nothing here.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
}
"""Set where the user has not."""

ONE_REQUEST = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""For the first request to a server: an answer, or an error, within MLFLOW_HTTP_REQUEST_TIMEOUT."""

NO_SUCH_TABLE = "42P01"
"""PostgreSQL's number of that error."""

APPLICATION = "hepbench"
"""Name of the entry point of `tracking.served`."""

SERVED = ("mlflow-artifacts:", "http://", "https://")
"""How the places of artifacts begin that a server takes and gives."""


class StoreError(Exception):
    """The store of runs cannot do what was asked: one line that names the store and says what to do."""


def location(uri: str | None, home: Path) -> str:
    """What `connect` opens, to be shown to people: without opening it, and without its password."""
    return masked(_address(uri, home))


def _address(uri: str | None, home: Path) -> str:
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or sqlite_files.address(home.absolute() / "mlflow.db")


def key_of(name: str) -> str:
    """The name under which MLflow takes a metric or parameter of this name: "_" stands for characters that it refuses,
    and for slashes where they would make a path that leads elsewhere."""
    key = re.sub(r"[^\w.\-/ :]", "_", name)[:LONGEST_KEY] or "_"
    if posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == ".":
        key = re.sub(r"^\.+", "_", key.replace("/", "_"))
    return key


def connect(uri: str | None, home: Path, *, to_write: bool = True) -> Store:
    """The store at this URI; None: that of MLFLOW_TRACKING_URI, or else a SQLite file and artifacts in `home`.

    Creates what is missing, unless it is only to be read: what is not there has no runs then. Raises StoreError where
    it cannot be written, or its server does not answer in MLFLOW_HTTP_REQUEST_TIMEOUT.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it writes a traceback of what it raises
    home = home.absolute()
    uri = _address(uri, home)
    if "://" not in uri:
        raise StoreError(
            f"MLFLOW_TRACKING_URI must be like http://host:5000 or sqlite:////path/mlflow.db, got {masked(uri)!r}"
        )
    if uri.startswith(("http://", "https://")):
        uri = _without_user(uri)
        client = _client_of_server(uri)
        return Store(uri, None, lambda: client)
    store = Store(uri, home / "artifacts", lambda: _client_of_database(uri))
    if not to_write:
        return store
    try:
        (home / "artifacts").mkdir(parents=True, exist_ok=True)
        if not os.access(home, os.W_OK):
            raise PermissionError("not writable")
        if file := sqlite_files.file_of(uri):
            sqlite_files.create_atomically(file, functools.partial(_make_tables, home / "artifacts"), "runs")
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"results cannot be stored in {home}: {reason}. Choose another folder or free it") from error
    _ = store._client
    store._renew_addresses()
    return store


def _make_tables(artifacts: Path, uri: str) -> None:
    """MLflow's, in an empty database. StoreError."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _without_a_line_for_each_table():
            made: Any = SqlAlchemyStore
            made(uri, artifacts.as_uri()).engine.dispose()
    except (MlflowException, SQLAlchemyError) as error:
        raise StoreError(
            f"a new store cannot be made in {artifacts.parent}: {_reason(error)}; check its disk and permissions"
        ) from error


def _client_of_server(uri: str) -> MlflowClient:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri)
    try:
        with _one_request(), _errors_alone("urllib3.connectionpool"):
            client.search_experiments(max_results=1)
    except MlflowException as error:
        if refusal := _refusal(uri, error):
            raise StoreError(f"the MLflow server {uri} {refusal}") from error
        raise StoreError(
            f"the MLflow server {uri} does not answer: {_reason(error)}; "
            "check that the server runs, or unset MLFLOW_TRACKING_URI to store results in a local file"
        ) from error
    return client


def _without_user(uri: str) -> str:
    """The address of a server, without the user and password that it may hold: MLflow, which puts the address into
    messages, takes these from the environment."""
    scheme, _, rest = uri.partition("://")
    user, at, host = rest.rpartition("@")
    if not at:
        return uri
    name, _, password = user.partition(":")
    os.environ["MLFLOW_TRACKING_USERNAME"] = urllib.parse.unquote(name)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = urllib.parse.unquote(password)
    return f"{scheme}://{host}"


def _refusal(uri: str, error: Exception) -> str:
    """What a server that answers, or takes its time, has against a request, and what helps; empty where it is none of
    these."""
    text = str(error)
    host = urllib.parse.urlsplit(uri).netloc
    status = re.search(r"error code (\d{3})|UNAUTHENTICATED|PERMISSION_DENIED", text)
    if "Invalid Host header" in text:
        return (
            f"takes no requests for the name {host} (403): start it with --allowed-hosts {host}, or ask by another name"
        )
    if status and status[0] in ("error code 401", "UNAUTHENTICATED"):
        if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
            return f"does not accept the user {user!r} with this password (401): see MLFLOW_TRACKING_PASSWORD"
        return "wants a user (401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    if status and status[0] in ("error code 403", "PERMISSION_DENIED"):
        return "does not let this user do that (403): ask who runs it for the right to write"
    if "timed out" in text.lower():
        seconds = os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
        return f"has not answered within {seconds} s: MLFLOW_HTTP_REQUEST_TIMEOUT=60 waits longer for a slow one"
    return ""


def _client_of_database(uri: str) -> MlflowClient:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _without_a_line_for_each_table(), _one_at_a_time(uri):
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, ImportError) as error:  # ImportError: a database without its driver
        if "db upgrade" in str(error):
            advice = f"run `mlflow db upgrade {masked(uri)}`"
        elif isinstance(error, ImportError):
            advice = "install the driver of that database"
        else:
            advice = "move it away or choose another"
        raise StoreError(f"the store {masked(uri)} cannot be opened: {_reason(error)}; {advice}") from error
    return client


OPENING = 0x68657062
"""Number of the advisory lock."""


@contextlib.contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """One process opens a PostgreSQL database, which makes its tables where they are missing, while others wait: by an
    advisory lock, which the server frees with the connection. sqlalchemy.exc.SQLAlchemyError, after 2 minutes, too."""
    if not uri.startswith("postgresql"):
        yield
        return
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    with create_engine(uri, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        connection.execute(text("SET lock_timeout = '2min'"))
        connection.execute(text(f"SELECT pg_advisory_lock({OPENING})"))
        yield


def _without_a_line_for_each_table() -> contextlib.AbstractContextManager[None]:
    return _errors_alone("alembic", "alembic.runtime.migration", "mlflow.store.db.utils")


@contextlib.contextmanager
def best_effort() -> Iterator[None]:
    """To end runs in a store that has failed and may be gone: requests are not repeated, and a failure is passed over.
    Runs that stay open are ended by `Store.reconcile` at another time."""
    short = _one_request(MLFLOW_HTTP_REQUEST_TIMEOUT="4")
    with contextlib.suppress(StoreError), short, _errors_alone("urllib3.connectionpool"):
        yield


@contextlib.contextmanager
def _one_request(**settings: str) -> Iterator[None]:
    """A request is not repeated. settings: others of MLflow's."""
    settings |= ONE_REQUEST
    before = {name: os.environ[name] for name in settings}
    os.environ.update(settings)  # MLflow reads them at each request
    try:
        yield
    finally:
        os.environ.update(before)


def ui_address(host: str = "127.0.0.1", port: int = 5000) -> str:
    """Of what `Store.ui_command` serves."""
    return f"http://{host}:{port}/"


EXPERIMENTS = "#/experiments?workflowType=machine_learning"
"""What follows the address for the list of experiments, as trainings: MLflow opens it for language models."""


class Store:
    """MLflow runs at one place. Every method raises StoreError where the store fails."""

    def __init__(self, uri: str, artifacts: Path | None, client: Callable[[], MlflowClient]):
        self.uri = uri
        self.artifacts = artifacts
        """Folder of artifacts; None where a server keeps them."""
        self._open = client
        self._file = sqlite_files.file_of(uri)

    @functools.cached_property
    def _client(self) -> MlflowClient:
        """MLflow's, whose import takes seconds: what only reads a database does without."""
        return self._open()

    @property
    def is_server(self) -> bool:
        """Whether it is an MLflow server, which has pages of its own."""
        return self.artifacts is None

    @property
    def address(self) -> str:
        """As MLFLOW_TRACKING_URI takes it, without a password."""
        return masked(self.uri)

    def describe(self) -> str:
        """Where results go, in one line."""
        import mlflow

        place = f"artifacts in {self.artifacts}" if self.artifacts else "artifacts kept by the server"
        return f"{masked(self.uri)}, {place}, MLflow {mlflow.__version__}"

    def start(
        self,
        experiment: str,
        name: str,
        *,
        tags: Mapping[str, Any],
        parameters: Mapping[str, Any],
        parent: str | None = None,
        dataset: Mapping[str, str] | None = None,
        started: float | None = None,
    ) -> str:
        """Start a run and return its id. parameters: what MLflow calls so, the hyper-parameters. parent: id of the run
        that it belongs to. started: seconds since 1970; None: now.

        dataset: name, digest (at most 36 characters), source (an address or a name), context ("train", "all", ...), as
        the UI shows them; schema and profile, as JSON, where they are known.
        The run is known to be this process', so that `reconcile` finds it if the process dies.
        """
        with self._errors("start a run"):
            experiment_id = self._experiment_id(_kept(experiment, LONGEST_NAME))
            all_tags = {**_process_tags(), **tags}
            if parent is not None:
                all_tags["mlflow.parentRunId"] = parent
            shortened = {key: _kept(value) for key, value in all_tags.items()}
            run_id: str = self._client.create_run(
                experiment_id, _milliseconds(started), shortened, run_name=_kept(name, LONGEST_NAME)
            ).info.run_id
            self.log_parameters(run_id, parameters)
            if dataset is not None:
                self._log_dataset(run_id, dataset)
            return run_id

    def log(self, run_id: str, values: Mapping[str, float], step: int = 0) -> None:
        """Log numbers at a step. A NaN or infinity, "not measurable", is left out: MLflow would store a number for it.

        Names are stored as `reading.filed` and `key_of` give them; those that begin with "system/" appear among the
        system metrics of the UI.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        finite = {key_of(reading.filed(name)): float(value) for name, value in values.items() if math.isfinite(value)}
        metrics = [Metric(key, value, now, step) for key, value in finite.items()]
        with self._errors("log metrics"):
            for batch in _batches(metrics, 1000):
                self._client.log_batch(run_id, metrics=batch)

    def log_series(self, run_id: str, name: str, values: Mapping[int, float]) -> None:
        """Log a metric at many steps, step -> value."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(key_of(name), value, now, step) for step, value in values.items() if math.isfinite(value)]
        with self._errors("log metrics"):
            for batch in _batches(points, 1000):
                self._client.log_batch(run_id, metrics=batch)

    def log_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        listed = [Param(key_of(name), _kept(value)) for name, value in parameters.items()]
        with self._errors("log parameters"):
            for batch in _batches(listed, 100):
                self._client.log_batch(run_id, params=batch)

    def tag(self, run_id: str, tags: Mapping[str, Any]) -> None:
        from mlflow.entities import RunTag

        listed = [RunTag(key, _kept(value)) for key, value in tags.items()]
        with self._errors("set tags"):
            for batch in _batches(listed, 100):
                self._client.log_batch(run_id, tags=batch)

    def upload(self, run_id: str, folder: Path) -> None:
        """Store a folder's contents, with its folders, as the run's artifacts."""
        with self._errors("store files"):
            if (own := self._folder(run_id)) is not None:
                shutil.copytree(folder, own, dirs_exist_ok=True)
            else:
                self._client.log_artifacts(run_id, str(folder))

    def list_model(self, run_id: str, folder: Path, name: str, kind: str, values: Mapping[str, float]) -> None:
        """Let a model that lies in this folder, and under its name among the run's artifacts, stand in MLflow's list of
        models. name, kind: as the list shows them. values: metrics of the run that stand beside it.

        In a store of files the model has them as links to those of the run, where its file system knows such.
        """
        from mlflow.entities import LoggedModelOutput, Metric

        with self._errors("list a model"):
            experiment_id = self._client.get_run(run_id).info.experiment_id
            named = re.sub(r"[%/:.\"']", "_", _kept(name, LONGEST_NAME))  # which MLflow takes in no name of a model
            model = self._client.create_logged_model(experiment_id, named, run_id, model_type=_kept(kind))
            own, place = self._folder(run_id), moved.path_of(model.artifact_location)
            if own is not None and place is not None:
                shutil.copytree(own / folder.name, place, copy_function=_link)
            else:
                self._client.log_model_artifacts(model.model_id, str(folder))
            now = int(time.time() * 1000)
            metrics = [
                Metric(key_of(one), value, now, 0, model_id=model.model_id, run_id=run_id)
                for one, value in values.items()
                if math.isfinite(value)
            ]
            self._client.log_batch(run_id, metrics=metrics)
            self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
            self._client.finalize_logged_model(model.model_id, "READY")

    def upload_table(self, run_id: str, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Store a table under this name, *.json, as MLflow's page shows one. NaN and infinities are left empty."""
        data = [[None if isinstance(one, float) and not math.isfinite(one) else one for one in row] for row in rows]
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / name
            path.write_text(json.dumps({"columns": list(columns), "data": data}), encoding="utf-8")
            self.upload_file(run_id, path)
        self.tag(run_id, {"mlflow.loggedArtifacts": json.dumps([{"path": name, "type": "table"}])})

    def upload_file(self, run_id: str, path: Path) -> None:
        """Store one file as an artifact of its name."""
        with self._errors("store a file"):
            if (own := self._folder(run_id)) is not None:
                own.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, own / path.name)
            else:
                self._client.log_artifact(run_id, str(path))

    def download(self, run_id: str, path: str, into: Path) -> Path:
        """Where one artifact lies, a file or a folder: in the store's own folder, or else copied into this one."""
        with self._errors(f"fetch {path} of run {run_id}"):
            if (folder := self._folder(run_id)) is not None:
                (folder / path).stat()
                return folder / path
            into.mkdir(parents=True, exist_ok=True)
            return Path(self._client.download_artifacts(run_id, path, str(into)))

    def files(self, run_id: str, folder: str = "") -> list[str]:
        """Names of the run's artifacts that lie in this folder, or in none; an absent folder has none."""
        with self._errors("list files"):
            if (own := self._folder(run_id)) is not None:
                return sorted(one.name for one in (own / folder).glob("*") if one.is_file())
            found = self._client.list_artifacts(run_id, folder or None)
        return [Path(file.path).name for file in found if not file.is_dir]

    def _folder(self, run_id: str) -> Path | None:
        """The folder of a run's artifacts, where it is one of this machine that its database names, or was, before the
        database was moved or copied with it."""
        if self._rows is None:
            return None
        found = reading.artifact_address(self._rows, run_id)
        if found is None:
            raise FileNotFoundError(f"there is no run {run_id}")
        address, of_experiment, names = found
        path, root = moved.path_of(address), moved.root_of(of_experiment, names)
        own = self._artifacts_beside
        return path if path is None or root is None or own is None else moved.here(path, root, own)

    @property
    def _artifacts_beside(self) -> Path | None:
        """The folder of artifacts that lies beside its database, and moves with it."""
        beside = self._file is not None and self.artifacts is not None and self._file.parent == self.artifacts.parent
        return self.artifacts if beside else None

    def _renew_addresses(self) -> None:
        """Where the database was moved or copied with its artifacts, let it name them where they are."""
        own = self._artifacts_beside
        if own is not None and self._file is not None:
            with self._errors("renew the addresses of its files"), sqlite_files.opened(self._file) as connection:
                moved.renew(connection, own)

    def finish(self, run_id: str, status: str, message: str = "", ended: float | None = None) -> None:
        """End a run: FINISHED, FAILED or KILLED. The message's first line becomes the tag `failure` (or `note` of a
        run that finished) and the UI's description; a longer message is also kept as the artifact failure.txt.
        Passwords in it are masked. ended: seconds since 1970; None: now."""
        message = printable(masked(message.strip()))
        with self._errors("end a run"):
            if message:
                line = message.splitlines()[0][:500]
                name = "note" if status == "FINISHED" else "failure"
                self.tag(run_id, {name: line, DESCRIPTION: line})
            self._client.set_terminated(run_id, status=status, end_time=_milliseconds(ended))
            if message and message != line:
                if (own := self._folder(run_id)) is not None:
                    own.mkdir(parents=True, exist_ok=True)
                    (own / f"{name}.txt").write_text(message + "\n", encoding="utf-8")
                else:
                    self._client.log_text(run_id, message + "\n", f"{name}.txt")

    def resume(self, run_id: str) -> None:
        """Resume a run that has ended: it is running again, as this process'."""
        with self._errors("resume a run"):
            self._client.update_run(run_id, status="RUNNING")
            if "failure" in self._client.get_run(run_id).data.tags:
                self._client.delete_tag(run_id, "failure")
            self.tag(run_id, _process_tags())

    def runs(
        self, experiment: str, status: str | None = None, tags: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """All runs of an experiment, oldest first; none if there is no such experiment. status, tags: only those of
        this status, and with these tags.

        Each is {"id", "name", "status", "start", "end", "tags", "metrics", "parameters"}, with times in seconds since
        1970 (end None while it runs), the last value of each metric, and the hyper-parameters as strings.
        """
        experiment, tags = _kept(experiment, LONGEST_NAME), {name: _kept(value) for name, value in (tags or {}).items()}
        with self._errors("read runs"):
            if self._rows is not None:
                return reading.of_experiment(self._rows, experiment, status, tags)
            found = self._client.get_experiment_by_name(experiment)
            if found is None:
                return []
            listed: list[Any] = []
            token = None
            wanted = [f"attributes.status = '{status}'"] if status else []
            asked = {name: value for name, value in tags.items() if "'" not in value}  # which the query has no word for
            wanted += [f"tags.`{name}` = '{value}'" for name, value in asked.items()]
            order = ["attributes.start_time ASC"]
            while True:
                page = self._client.search_runs(
                    [found.experiment_id], " and ".join(wanted), max_results=PAGE, page_token=token, order_by=order
                )
                listed += page
                token = page.token
                if not token:
                    break
        return [run for run in map(_fields, listed) if tags.items() <= run["tags"].items()]

    def find(self, beginning: str) -> list[dict[str, Any]]:
        """Runs of any experiment whose id begins so, oldest first, as `runs` gives them; at most PAGE."""
        if not re.fullmatch("[0-9a-zA-Z]+", beginning):  # which no id has, and which a query could misread
            return []
        with self._errors("read runs"):
            if self._rows is not None:
                return reading.beginning_with(self._rows, beginning)[:PAGE]
            experiments = [one.experiment_id for one in self._client.search_experiments(max_results=PAGE)]
            query, order = f"attributes.run_id LIKE '{beginning}%'", ["attributes.start_time ASC"]
            found = self._client.search_runs(experiments, query, max_results=PAGE, order_by=order)
        return [_fields(run) for run in found]

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """(step, value) of every point of a metric, by step."""
        with self._errors("read a metric"):
            if self._rows is not None:
                return reading.history(self._rows, run_id, metric)
            points = self._client.get_metric_history(run_id, metric)
        return [(point.step, point.value) for point in sorted(points, key=lambda p: (p.step, p.timestamp))]

    def experiments(self) -> dict[str, str]:
        """Name -> id of every experiment that has runs or may have, newest first; without the one of MLflow's own that
        stands in each store."""
        with self._errors("read experiments"):
            if self._rows is not None:
                found = reading.experiments(self._rows)
            else:
                listed = self._client.search_experiments(max_results=PAGE)
                found = {one.name: str(one.experiment_id) for one in listed}
        return {name: number for name, number in found.items() if name != "Default"}

    def tag_experiment(
        self, experiment_id: str, tags: Mapping[str, str], same: Callable[[str, str | None], bool] = operator.eq
    ) -> None:
        """Set tags of an experiment where it has others. same: whether a new tag says what the present one does."""
        with self._errors("set tags"):
            present = self._client.get_experiment(experiment_id).tags
            for name, value in tags.items():
                if not same(value, present.get(name)):
                    self._client.set_experiment_tag(experiment_id, name, value)

    def register(
        self, name: str, run_id: str, path: str, alias: str, tags: Mapping[str, str], about: str, title: str
    ) -> str:
        """Let the model in this folder of a run's artifacts be a version of the registered model of this name, which
        the alias then names; returns the version, an existing one where the run is there already. about: description
        of the version; title: of the model, where it is new. StoreError where MLflow takes no such name or alias."""
        from mlflow.exceptions import MlflowException

        with self._errors("register a model"):
            try:
                self._client.create_registered_model(name, description=_kept(title))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            known = self._client.search_model_versions(f"run_id = '{run_id}'")
            version = next((str(one.version) for one in known if one.name == name), None)
            if version is None:
                run = self._client.get_run(run_id)
                source = f"{run.info.artifact_uri}/{path}"
                made = self._client.create_model_version(
                    name, source, run_id, tags={key: _kept(value) for key, value in tags.items()}, description=about
                )
                version = str(made.version)
                for one in run.outputs.model_outputs if run.outputs else ():  # as `list_model` has it
                    there = self._client.get_logged_model(one.model_id).tags.get(VERSIONS, "[]")
                    versions = [*json.loads(there), {"name": name, "version": version}]
                    self._client.set_logged_model_tags(one.model_id, {VERSIONS: json.dumps(versions)})
            self._client.set_registered_model_alias(name, alias, version)
        return version

    def reconcile(self, experiment: str) -> list[str]:
        """End as KILLED the runs that a process of this machine started and did not live to end; returns their ids."""
        ended = []
        for run in self.runs(experiment, status="RUNNING"):
            tags = run["tags"]
            if of_this_machine(run) and not _is_running(tags):
                self.finish(run["id"], "KILLED", "its process died without ending it")
                ended.append(run["id"])
        return ended

    def ui_command(self, host: str = "127.0.0.1", port: int = 5000) -> tuple[list[str], dict[str, str]]:
        """Command that serves this store's runs and artifacts, and what it needs in its environment: the address of a
        database may hold a password, and anyone on the machine can read a command. StoreError where a server does that
        already, or where this package was installed before it had the application that is served."""
        if self.artifacts is None:
            raise StoreError(
                f"the store {masked(self.uri)} is a server with a UI of its own: open that address in a browser"
            )
        if not importlib.metadata.entry_points(group="mlflow.app", name=APPLICATION):
            raise StoreError("the installation is older than the program: run `make env`, or pip install -e . again")
        command = [sys.executable, "-m", "mlflow", "server", "--app-name", APPLICATION]
        command += ["--artifacts-destination", self.artifacts.as_uri()]
        command += ["--host", host, "--port", str(port), "--workers", "1"]
        return command, {"MLFLOW_BACKEND_STORE_URI": self.uri}

    @functools.cached_property
    def _rows(self) -> reading.Rows | None:
        """What reads the database's tables; None where a server or another kind of database has them."""
        if self._file is not None:
            return self._rows_of_file
        return self._rows_of_postgresql if self.uri.startswith("postgresql") else None

    def _rows_of_file(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        if self._file is None or not self._file.exists():
            return []
        with sqlite_files.opened(self._file) as connection:
            try:
                return connection.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                (made,) = connection.execute("PRAGMA user_version").fetchone()
                if str(error).startswith("no such table") and made != sqlite_files.WHOLE:
                    return []  # half made: `connect` mends it before it is written
                raise

    def _rows_of_postgresql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        from sqlalchemy import text
        from sqlalchemy.exc import ProgrammingError

        with self._engine.connect() as connection:
            try:
                return [tuple(row) for row in connection.execute(text(statement), values)]
            except ProgrammingError as error:
                if NO_SUCH_TABLE in (getattr(error.orig, "sqlstate", None), getattr(error.orig, "pgcode", None)):
                    return []
                raise

    @functools.cached_property
    def _engine(self) -> Engine:
        from sqlalchemy import create_engine

        return create_engine(self.uri, pool_pre_ping=True)

    def _experiment_id(self, name: str) -> str:
        """Of this experiment, created if missing. StoreError where its artifacts are not the store's to keep."""
        from mlflow.exceptions import MlflowException

        found, made = self._client.get_experiment_by_name(name), False
        if found is None:
            place = (self.artifacts / name).as_uri() if self.artifacts else None
            try:
                found, made = self._client.get_experiment(self._client.create_experiment(name, place)), True
            except MlflowException as error:
                found = self._client.get_experiment_by_name(name)
                if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
                    raise  # else another process was faster
        experiment_id = str(found.experiment_id)
        if found.lifecycle_stage == "deleted":
            uri = masked(self.uri)
            raise StoreError(
                f"experiment {name!r} of {uri} was deleted: "
                f"run `MLFLOW_TRACKING_URI={uri} mlflow experiments restore --experiment-id {experiment_id}`"
            )
        if self.artifacts is None and not found.artifact_location.startswith(SERVED):
            fix = "start it with --serve-artifacts and --artifacts-destination"
            if made:  # and would keep that place for good
                self._client.rename_experiment(experiment_id, f"{name}-{experiment_id}-not-served")
                self._client.delete_experiment(experiment_id)
            else:
                rename = f"mlflow experiments rename --experiment-id {experiment_id} --new-name {name}-before"
                fix += (
                    f", then `MLFLOW_TRACKING_URI={self.uri} {rename}`, as an experiment keeps the place it began with"
                )
            raise StoreError(
                f"the MLflow server {self.uri} leaves it to every machine to write artifacts of {name} to "
                f"{masked(found.artifact_location)} itself, where nobody else may find them: {fix}"
            )
        return experiment_id

    def _log_dataset(self, run_id: str, dataset: Mapping[str, str]) -> None:
        import tenacity
        from mlflow.entities import Dataset, DatasetInput, InputTag

        kind = "http" if dataset["source"].startswith(("http://", "https://")) else "local"
        source = json.dumps({"url" if kind == "http" else "uri": dataset["source"]})
        more = dataset.get("schema"), dataset.get("profile")
        record = Dataset(dataset["name"], dataset["digest"][:36], kind, source, *more)
        context = InputTag("mlflow.data.context", dataset["context"])
        # Of two that record a dataset for the first time at once one is refused; the next time it finds it there.
        refused = tenacity.retry_if_exception_message(match="(?is).*unique constraint")
        retrying = tenacity.Retrying(retry=refused, stop=tenacity.stop_after_attempt(3), reraise=True)
        retrying(self._client.log_inputs, run_id, [DatasetInput(record, [context])])

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not isinstance(error, _faults()):
                raise
            advice = "check its disk and permissions" if self.artifacts else "check that the server runs"
            if re.search("no such (table|column)", str(error)):
                advice = "another version made it, or it is damaged: read it with the version that made it"
            if self.artifacts is None and (refusal := _refusal(self.uri, error)):
                raise StoreError(f"failed to {doing}: the MLflow server {self.uri} {refusal}") from error
            raise StoreError(f"the store {masked(self.uri)} failed to {doing}: {_reason(error)}; {advice}") from error


def _faults() -> tuple[type[Exception], ...]:
    """What a store raises that fails. What was not imported was not raised."""
    found: list[type[Exception]] = [OSError, sqlite3.Error]
    for module, name in (("mlflow.exceptions", "MlflowException"), ("sqlalchemy.exc", "SQLAlchemyError")):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def _fields(run: Any) -> dict[str, Any]:
    info = run.info
    return {
        "id": info.run_id,
        "name": info.run_name,
        "status": info.status,
        "start": info.start_time / 1000,
        "end": info.end_time / 1000 if info.end_time else None,
        "tags": dict(run.data.tags),
        "metrics": reading.renamed(run.data.metrics),
        "parameters": dict(run.data.params),
    }


def of_this_machine(run: Mapping[str, Any]) -> bool:
    """Whether a process of this machine has started the run, one whose id means the same here: those of another
    container, of the same host name perhaps, are not."""
    own, tags = _pid_namespace(), run["tags"]
    return bool(tags.get("process.host") == platform.node() and tags.get("process.namespace", own) == own)


def _process_tags() -> dict[str, str]:
    """What `of_this_machine` and `_is_running` know a process by; "" for what only Linux tells."""
    import psutil

    boot_time, process = psutil.boot_time(), psutil.Process()
    return {
        "process.host": platform.node(),
        "process.id": str(process.pid),
        "process.started": f"{process.create_time():.2f}",
        "process.namespace": _pid_namespace(),
        "process.boot": _boot_id(),
        "process.after_boot": f"{process.create_time() - boot_time:.2f}",
    }


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _is_running(tags: Mapping[str, str]) -> bool:
    """Whether that very process runs: an id is given again, but not with a start time within 10 s of the first. Linux
    counts it from the boot, so that it moves with the clock that is set; without a boot id it is a time of the clock.
    """
    import psutil

    boot = tags.get("process.boot")
    if boot and boot != _boot_id():
        return False
    try:
        boot_time, process = psutil.boot_time(), psutil.Process(int(tags["process.id"]))
        started = process.create_time() - (boot_time if boot else 0)
        before = float(tags["process.after_boot" if boot else "process.started"])
        return process.status() != psutil.STATUS_ZOMBIE and abs(started - before) < 10
    except psutil.NoSuchProcess:
        return False


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)


def _kept(value: object, longest: int = LONGEST_TAG) -> str:
    """A value as text that every store takes."""
    return printable(str(value))[:longest]


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # of a file system that has no links
        shutil.copyfile(source, target)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


@contextlib.contextmanager
def _errors_alone(*names: str) -> Iterator[None]:
    """These loggers write errors and no warnings."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.level, logging.ERROR))
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _reason(error: Exception, longest: int = 200) -> str:
    """The fault itself in a message that wraps it many times over, on one line."""
    text = str(error).strip() or type(error).__name__
    system = re.findall(r"\[Errno -?\d+\] ([^'\")]+)|(timed out)", text)
    lines = [line for line in text.splitlines() if not line.startswith("(raised as a result of")]  # SQLAlchemy's advice
    return "".join(system[-1]).rstrip(": ") if system else masked((lines or [text])[0])[:longest]
