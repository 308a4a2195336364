"""Multitracks from MIDI: drums, bass and other instruments rendered separately on random General MIDI programs.

Files without a bass get one that follows their lowest notes, files without drums a pattern from a drum file stretched
to their tempo. Everything is drawn from one generator, so equal seeds give equal stems.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi
import tinysoundfont

from models.core.types import Samples
from models.separation.training.augmentation import add_reverb
from models.separation.training.multitracks import SAMPLE_RATE, Stem

Event = tuple[float, float, int, int]
"""Onset and end in seconds, pitch, velocity."""
BASSES = (32, 33, 34, 35, 36, 37, 38, 39, 38, 39, 33, 87)
OTHERS = (
    *(0, 1, 2, 4, 5, 5, 6, 7, 11, 16, 17, 18, 19, 21, 22, 24, 25, 26, 27, 28, 29, 30, 29, 30, 40, 41, 42, 44, 46, 48),
    *(48, 49, 50, 51, 50, 56, 57, 60, 61, 62, 63, 64, 65, 66, 71, 73, 75, 80, 81, 80, 81, 82, 84, 86, 88, 89, 90, 91),
    *(92, 93, 94, 95, 104, 106, 12, 13),
)
KITS = (0, 0, 8, 16, 24, 25, 25, 32, 40)


@dataclass(frozen=True)
class Parts:
    """Events of a passage: of drums, of bass, and of each other instrument with its GM program."""

    drums: list[Event]
    bass: list[Event]
    others: list[tuple[int, list[Event]]]


def render_band(
    pieces: Sequence[Path], drummers: Sequence[Path], fonts: Sequence[Path], seed: int, length_s: float = 45.0
) -> dict[str, Stem]:
    """The stems drums, bass and other of a random passage of a random file, int16 stereo at 44.1 kHz.

    `pieces` and `drummers` are MIDI files, `fonts` SoundFonts. Unreadable files and those with fewer than 20 notes in
    the passage are skipped; raises `ValueError` after 100 such draws.
    """
    rng = np.random.default_rng(seed)
    for _ in range(100):
        parts, tempo = _passage(pieces[int(rng.integers(len(pieces)))], rng, length_s)
        if parts is not None:
            break
    else:
        raise ValueError("none of the MIDI files drawn could be read or had notes enough")
    drums = parts.drums or _drum_pattern(drummers, tempo, rng, length_s)
    bass = parts.bass or _bass_line(parts.others, tempo, rng)
    font = str(fonts[int(rng.integers(len(fonts)))])
    transpose = int(rng.integers(-3, 4))
    frames = int(length_s * SAMPLE_RATE)
    stems = {
        "drums": _render(font, [(KITS[int(rng.integers(len(KITS)))], drums)], frames, 0, True),
        "bass": _render(font, [(BASSES[int(rng.integers(len(BASSES)))], bass)], frames, transpose, False),
        "other": _other(font, parts.others, frames, transpose, rng),
    }
    return {name: _produce(wave, name, rng) for name, wave in stems.items()}


def _passage(path: Path, rng: np.random.Generator, length_s: float) -> tuple[Parts | None, float]:
    """A random passage of a MIDI file, and its tempo clipped to 60-180 BPM; None if unreadable or nearly empty."""
    try:
        midi = pretty_midi.PrettyMIDI(str(path))
    except Exception:
        return None, 120.0
    start = rng.uniform(0, max(midi.get_end_time() - length_s, 0))
    parts = Parts([], [], [])
    for track in midi.instruments:
        events = [
            (n.start - start, min(n.end - start, length_s), n.pitch, n.velocity)
            for n in track.notes
            if start <= n.start < start + length_s
        ]
        if track.is_drum:
            parts.drums.extend(events)
        elif 32 <= track.program <= 39:
            parts.bass.extend(events)
        elif len(events) > 3:
            parts.others.append((track.program, events))
    if sum(len(events) for _, events in parts.others) < 20:
        return None, 120.0
    tempos = midi.get_tempo_changes()[1]
    return parts, float(np.clip(tempos[0] if len(tempos) else 120, 60, 180))


def _drum_pattern(drummers: Sequence[Path], tempo: float, rng: np.random.Generator, length_s: float) -> list[Event]:
    """A drum file's pattern stretched to the tempo and looped to the length."""
    for _ in range(8):
        try:
            midi = pretty_midi.PrettyMIDI(str(drummers[int(rng.integers(len(drummers)))]))
        except Exception:
            continue
        notes = [n for track in midi.instruments if track.is_drum for n in track.notes]
        if len(notes) > 24:
            break
    else:
        return []
    stretch = float(np.clip(midi.get_tempo_changes()[1][0] / tempo, 0.6, 1.7))
    bar = 240 / tempo
    loop = max(round(min(midi.get_end_time() * stretch, 16 * bar) / bar), 1) * bar
    events = []
    for repeat in range(int(length_s / loop) + 1):
        for n in notes:
            at = n.start * stretch
            if at < loop and repeat * loop + at < length_s:
                events.append((repeat * loop + at, repeat * loop + at + 0.2, n.pitch, n.velocity))
    return events


def _bass_line(others: list[tuple[int, list[Event]]], tempo: float, rng: np.random.Generator) -> list[Event]:
    """A bass line of the lowest sounding pitch at each beat or half beat, transposed to the bass octave."""
    notes = [e for _, events in others for e in events]
    step = 60 / tempo * (0.5 if rng.random() < 0.5 else 1.0)
    hold = rng.uniform(0.5, 1.0) * step
    events: list[Event] = []
    for index in range(int(max(e[1] for e in notes) / step)):
        low = [e[2] for e in notes if e[0] < (index + 0.9) * step and e[1] > index * step]
        if low and (index % 2 == 0 or rng.random() < 0.7):
            pitch = 28 + (min(low) - 28) % 12 + (12 if rng.random() < 0.15 else 0)
            events.append((index * step, index * step + hold, pitch, int(rng.integers(70, 120))))
    return events


def _other(
    font: str, others: list[tuple[int, list[Event]]], frames: int, transpose: int, rng: np.random.Generator
) -> Samples:
    """All other instruments, 70 % on a random program, 30 % doubled by a second program."""
    lines = []
    for program, events in others[:12]:
        lines.append((program if rng.random() < 0.3 else OTHERS[int(rng.integers(len(OTHERS)))], events))
        if rng.random() < 0.3:
            lines.append((OTHERS[int(rng.integers(len(OTHERS)))], events))
    return _render(font, lines, frames, transpose, False)


def _render(font: str, lines: list[tuple[int, list[Event]]], frames: int, transpose: int, drums: bool) -> Samples:
    """Lines of (program, events) rendered together. Shape: (2, frames)."""
    total = np.zeros((2, frames), np.float32)
    for first in range(0, len(lines), 14):
        synth = tinysoundfont.Synth(gain=-6, samplerate=SAMPLE_RATE)
        bank = synth.sfload(font)
        pending: list[tuple[int, int, int, int, int]] = []
        for channel, (program, events) in enumerate(lines[first : first + 14]):
            channel = 9 if drums else channel + (channel >= 9)
            try:
                synth.program_select(channel, bank, 128 if drums else 0, program, drums)
            except tinysoundfont.SoundFontException:
                synth.program_select(channel, bank, 128 if drums else 0, 0, drums)
            synth.control_change(channel, 10, 64 if drums else 40 + (37 * channel) % 49)
            for onset, end, pitch, velocity in events:
                key = pitch if drums else min(max(pitch + transpose, 12), 115)
                pending.append((int(max(onset, 0) * SAMPLE_RATE), 1, channel, key, velocity))
                pending.append((int(max(end, onset + 0.03) * SAMPLE_RATE), 0, channel, key, 0))
        total += _synthesise(synth, sorted(pending), frames)
    return total


def _synthesise(synth: tinysoundfont.Synth, pending: list[tuple[int, int, int, int, int]], frames: int) -> Samples:
    """The synthesiser's output while it is sent the events at their times. Shape: (2, frames)."""
    blocks, at = [], 0
    for time, on, channel, key, velocity in [*pending, (frames, 0, 0, 0, 0)]:
        time = min(time, frames)
        if time > at:
            blocks.append(np.frombuffer(synth.generate(time - at), np.float32).reshape(-1, 2).copy())
            at = time
        if on:
            synth.noteon(channel, key, velocity)
        else:
            synth.noteoff(channel, key)
    return np.concatenate(blocks).T


def _produce(wave: Samples, name: str, rng: np.random.Generator) -> Stem:
    """The stem with random saturation and reverberation; peak at -3 dBFS, int16."""
    peak = float(np.abs(wave).max()) or 1.0
    wave = wave / peak
    if rng.random() < 0.4:
        drive = rng.uniform(1.5, 5.0)
        wave = np.tanh(drive * wave) / np.tanh(drive)
    if name != "bass" and rng.random() < 0.5:
        wave = add_reverb(wave, rng)
    return (wave * (0.7 * 32767 / max(float(np.abs(wave).max()), 1e-3))).astype(np.int16)
