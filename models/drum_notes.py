"""Drums written down: which piece of the kit is struck when, from sudden rises in three bands of the spectrum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.mono import magnitudes
from models.progress import UNWATCHED, Watch
from models.records import Note, Source

Floats = NDArray[np.float32]

KICK, SNARE, HIHAT, OPEN_HIHAT, CRASH, RIDE = 36, 38, 42, 46, 49, 51
LOW_TOM, MID_TOM, HIGH_TOM = 45, 47, 50
_RATE = 44_100
_WINDOW = 2_048
_HOP = 441
_EDGES_HZ = np.geomspace(40, 16_000, 25)


@dataclass(frozen=True)
class DrumSettings:
    """How strokes are found.

    A stroke of a piece is a peak of its activation above `threshold` times the piece's loud strokes (95th percentile
    of peaks) and `local` times the mean around it; two strokes of a piece are at least `apart_s` apart. Below
    `silence_dbfs` there are none.
    """

    threshold: float = 0.25
    local: float = 1.5
    apart_s: float = 0.05
    silence_dbfs: float = -60.0


def drum_notes(source: Source, settings: DrumSettings = DrumSettings(), watch: Watch = UNWATCHED) -> tuple[Note, ...]:
    """The strokes of a drum stem as notes on the General MIDI kit, sorted by onset, then pitch; none for silence."""
    bands, level = _bands(source, watch)
    if not len(level) or 20 * np.log10(float(level.max()) + 1e-12) < settings.silence_dbfs:
        return ()
    rises = np.maximum(np.diff(np.log1p(1000 * bands), axis=0, prepend=np.log1p(1000 * bands[:1])), 0)
    centres = np.sqrt(_EDGES_HZ[1:] * _EDGES_HZ[:-1])
    pieces = {KICK: (35, 110), SNARE: (170, 6000), HIHAT: (7000, 17_000)}
    notes = []
    for pitch, (low, high) in pieces.items():
        activation = rises[:, (centres >= low) & (centres < high)].mean(axis=1)
        for frame in _peaks(activation, settings):
            loudness = float(level[frame : frame + 5].max()) / float(level.max())
            notes.append(Note(frame * _HOP / _RATE, 0.1, pitch, min(max(round(127 * loudness**0.5), 1), 127)))
    watch.at(1.0)
    return tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch)))


def _bands(source: Source, watch: Watch) -> tuple[Floats, Floats]:
    """Magnitude in each band (frames, bands) and in all (frames,)."""
    edges = np.searchsorted(np.fft.rfftfreq(_WINDOW, 1 / _RATE), _EDGES_HZ)
    total = source.frames / source.sample_rate * _RATE / _HOP + 1
    parts = []
    for spectrum in magnitudes(source, _RATE, _WINDOW, _HOP):
        parts.append(np.add.reduceat(spectrum, edges, axis=1)[:, :-1])
        watch.at(0.9 * sum(map(len, parts)) / total)
    bands = np.concatenate(parts)
    return bands, bands.sum(axis=1)


def _peaks(activation: Floats, settings: DrumSettings) -> list[int]:
    """Frames where the activation peaks clearly."""
    apart = max(round(settings.apart_s * _RATE / _HOP), 1)
    middle = activation[1:-1]
    found = np.flatnonzero((middle > activation[:-2]) & (middle >= activation[2:])) + 1
    if not len(found):
        return []
    loud = float(np.percentile(activation[found], 95))
    around = np.convolve(activation, np.ones(41) / 41, "same")
    strong = found[
        (activation[found] >= settings.threshold * loud) & (activation[found] > settings.local * around[found])
    ]
    kept: list[int] = []
    for frame in strong:
        if kept and frame - kept[-1] < apart:
            if activation[frame] > activation[kept[-1]]:
                kept[-1] = int(frame)
        else:
            kept.append(int(frame))
    return kept
