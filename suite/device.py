"""Which device a trial takes, decided without importing TensorFlow or JAX."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import runpy
import stat
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from hepbench.benchmarks.base import UserError, check_known
from hepbench.suite import paths
from hepbench.tracking.hardware import machine

DEVICES = ("auto", "cpu", "gpu")
BACKENDS = ("tensorflow", "jax")

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "PJRT_NPROC",  # JAX on the processor
)
"""What keeps libraries to so many cores; without it TensorFlow, JAX and XGBoost look at the affinity alone, which a
container's quota leaves as it is."""

MEMORY_KEPT = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}
"""Has glibc keep what a process frees, for all of its threads, where it reads this when the process starts.

A network's step asks for the same large arrays again and again. Given back to the system in between, they come back
page by page, which on a virtual machine can take more than half the time of a graph network.
"""
MOST_COMPILED = 2**30
COMPILATION_CACHE = {
    "JAX_COMPILATION_CACHE_MAX_SIZE": str(MOST_COMPILED),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
}
"""What JAX keeps of what it compiles: the latest used, of what took a fifth of a second to compile."""

LOOKED_FOR = frozenset({"IPython", "jax", "matplotlib", "pandas", "sklearn"})
"""What Keras and TensorFlow import where it is installed, for parts that no training uses."""

MALLOPT = {"MALLOC_ARENA_MAX": -8, "MALLOC_MMAP_MAX_": -4, "MALLOC_TRIM_THRESHOLD_": -1}  # as mallopt(3) calls them


def resolve(wanted: str, backend: str) -> tuple[str, str]:
    """("cpu" or "gpu", why). Raises UserError where a GPU is asked for and there is none that this backend can use,
    or the backend is not installed."""
    check_known("device", wanted, DEVICES)
    check_known("backend", backend, BACKENDS)
    if lack := missing(backend):
        raise UserError(f"BACKEND={backend}: {lack}")
    if wanted == "cpu":
        return "cpu", "as asked"
    gpus = machine.gpus()
    if not gpus:
        lack = "no NVIDIA GPU is found"
    elif not _has_cuda(backend):
        lack = f"{gpus[0]['name']} is there, but not the CUDA build of {backend}; install it with make CUDA=1"
    else:
        return "gpu", gpus[0]["name"]
    if wanted == "gpu":
        raise UserError(f"DEVICE=gpu: {lack}. Use DEVICE=cpu or DEVICE=auto")
    return "cpu", lack


def missing(backend: str) -> str | None:
    """What to do where the backend is not installed, or None where it is."""
    brought = {"tensorflow": "tensorflow", "jax": "'hepbench[jax]'"}[backend]
    return None if importlib.util.find_spec(backend) else f"{backend} is not installed: pip install {brought}"


def _has_cuda(backend: str) -> bool:
    """Whether the build of a backend and the libraries beside it are for CUDA, by what is installed. PyTorch brings
    NVIDIA's libraries, too, beside a TensorFlow that has no use for them, or needs those of another CUDA."""
    packages = {dist.metadata["Name"].lower() for dist in importlib.metadata.distributions()}
    if backend == "jax":
        return any(name.startswith("jax-cuda") for name in packages)
    build = _build_of_tensorflow()
    major = str(build.get("cuda_version", "")).partition(".")[0]
    return bool(build.get("is_cuda_build")) and f"nvidia-cudnn-cu{major}" in packages


def _build_of_tensorflow() -> Mapping[str, Any]:
    """What TensorFlow tells of its build, read from its file: its import takes seconds."""
    found = importlib.util.find_spec("tensorflow")
    if found is None or found.origin is None:
        return {}
    told = runpy.run_path(str(Path(found.origin).parent / "python" / "platform" / "build_info.py"))
    build: Mapping[str, Any] = told["build_info"]
    return build


def check_sees_gpu(backend: str) -> None:
    """UserError where a backend, which is imported, finds no GPU to compute on: it would take the processor in its
    place, and its times would pass for those of the GPU."""
    if backend == "tensorflow":
        import tensorflow

        seen = tensorflow.config.list_physical_devices("GPU")
    else:
        import jax

        seen = [one for one in jax.devices() if one.platform == "gpu"]
    if not seen:
        raise UserError(
            f"{backend} {importlib.import_module(backend).__version__} finds no GPU on {platform.node()}, where there "
            "is one: install its CUDA build with make CUDA=1, or give DEVICE=cpu"
        )


def of_gpu(uuid: str) -> dict[str, str]:
    """The environment of a process that is to see this GPU, or slice of one, and no other."""
    return {"CUDA_VISIBLE_DEVICES": uuid, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def threads(cores: float) -> dict[str, str]:
    """The environment of a process that is to keep to so many cores."""
    return dict.fromkeys(THREADS, str(max(1, int(cores))))


def import_keras(backend: str) -> None:
    """Keras in a process of our own, whose environment is set: twice as fast as by itself."""
    if backend == "jax":
        without_tensorflow()
    with quick_imports(LOOKED_FOR - {backend}):
        import keras  # noqa: F401
    _set_keras_defaults()
    gc.freeze()  # or each later collection would look at all that was imported


def _set_keras_defaults() -> None:
    """Keras' own, whatever the keras.json of this user says: networks are written for them, and a result is to be the
    same elsewhere."""
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


def without_tensorflow() -> None:
    """Keras on JAX imports TensorFlow, too, where it finds it, and uses nothing of it: half of the time until a worker
    begins. For processes of our own, before anything has imported it: there it is as if it were not installed."""
    if "tensorflow" not in sys.modules:
        sys.meta_path[:] = [_WithoutTensorFlow if one is PathFinder else one for one in sys.meta_path]


class _WithoutTensorFlow(PathFinder):
    @classmethod
    def find_spec(cls, fullname: str, *where: Any) -> ModuleSpec | None:
        return None if fullname.partition(".")[0] == "tensorflow" else super().find_spec(fullname, *where)


@contextlib.contextmanager
def quick_imports(hidden: Collection[str] = ()) -> Iterator[None]:
    """Garbage collection is off meanwhile: imports make objects by the hundred thousand and hardly any garbage.

    hidden: packages that are not found by what this thread imports meanwhile, unless they are imported already.
    """
    collects = gc.isenabled()
    finder = _Without(frozenset(hidden), threading.get_ident())
    sys.meta_path.insert(0, finder)
    gc.disable()
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if collects:
            gc.enable()


@dataclass(frozen=True)
class _Without:
    hidden: frozenset[str]
    thread: int

    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname in self.hidden and threading.get_ident() == self.thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def enable_compilation_cache() -> None:
    """Let JAX keep what it has compiled from one process to the next: in the results, once there are some, of this user
    and for processors of this kind alone, `MOST_COMPILED` bytes at most. What others may write into is not read, as it
    is code that runs."""
    folder = paths.compiled_folder(_kind_of_processor())
    if folder.parent.parent.is_dir():
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if all(_is_ours(one) for one in (folder, folder.parent)):
                for name, value in COMPILATION_CACHE.items():
                    os.environ.setdefault(name, value)
                os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder of this user, which no other may write into."""
    state = folder.lstat()
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & 0o022


def _kind_of_processor() -> str:
    """Code that was compiled for one kind of processor may not run on another, with whom a home may be shared."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = [platform.machine(), platform.processor(), platform.node()]
    told = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}) or lines
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def set_environment(device: str, backend: str) -> None:
    """What the backends read when they are imported; processes started from here inherit it. UserError where this
    process is to use a GPU and sees none."""
    _keep_memory()
    for name, value in threads(machine.cores_usable()).items():
        os.environ.setdefault(name, value)
    os.environ["KERAS_BACKEND"] = backend
    if backend == "jax":
        enable_compilation_cache()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # the default where a processor has VNNI
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    else:
        seen = machine.gpus()
        if not seen:
            raise UserError(
                f"no GPU is seen on {platform.node()}, where the trial was sent: ask for one, or DEVICE=cpu"
            )
        os.environ.update(of_gpu(seen[0]["uuid"]))
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        os.environ.setdefault("XLA_FLAGS", "--xla_gpu_deterministic_ops=true")  # the same seed, the same scores


def out_of_memory(error: BaseException) -> bool:
    """Whether memory has run out, in the words of Python, TensorFlow, JAX or PyTorch."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}:
        return True
    of_xla = kinds & {"JaxRuntimeError", "XlaRuntimeError", "InternalError", "RuntimeError"}
    return bool(of_xla) and any(word in str(error) for word in ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY"))


def load_keras(device: str, backend: str, *, ours: bool = False) -> None:
    """`set_environment`, and Keras without what TensorFlow prints at its import, whatever its level of logging, and
    where one process runs many networks.

    ours: the process is one of our own, and imports it as `import_keras`.
    """
    set_environment(device, backend)
    sys.stderr.flush()
    printed = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        if ours:
            import_keras(backend)
        else:
            with quick_imports():
                import keras  # noqa: F401
            _set_keras_defaults()
    finally:
        os.dup2(printed, 2)
        os.close(printed)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _keep_memory() -> None:
    """`MEMORY_KEPT` for a process that runs already; threads that it has got keep what they were given."""
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "mallopt"):
        for name, value in MEMORY_KEPT.items():
            c_library.mallopt(MALLOPT[name], int(value))
