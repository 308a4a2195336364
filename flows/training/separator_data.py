"""Training data of the separators, decoded once to 16-bit arrays on disk that are memory-mapped."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr

from models.core.types import Samples
from models.separation.training.multitracks import SAMPLE_RATE, Library, Multitrack, Stem
from models.separation.training.renderings import render_band
from models.separation.training.sung_speech import speech_to_singing

HELD_OUT_SONG = "3_sodium"
STEMS = ("drums", "bass", "other", "lead_vocals", "backing_vocals")
SINGING = ("singing/producer_space", "singing/erithacus")
SPEECH = ("rhasspy/kathleen", "rhasspy/kerstin", "rhasspy/nathalie", "ljspeech", "vctk", "emodb", "librispeech")


def decode_songs(data: Path, work: Path) -> None:
    """Every stem of every song to `work/songs/<song>/<stem>.npy`."""
    for folder in sorted(p for p in (data / "songs").iterdir() if p.is_dir() and p.name[0].isdigit()):
        for stem in STEMS:
            source = folder / f"{stem}.ogg"
            if source.is_file():
                _write_once(work / "songs" / folder.name / f"{stem}.npy", partial(_channels_first, source))


def decode_voices(data: Path, work: Path) -> None:
    """Each folder of singing to one array a singer's folder, speech to one a speaker, mono at 44.1 kHz."""
    for kind, names in (("singing", SINGING), ("speech", SPEECH)):
        for name in names:
            for group, files in sorted(_by_voice(data / "voice" / name).items()):
                target = work / kind / f"{name.replace('/', '-')}-{group}.npy"
                _write_once(target, partial(_concatenated, files))


def read(path: Path) -> Stem:
    """A sound file as int16 at 44.1 kHz. Shape: (frames, channels)."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    whole: Stem = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
    return whole


def _channels_first(path: Path) -> Stem:
    return read(path).T


def load_library(work: Path, held_out: bool = False) -> Library:
    """The prepared pieces, memory-mapped: the training part, or with `held_out` what is held out."""
    songs = [_piece(p) for p in sorted((work / "songs").iterdir()) if (p.name == HELD_OUT_SONG) == held_out]
    bands = [_piece(p) for p in sorted((work / "bands").glob("*")) if p.is_dir() and _is_held_out(p.name) == held_out]
    singing, speech, sung = (
        [_solo(p) for p in sorted((work / kind).glob("*.npy")) if _is_held_out(p.stem) == held_out]
        for kind in ("singing", "speech", "sung")
    )
    return Library(songs, bands, singing, speech, sung)


def _is_held_out(name: str) -> bool:
    """Every tenth piece, by the last digits of its name, and one folder of singing, is held out."""
    digits = "".join(c for c in name if c.isdigit())
    return name.endswith("shv_c_126") or (name.startswith(("band", "sung")) and int(digits[-4:] or 1) % 10 == 0)


def _piece(folder: Path) -> Multitrack:
    stems = {p.stem: np.load(p, mmap_mode="r") for p in sorted(folder.glob("*.npy"))}
    return Multitrack(folder.name, stems, bass_hidden="bass" not in stems)


def _solo(path: Path) -> Multitrack:
    return Multitrack(path.stem, {"lead_vocals": np.load(path, mmap_mode="r")}, wet="etv_" in path.stem)


def _by_voice(folder: Path) -> dict[str, list[Path]]:
    """The sound files below a folder by singer or speaker, from the names."""
    groups: dict[str, list[Path]] = {}
    for path in sorted([*folder.rglob("*.opus"), *folder.rglob("*.flac"), *folder.rglob("*.wav")]):
        key = path.name[:2] if folder.name == "emodb" else path.parent.name
        groups.setdefault(key, []).append(path)
    return groups


def _concatenated(files: list[Path]) -> Stem:
    """Clips one after another, each brought to one loudness, with a tenth of a second between. Shape: (1, frames)."""
    parts = []
    for path in files:
        mono = read(path).astype(np.float32).mean(axis=1)
        level = np.sqrt(np.square(mono).mean())
        if level > 30:
            parts += [mono * min(2500 / level, 30000 / np.abs(mono).max()), np.zeros(SAMPLE_RATE // 10, np.float32)]
    return np.concatenate(parts or [np.zeros(SAMPLE_RATE, np.float32)])[None].astype(np.int16)


def _write_once(path: Path, make: Callable[[], Stem]) -> None:
    """Write the array that `make` returns, unless the file exists."""
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.save(file, np.ascontiguousarray(make()))
    part.replace(path)


def render_bands(midi: Path, fonts: list[Path], work: Path, count: int) -> None:
    """`count` passages of the MIDI corpus as true stems in `work/bands/band_<i>`; done ones are kept."""
    for index in range(count):
        if not (work / "bands" / f"band_{index:04d}" / "other.npy").is_file():
            stems = band_stems(midi, fonts, index)
            for name in ("drums", "bass", "other"):
                _write_once(work / "bands" / f"band_{index:04d}" / f"{name}.npy", partial(np.asarray, stems[name]))


def band_stems(midi: Path, fonts: list[Path], seed: int) -> dict[str, Stem]:
    """A passage of the MIDI corpus as the stems drums, bass and other; collections take turns by the seed."""
    pop = sorted((midi / "pop909" / "POP909").glob("*/*.mid"))
    tracks = [p for name in ("freedoom", "openmsx") for p in sorted((midi / name).rglob("*.mid"))]
    tunes = sorted((midi / "nottingham").rglob("*.mid"))
    drummers = sorted((midi / "groove").rglob("*.mid"))
    pieces = (pop, pop, tracks, pop, tracks, tunes)[seed % 6]
    return render_band(pieces, drummers, fonts, seed=seed)


def make_singing(work: Path, count: int) -> None:
    """`count` passages of singing in `work/sung`, each made from ten seconds of one speaker; done ones are kept."""
    speakers = sorted((work / "speech").glob("*.npy"))
    dry = [path for path in speakers if path.name.startswith(("rhasspy", "ljspeech", "vctk"))]
    for index in range(count):
        target = work / "sung" / f"sung_{index:04d}.npy"
        if not target.is_file():
            rng = np.random.default_rng((2, index))
            group = dry if dry and rng.random() < 0.6 else speakers
            speech = np.load(group[int(rng.integers(len(group)))], mmap_mode="r")[0]
            start = int(rng.random() * max(len(speech) - 10 * SAMPLE_RATE, 0))
            passage = speech[start : start + 10 * SAMPLE_RATE].astype(np.float32) / 32768
            _write_once(target, partial(_int16, speech_to_singing(passage, SAMPLE_RATE, rng)))


def _int16(mono: Samples) -> Stem:
    return (mono * 32767).astype(np.int16)[None]
