"""Diagnosis of an installation: packages, ffmpeg, device, memory, disk and weights, in about a second."""

import ctypes
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from models.core import registry
from models.core.device import cuda_usable
from models.core.errors import BadInput
from models.core.writable import check_writable

State = Literal["ok", "note", "fault"]

_PROJECT = "deep-philharmonics"
_ENGINES = (
    "prefect", "torch", "demucs", "basic-pitch", "so-vits-svc-fork", "pretty_midi", "pydub", "librosa", "onnxruntime",
    "numpy", "soundfile", "soxr",
)  # fmt: skip
_MEMORY_WANTED, _DISK_WANTED = 4e9, 5e9
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Fact:
    """One line of a diagnosis: the name of a check, its result, and advice where the state is not "ok"."""

    name: str
    result: str
    state: State = "ok"
    advice: str = ""


def diagnose(with_torch: bool = False) -> tuple[Fact, ...]:
    """The facts on Python and packages, ffmpeg, device, threads, memory, disk and weights, in that order.

    `with_torch` also imports torch (seconds) and reports its device. Nothing here raises: a failed check is a fact of
    state "fault".
    """
    parts: list[Callable[[], Iterator[Fact]]] = [_packages, _ffmpeg, _device, _threads, _memory, _disk, _weights]
    if with_torch:
        parts.append(_torch)
    return tuple(fact for part in parts for fact in part())


def _packages() -> Iterator[Fact]:
    yield Fact("python", platform.python_version())
    pins = _pins()
    for name in _ENGINES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Fact(name, "missing", "fault", "install anew: make setup")
            continue
        pinned = pins.get(name, "")
        if pinned and version.partition("+")[0] != pinned:
            yield Fact(name, version, "note", f"tested with {pinned}; to get it: make setup")
        else:
            yield Fact(name, version)


def _pins() -> dict[str, str]:
    """The pinned versions of this project's requirements, by package."""
    try:
        wanted = metadata.requires(_PROJECT) or []
    except metadata.PackageNotFoundError:
        return {}
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)$", "\n".join(wanted), re.MULTILINE))


def _ffmpeg() -> Iterator[Fact]:
    import imageio_ffmpeg

    try:
        output = subprocess.run(
            [imageio_ffmpeg.get_ffmpeg_exe(), "-version"], capture_output=True, text=True, timeout=_TIMEOUT_S
        ).stdout
        yield Fact("ffmpeg", " ".join(output.split()[2:3]) or "it does not answer", "ok" if output else "fault")
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        yield Fact("ffmpeg", f"cannot be run ({error})", "fault", "install imageio-ffmpeg anew: make setup")


def _device() -> Iterator[Fact]:
    """The GPU by its driver, and torch's CUDA version by its version file."""
    cards, driver, built_for = _cuda_devices(), _driver_cuda_version(), _torch_cuda_version()
    if not cards:
        yield Fact("device", "cpu")
    elif built_for and int(driver.partition(".")[0] or 0) < int(built_for.partition(".")[0]):
        result = f"cpu, though there is {', '.join(cards)}"
        yield Fact("device", result, "note", f"its driver knows CUDA {driver}, this torch needs {built_for}: renew it")
    elif built_for:
        yield Fact("device", f"cuda {built_for}: {', '.join(cards)}")
    else:
        yield Fact("device", f"cpu, though there is {', '.join(cards)}", "note", "this torch was built without CUDA")


def _torch_cuda_version() -> str:
    """The CUDA version of the installed torch; empty for a CPU build."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    version = Path(spec.origin).with_name("version.py")
    match = re.search(r"^cuda\b.*= '([\d.]+)'", version.read_text() if version.is_file() else "", re.MULTILINE)
    return match.group(1) if match else ""


def _cuda_devices() -> list[str]:
    """Names of the CUDA devices, by NVIDIA's driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count, name = ctypes.c_int(0), ctypes.create_string_buffer(100)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    names = []
    for index in range(count.value):
        driver.cuDeviceGetName(name, len(name), index)
        names.append(name.value.decode(errors="replace"))
    return names


def _driver_cuda_version() -> str:
    """The newest CUDA version that NVIDIA's driver supports; empty without a driver."""
    version = ctypes.c_int(0)
    with suppress(OSError):
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    return f"{version.value // 1000}.{version.value % 1000 // 10}" if version.value else ""


def _threads() -> Iterator[Fact]:
    cores = len(os.sched_getaffinity(0))
    asked = os.environ.get("OMP_NUM_THREADS", "")
    yield Fact("threads", f"{cores} cores" + (f", OMP_NUM_THREADS={asked}" if asked else ""))


def _memory() -> Iterator[Fact]:
    """Available memory, within the container's limit."""
    meminfo = dict(re.findall(r"^(\w+): +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE))
    free, total = (int(meminfo[key]) * 1024 for key in ("MemAvailable", "MemTotal"))
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None and limit < total:
        free, total = min(free, limit - used), limit
    result = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if free < _MEMORY_WANTED:
        yield Fact("memory", result, "note", f"a remix may take {_MEMORY_WANTED / 1e9:.0f} GB")
    else:
        yield Fact("memory", result)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _disk() -> Iterator[Fact]:
    home = registry.home().absolute()
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    result = f"{free / 1e9:.1f} GB free for {home}"
    try:
        check_writable(home, str(home))
    except BadInput as reason:
        yield Fact("disk", str(reason), "fault", "set REMIX_HOME to a folder that can be written")
        return
    if free < _DISK_WANTED:
        yield Fact("disk", result, "note", "make room (remix cache gc), or set REMIX_HOME to a folder with more")
    else:
        yield Fact("disk", result)


def _weights() -> Iterator[Fact]:
    for weights in registry.manifest():
        name = f"weights {weights.kind} {weights.name}"
        if not weights.shipped and not weights.path.is_file():
            yield Fact(name, "not fetched", "ok", f"remix weights fetch {weights.name}")
            continue
        try:
            registry.verified(weights)
        except BadInput as broken:
            yield Fact(name, "missing or damaged", "fault", str(broken))
        else:
            yield Fact(name, f"{weights.path.stat().st_size / 1e6:.1f} MB, verified")


def _torch() -> Iterator[Fact]:
    import torch

    device = torch.cuda.get_device_name() if cuda_usable() else "cpu"
    yield Fact("torch computes on", f"{device}, {torch.get_num_threads()} threads")
