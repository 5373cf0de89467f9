"""A trial in a worker's process."""

from __future__ import annotations

import functools
import json
import random
import threading
import traceback
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import UserError
from hepbench.suite import device
from hepbench.suite.paths import training_file
from hepbench.suite.training.checkpoint import delete
from hepbench.suite.trial.spec import Spec, identity_of, look_up
from hepbench.tracking.hardware.machine import describe_machine, hardware_name
from hepbench.tracking.passwords import masked
from hepbench.tracking.printable import printable
from hepbench.tracking.runs import StoreError

if TYPE_CHECKING:
    from hepbench.tracking.runs import Store


class Stopped(Exception):
    """The trial's sender wants no more of it."""


_stopped: set[str] = set()
_one_at_a_time = threading.Lock()
_importing: list[threading.Thread] = []


async def stop(key: str) -> None:
    """End the trial of this key at its next epoch."""
    _stopped.add(key)


async def start_imports(chosen: str, backend: str) -> None:
    """In a thread, as the process must answer its scheduler meanwhile; a trial waits for it, as two threads that import
    break each other's modules, and would share their time."""
    thread = threading.Thread(target=_keras, args=(chosen, backend), daemon=True)
    thread.start()
    _importing.append(thread)


def _keras(chosen: str, backend: str) -> None:
    device.set_environment(chosen, backend)
    device.import_keras(backend)
    import keras

    if (there := keras.backend.backend()) != backend:
        raise UserError(f"this worker runs {there} already: start workers of their own for BACKEND={backend}")


@functools.cache
def _store() -> Store:
    from hepbench.suite.paths import results_folder
    from hepbench.tracking import runs

    with device.quick_imports():
        return runs.connect(None, results_folder())


def _checkpoint_name(identity: str, run: dict[str, Any]) -> str:
    """What decides a trial's result; of a forced one also the command, so that it starts afresh and never resumes from
    what an equal trial, which may be running, saves."""
    return f"{identity}-{run['parent']}" if "forced" in run["tags"] else identity


def run_in_worker(
    spec: Spec, run: dict[str, Any], final: bool, data_digest: str, split_hash: str, key: str, topic: str
) -> dict[str, Any]:
    """Run a trial; what it answers is plain, as an exception's class may not be known to the sender."""
    import dask.sizeof
    from distributed import get_worker

    from hepbench.suite.trial import run as run_module

    # Its draws, in the thread that answers the scheduler, would come between the seed of a network and its weights.
    vars(dask.sizeof)["random"] = random.Random()

    worker = get_worker()

    def listener(message: dict[str, Any]) -> None:
        worker.log_event(topic, {"key": key, "worker": worker.address, **message})
        task = worker.state.tasks.get(key)
        if key in _stopped or task is None or task.state in ("cancelled", "released"):
            raise Stopped

    with _one_at_a_time:
        run_id = None
        try:
            for thread in _importing:
                thread.join()
            device.set_environment(spec.device, spec.backend)
            trial = look_up(spec)
            checkpoint = training_file(_checkpoint_name(identity_of(trial, data_digest, split_hash)[1], run))
            if trial.model.record.in_keras:
                _keras(spec.device, spec.backend)
                if spec.device == "gpu":
                    device.check_sees_gpu(spec.backend)
            store = _store()
            machine = describe_machine()
            tags = {"hardware": hardware_name(machine, spec.device), "machine": json.dumps(machine)}
            run_id = store.start(**{**run, "tags": {**run["tags"], **tags}})
            listener({"run": run_id})
            return {
                "run": run_id,
                "result": run_module.run(trial, store, run_id, listener, final, data_digest, split_hash, checkpoint),
            }
        except Stopped:
            if key in _stopped:  # nobody resumes it, as after an interrupt
                delete(checkpoint)
            return {"run": run_id, "stopped": True}
        except (UserError, StoreError) as error:
            return {
                "run": run_id,
                "error": printable(str(error)),
                "details": "",
                "of_store": isinstance(error, StoreError),
            }
        except (Exception, SystemExit) as error:  # no fault of the sender; the run is ended FAILED with this message
            text, details = masked(f"{type(error).__name__}: {error}"), masked(traceback.format_exc())
            return {"run": run_id, "error": printable(text), "details": printable(details)}
        finally:
            _stopped.discard(key)
