import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

import models.core.diagnosis
from models.core import registry
from models.core.diagnosis import Fact, diagnose


def facts(with_torch: bool = False) -> dict[str, Fact]:
    return {fact.name: fact for fact in diagnose(with_torch)}


def test_it_names_packages_ffmpeg_device_threads_memory_and_disk(home: Path) -> None:
    result = facts()
    for name in ("prefect", "torch", "demucs", "basic-pitch", "so-vits-svc-fork", "pretty_midi", "pydub", "librosa"):
        assert result[name].result == metadata.version(name)
    assert result["ffmpeg"].state == "ok"
    assert result["ffmpeg"].result[0] in "n0123456789"
    assert result["device"].result.startswith(("cpu", "cuda"))
    assert "cores" in result["threads"].result
    assert "GB free" in result["memory"].result
    assert str(home) in result["disk"].result


def test_it_does_not_load_what_takes_long() -> None:
    script = "import sys; from models.core.diagnosis import diagnose; diagnose(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "librosa", "numpy", "prefect", "demucs"} & set(loaded)


def test_torch_is_asked_only_when_wanted() -> None:
    assert "torch computes on" not in facts()
    assert "threads" in facts(with_torch=True)["torch computes on"].result


@pytest.mark.parametrize(
    ("url", "content", "state", "result"),
    [
        ("", b"good", "ok", "verified"),
        ("", b"bad!", "fault", "missing or damaged"),
        ("", None, "fault", "missing or damaged"),
        ("https://x.invalid/a", None, "ok", "not fetched"),
        ("https://x.invalid/a", b"half", "fault", "missing or damaged"),
    ],
)
def test_weights_are_verified(
    home: Path, monkeypatch: pytest.MonkeyPatch, url: str, content: bytes | None, state: str, result: str
) -> None:
    digest = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"  # of b"good"
    entry = registry.Weights("a", "separator", "a.safetensors", digest, 4, "MIT", "here", url, "fine")
    monkeypatch.setattr(registry, "SHIPPED", home / "weights")
    monkeypatch.setattr(registry, "manifest", lambda: (entry,))
    if content is not None:
        entry.path.parent.mkdir(parents=True)
        entry.path.write_bytes(content)
    fact = facts()["weights separator a"]
    assert fact.state == state
    assert result in fact.result


def test_a_missing_or_other_package_is_reported_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "1.0.0+cpu"}

    def version(name: str) -> str:
        if name == "demucs":
            raise metadata.PackageNotFoundError(name)
        return versions.get(name, "9")

    monkeypatch.setattr(metadata, "version", version)
    result = facts()
    assert result["demucs"] == Fact("demucs", "missing", "fault", "install anew: make setup")
    assert result["torch"].state == "note"
    assert "tested with 2" in result["torch"].advice
    assert result["soxr"].state == "ok"


def test_it_works_from_a_folder_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.core.diagnosis, "_PROJECT", "no-such-project")
    assert facts()["torch"].state == "ok"


def test_an_ffmpeg_that_cannot_be_run_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: "/nowhere/ffmpeg")
    assert facts()["ffmpeg"].state == "fault"


@pytest.mark.parametrize(
    ("cards", "driver", "built_for", "result", "word"),
    [
        ([], "", "", "cpu", ""),
        ([], "", "13.0", "cpu", ""),
        (["NVIDIA H100"], "13.2", "13.0", "cuda 13.0: NVIDIA H100", ""),
        (["NVIDIA H100"], "12.4", "13.0", "cpu, though there is NVIDIA H100", "driver knows CUDA 12.4"),
        (["NVIDIA H100"], "13.0", "", "cpu, though there is NVIDIA H100", "without CUDA"),
    ],
)
def test_a_gpu_is_named_and_a_torch_that_cannot_use_it_noted(
    monkeypatch: pytest.MonkeyPatch, cards: list[str], driver: str, built_for: str, result: str, word: str
) -> None:
    monkeypatch.setattr(models.core.diagnosis, "_cuda_devices", lambda: cards)
    monkeypatch.setattr(models.core.diagnosis, "_driver_cuda_version", lambda: driver)
    monkeypatch.setattr(models.core.diagnosis, "_torch_cuda_version", lambda: built_for)
    device = facts()["device"]
    assert (device.result, device.state) == (result, "note" if word else "ok")
    assert word in device.advice


def test_little_room_is_noted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = models.core.diagnosis.shutil.disk_usage("/")
    monkeypatch.setattr(models.core.diagnosis.shutil, "disk_usage", lambda folder: usage._replace(free=10**9))
    monkeypatch.setattr(models.core.diagnosis, "_MEMORY_WANTED", 1e15)
    result = facts()
    assert replace(result["disk"], advice="") == Fact("disk", f"1.0 GB free for {home}", "note")
    assert result["memory"].state == "note"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has a folder that not even root can write to")
def test_a_home_that_cannot_be_made_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMIX_HOME", "/proc/nowhere")
    result = facts()
    assert replace(result["disk"], advice="") == Fact(
        "disk", "/proc/nowhere cannot be written: No such file or directory.", "fault"
    )
