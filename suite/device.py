"""Which device a trial takes, decided without importing TensorFlow or JAX."""

from __future__ import annotations

import importlib.metadata
import os

from benchmarks.base import UserError, check_known
from tracking import hardware

DEVICES = ("auto", "cpu", "gpu")
BACKENDS = ("tensorflow", "jax")
CUDA_PACKAGES = {"tensorflow": "nvidia-cudnn", "jax": "jax-cuda"}  # what the CUDA build of each brings along


def resolve(wanted: str, backend: str) -> tuple[str, str]:
    """("cpu" or "gpu", why). Raises UserError where a GPU is asked for and there is none that this backend can use."""
    check_known("device", wanted, DEVICES)
    check_known("backend", backend, BACKENDS)
    if wanted == "cpu":
        return "cpu", "as asked"
    gpus = hardware.gpus()
    if not gpus:
        lack = "no NVIDIA GPU is found"
    elif not _has_cuda(backend):
        lack = f"{gpus[0]['name']} is there, but not the CUDA build of {backend}; install it with make CUDA=1"
    else:
        return "gpu", gpus[0]["name"]
    if wanted == "gpu":
        raise UserError(f"DEVICE=gpu: {lack}. Use DEVICE=cpu or DEVICE=auto")
    return "cpu", lack


def _has_cuda(backend: str) -> bool:
    names = (dist.metadata["Name"] for dist in importlib.metadata.distributions())
    return any(name.lower().startswith(CUDA_PACKAGES[backend]) for name in names)


def set_environment(device: str, backend: str) -> None:
    """What the backends read when they are imported; processes started from here inherit it."""
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    else:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        os.environ.setdefault("XLA_FLAGS", "--xla_gpu_deterministic_ops=true")  # the same seed, the same scores
