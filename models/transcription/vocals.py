"""Notes of a pitch track: segments of steady pitch, split where the voice stops, re-articulates or changes pitch."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.analysis.f0 import F0
from models.audio.framing import levels_db, velocity
from models.core.dtypes import BoolArray, DoubleArray, IndexArray
from models.core.types import Note, Source
from models.transcription.settings import VOCAL_NOTE_DEFAULTS, VocalNoteSettings

_SOUNDING_DB = 40.0


def vocal_notes(f0: F0, source: Source, settings: VocalNoteSettings = VOCAL_NOTE_DEFAULTS) -> tuple[Note, ...]:
    """The notes of one voice, sorted by onset; velocity follows loudness. None where nothing is voiced."""
    hz = np.asarray(f0.hz, np.float64)
    voiced = hz > 0
    if not voiced.any():
        return ()
    semitones = np.where(voiced, 69 + 12 * np.log2(np.maximum(hz, 1e-3) / 440), 0.0)
    level_db = levels_db(source, f0.hop_s, len(hz))
    tuning = _tuning(semitones[voiced])
    labels = np.zeros(len(hz), int)
    for start, stop in _runs(voiced, round(settings.bridge_s / f0.hop_s)):
        filled = np.interp(np.arange(start, stop), np.flatnonzero(voiced), semitones[voiced])
        labels[start:stop] = _semitone_path(filled - tuning, settings.change_cost * 0.01 / f0.hop_s)
    loud_db = float(np.percentile(level_db[voiced], 95))
    loudest_db = float(np.percentile(level_db[level_db > level_db.max() - _SOUNDING_DB], 95))
    notes = []
    for start, stop in _note_segments(labels, level_db, f0.hop_s, settings):
        top_db = float(level_db[start:stop].max())
        if (stop - start) * f0.hop_s >= settings.minimum_s and top_db >= loudest_db - settings.faint_db:
            loudness = velocity(top_db, loud_db)
            notes.append(Note(start * f0.hop_s, (stop - start) * f0.hop_s, int(labels[start]), loudness))
    return tuple(notes)


def _tuning(semitones: DoubleArray) -> float:
    """Deviation of the singer's tuning from A4 = 440 Hz, in semitones, -0.5..0.5: circular mean of the fractions."""
    return float(np.angle(np.exp(2j * np.pi * semitones).mean()) / (2 * np.pi))


def _runs(voiced: BoolArray, bridge: int) -> list[tuple[int, int]]:
    """Voiced segments [start, stop), joined over gaps of up to `bridge` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(int), [0]])))
    runs: list[tuple[int, int]] = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] <= bridge:
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((start, stop))
    return runs


def _semitone_path(semitones: DoubleArray, change_cost: float) -> IndexArray:
    """The piecewise constant semitone of least cost (Viterbi). Shape: (frames,)."""
    low = int(np.floor(semitones.min())) - 1
    states = np.arange(low, int(np.ceil(semitones.max())) + 2)
    cost = np.minimum((semitones[:, None] - states[None, :]) ** 2, 4.0)
    back = np.zeros(cost.shape, np.intp)
    total = cost[0]
    for i in range(1, len(cost)):
        best = int(total.argmin())
        stay = total <= total[best] + change_cost
        back[i] = np.where(stay, np.arange(len(states)), best)
        total = np.where(stay, total, total[best] + change_cost) + cost[i]
    path = np.zeros(len(cost), np.intp)
    path[-1] = total.argmin()
    for i in range(len(cost) - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return np.clip(states[path], 0, 127)


def _note_segments(
    labels: NDArray[np.int_], level_db: DoubleArray, hop_s: float, settings: VocalNoteSettings
) -> list[tuple[int, int]]:
    """Segments [start, stop) of one pitch, split where the level dips and returns (the pitch is sung again)."""
    changes = np.flatnonzero(np.diff(labels)) + 1
    edges = [0, *changes.tolist(), len(labels)]
    reach = max(round(0.08 / hop_s), 1)
    segments = []
    for start, stop in pairwise(edges):
        if labels[start] == 0:
            continue
        cut = start
        for i in range(start + reach, stop - reach):
            around = level_db[max(i - reach, start) : i + reach + 1]
            sides = min(float(around[:reach].max()), float(around[-reach:].max()))
            if i - cut >= reach and level_db[i] == around.min() and sides - level_db[i] >= settings.dip_db:
                segments.append((cut, i))
                cut = i
        segments.append((cut, stop))
    return segments
