"""The device that a trial runs on: a short stable name, what it is, and its peak memory."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import re
import socket
from pathlib import Path

import torch

from planner.words.records import Device, Resources

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
"""There where a GPU can be expected to be one."""


def torch_device(resources: Resources) -> torch.device:
    """CUDA where the trial was given a GPU and the worker has one, else the CPU."""
    use_cuda = resources.gpus > 0 and torch.cuda.is_available()
    return torch.device("cuda", torch.cuda.current_device()) if use_cuda else torch.device("cpu")


def hide_gpus() -> None:
    """Leave every GPU of the machine to trials that were given one.

    Ray 2.60 no longer hides them from a task that asks for none, and a library that only looks at a GPU
    takes some hundreds of MB on it. Too late once CUDA was used in this process, and harmless then.
    """
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def use_threads(resources: Resources) -> None:
    """As many compute threads as the trial was given CPUs; more would thrash beside other workers."""
    torch.set_num_threads(max(1, int(resources.cpus)))


def describe(device: torch.device, label: str | None = None) -> Device:
    """The device's record; `label` replaces the derived name."""
    if device.type == "cuda":
        return _cuda(device, label)
    model = cpu_model()
    threads = torch.get_num_threads()
    return Device(
        name=label or f"{cpu_name(model)}-{threads}t",
        kind="cpu",
        model=model,
        n_threads=threads,
        memory_bytes=_total_memory(),
        driver=None,
        details={"capability": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__},
    )


def _cuda(device: torch.device, label: str | None) -> Device:
    properties = torch.cuda.get_device_properties(device)
    return Device(
        name=label or gpu_name(properties.name),
        kind="cuda",
        model=properties.name,
        n_threads=torch.get_num_threads(),
        memory_bytes=int(properties.total_memory),
        driver=_nvidia_driver(),
        details={
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "multiprocessors": properties.multi_processor_count,
            "torch": torch.__version__,
        },
    )


def _slug(words: list[str]) -> str:
    return "-".join(re.sub(r"[^a-z0-9.]+", "-", w.lower()).strip("-") for w in words if w)


def cpu_name(model: str) -> str:
    """A short name from the kernel's model string.

    >>> cpu_name("AMD EPYC 9V74 80-Core Processor"), cpu_name("Intel(R) Xeon(R) CPU @ 2.20GHz")
    ('amd-epyc-9v74', 'intel-xeon')
    """
    text = re.sub(r"\((R|TM|tm)\)|@.*$|\b\d+-Core\b|\b(Processor|CPU|Gen|with)\b", " ", model)
    return _slug(text.split()[:4]) or "cpu"


def gpu_name(model: str) -> str:
    """A short name from the driver's model string; PCIe cards are kept apart, as they are slower.

    >>> gpu_name("NVIDIA H100 80GB HBM3"), gpu_name("NVIDIA A100-SXM4-80GB")
    ('h100', 'a100-sxm4-80gb')
    >>> gpu_name("NVIDIA H100 PCIe"), gpu_name("NVIDIA GeForce RTX 4090")
    ('h100-pcie', 'rtx-4090')
    """
    words = [w for w in model.split() if w.lower() not in ("nvidia", "tesla", "geforce")]
    last = next((i for i, w in enumerate(words) if re.search(r"\d", w)), len(words) - 1)
    kept = words[: last + 1] + [w for w in words[last + 1 :] if w.lower() == "pcie"]
    return _slug(kept) or "cuda"


def cpu_model() -> str:
    """The processor's name as the kernel gives it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "cpu"


CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container may use, where it is limited (cgroup v2)."""


def _total_memory() -> int | None:
    """Memory of the machine, or of the container where that may use less."""
    path = Path("/proc/meminfo")
    match = re.search(r"MemTotal:\s+(\d+) kB", path.read_text()) if path.exists() else None
    machine = int(match.group(1)) * 1024 if match else None
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.exists() else "max"
    if not limit.isdigit():
        return machine
    return int(limit) if machine is None else min(machine, int(limit))


def _nvidia_driver() -> str | None:
    path = Path("/proc/driver/nvidia/version")
    match = re.search(r"Kernel Module\s+([\d.]+)", path.read_text()) if path.exists() else None
    return match.group(1) if match else None


def _status_bytes(key: str) -> int | None:
    path = Path("/proc/self/status")
    match = re.search(rf"{key}:\s+(\d+) kB", path.read_text()) if path.exists() else None
    return int(match.group(1)) * 1024 if match else None


class PeakMemory:
    """Most memory that was in use since `start`: allocated on CUDA, resident above the base on a CPU.

    `held_bytes` are tensors that the process kept from earlier trials and this one uses (base
    weights), so that the first and the tenth trial of a worker report the same.
    """

    def __init__(self, device: torch.device, held_bytes: int = 0) -> None:
        self._device = device
        self._held = held_bytes
        self._base: int | None = None
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        else:
            self._base = self._restart()

    @staticmethod
    def _restart() -> int | None:
        """Give freed pages back and set the kernel's high-water mark to now; None where it cannot be."""
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        except (OSError, AttributeError):
            return None
        return _status_bytes("VmRSS")

    def peak_bytes(self) -> int | None:
        """Bytes, or None where the kernel does not tell."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        peak = _status_bytes("VmHWM")
        if peak is None or self._base is None:
            return None
        return max(0, peak - self._base) + self._held


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def unusable_gpu(resources: Resources) -> str | None:
    """What this worker was given and cannot use, in one line, or None.

    A machine with NVIDIA's driver whose torch has no CUDA would train on its CPU for days without a
    word. Where there is no driver, a GPU is a logical one (Ray's tests of packing) and means nothing.
    """
    if resources.gpus <= 0 or not NVIDIA_DRIVER.exists():
        return None
    if torch.cuda.is_available():
        return None
    return (
        f"worker on {socket.gethostname()} was given a GPU that torch {torch.__version__} cannot "
        f"use; install a CUDA build of torch there, or set gpus = 0 in [resources]"
    )


def n_gpus() -> float:
    """GPUs that torch can use on this machine."""
    return float(torch.cuda.device_count())


def gpu_models() -> list[str]:
    """Names of the GPUs that torch can use on this machine."""
    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.cuda.get_device_name(i) for i in range(n)]
