"""Sounding files of every kind, made on the spot, and ways to spoil them."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from models.ffmpeg import program

KINDS = ("wav", "flac", "aiff", "mp3", "ogg", "opus", "m4a")


def chord(seconds: float, sample_rate: int = 44100, channels: int = 2) -> NDArray[np.float32]:
    """Three sines and a little noise, another in each channel; shape (frames, channels), peak under 0.8."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    noise = np.random.default_rng(7).standard_normal((len(t), channels)) * 0.01
    tones = [sum(np.sin(2 * np.pi * f * (1 + c / 8) * t) for f in (220, 277.2, 329.6)) / 4 for c in range(channels)]
    return (np.stack(tones, axis=1) + noise).astype(np.float32)


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg, which must succeed."""
    subprocess.run([program(), "-v", "error", "-y", "-nostdin", *map(str, arguments)], check=True)


def sound(path: Path, seconds: float = 2.0, sample_rate: int = 44100, channels: int = 2, subtype: str = "") -> Path:
    """A sounding file of the kind its name says; `subtype` (as soundfile names them) is of the WAV it is made from."""
    source = path if path.suffix == ".wav" else path.with_name(f"{path.name}.source.wav")
    soundfile.write(source, chord(seconds, sample_rate, channels), sample_rate, subtype or "PCM_16", format="WAVEX")
    if source != path:
        ffmpeg("-i", source, "-map_metadata", "-1", path)
        source.unlink()
    return path


def bits_flipped(data: bytes, rng: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    for place in rng.integers(len(data), size=20):
        spoilt[place] ^= 1 << int(rng.integers(8))
    return bytes(spoilt)


def cut_short(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(1, len(data) * 9 // 10))]


def header_spoilt(data: bytes, rng: np.random.Generator) -> bytes:
    """Random bytes where lengths and formats are told."""
    spoilt = bytearray(data)
    for place in rng.integers(4, 80, size=6):
        spoilt[place] = int(rng.integers(256))
    return bytes(spoilt)


def hole_torn(data: bytes, rng: np.random.Generator) -> bytes:
    """A third of the file is noise."""
    start = int(rng.integers(len(data) // 3, len(data) // 2))
    return data[:start] + rng.bytes(len(data) // 3) + data[start + len(data) // 3 :]


def malformed(folder: Path, count: int, seed: int = 0) -> Iterator[Path]:
    """So many spoilt files, each kind and each way in turn; equal seeds give equal files."""
    rng = np.random.default_rng(seed)
    ways: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
        bits_flipped, cut_short, header_spoilt, hole_torn,
    )  # fmt: skip
    whole = {kind: sound(folder / f"whole.{kind}", 1.5).read_bytes() for kind in KINDS}
    for index in range(count):
        kind, way = KINDS[index % len(KINDS)], ways[index % len(ways)]
        path = folder / f"{index:03d}-{way.__name__}.{kind}"
        path.write_bytes(way(whole[kind], rng))
        yield path
