"""The song's time and harmony from its separated stems: beats, downbeats, metre, tempo, key and a chord a beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.beats import decode_downbeats
from models.chroma import folded, note_energies, note_spectra, synced
from models.harmony import decode_chords, key_of, unit
from models.metre import downbeat_scores, pulse_score, pulses
from models.onsets import Onsets, onsets
from models.progress import UNWATCHED, Watch
from models.records import Grid, Source

Doubles = NDArray[np.float64]

_HARMONY, _BASS = (55.0, 10.0), (40.0, 6.0)
"""Where chords and the bass line lie: the MIDI pitch that counts most, and the spread around it in semitones."""


@dataclass(frozen=True)
class ListenSettings:
    """What is expected of the song.

    Beats lie between `slowest_bpm` and `fastest_bpm`; `tempo_cost` is the price of a relative change of tempo from one
    beat to the next, `beat_cost` of a beat (a loud onset on it earns 1). Of a slow and a fast pulse the one that
    sounds more like the beat is taken, `prior_weight` being the price of a squared octave away from `likely_bpm`.
    A bar has one of `metres` beats; a broken bar costs `bar_cost`. `chord_cost` is the price of a change of chord, half
    of it where a bar begins. Sound below `silence_dbfs` is silence, for which the grid is a steady `silent_bpm`.
    """

    slowest_bpm: float = 48.0
    fastest_bpm: float = 205.0
    likely_bpm: float = 95.0
    tempo_cost: float = 20.0
    prior_weight: float = 2.0
    beat_cost: float = 0.4
    metres: tuple[int, ...] = (4, 3)
    bar_cost: float = 6.0
    chord_cost: float = 1.5
    silence_dbfs: float = -60.0
    silent_bpm: float = 120.0


@dataclass(frozen=True, eq=False)
class _Row:
    """A row of beats in seconds; of each the pitch classes of harmony and bass, and how much it begins a bar."""

    beats: Doubles
    chroma: Doubles
    bass: Doubles
    downs: Doubles


def listen(
    drums: Source, bass: Source, other: Source, settings: ListenSettings = ListenSettings(), watch: Watch = UNWATCHED
) -> Grid:
    """Beats, downbeats, metre, tempo, key and chords of a song from its drums, bass and other stems.

    Always a usable grid: beats from the song's first beat period to its end or just past it, at least two of them and
    one downbeat, a chord each. Where nothing is heard it is a steady one, without chords. The sources are read block
    by block; memory grows by about 4 MB a minute.
    """
    duration = max(s.frames / s.sample_rate for s in (drums, bass, other))
    heard = onsets(drums, bass, other, watch.span(0.0, 0.3))
    if 20 * np.log10(heard.peak + 1e-12) < settings.silence_dbfs:
        return steady(duration, settings.silent_bpm)
    notes = note_energies(note_spectra((bass, other), watch.span(0.3, 0.5)))
    watch.at(0.6)
    row = _beat(heard, notes, duration, settings)
    watch.at(0.95)
    metre, starts = decode_downbeats(row.downs, settings.metres, settings.bar_cost)
    starts = starts if len(starts) else np.zeros(1, np.intp)
    key = key_of(unit(row.chroma).sum(axis=0), decode_chords(row.chroma, row.bass, settings.chord_cost))
    costs = np.full(len(row.beats), settings.chord_cost)
    costs[starts] /= 2
    watch.at(1.0)
    return Grid(
        beats_s=tuple(map(float, row.beats)),
        downbeats_s=tuple(map(float, row.beats[starts])),
        tempo_bpm=_tempo(row.beats),
        metre=metre,
        key=key,
        chords=decode_chords(row.chroma, row.bass, costs, key),
    )


def steady(duration_s: float, bpm: float, metre: int = 4) -> Grid:
    """A grid of one tempo from 0 to the end of so many seconds, without chords."""
    count = max(int(np.ceil(duration_s * bpm / 60)) + 1, 2)
    beats = tuple(float(i * 60 / bpm) for i in range(count))
    return Grid(beats, beats[::metre], bpm, metre, "C:maj", ("N",) * count)


def _tempo(beats: Doubles) -> float:
    """The median tempo, taken over eight beats at a time, since a beat is known to 10 ms only."""
    span = min(8, len(beats) - 1)
    return 60 * span / float(np.median(beats[span:] - beats[:-span]))


def _beat(heard: Onsets, notes: Doubles, duration: float, settings: ListenSettings) -> _Row:
    """The pulse that is the beat, carried on to both ends of the song."""
    found = pulses(heard, settings.slowest_bpm, settings.fastest_bpm, settings.tempo_cost, settings.beat_cost)
    rows = [_row(heard, notes, _covering(beats, duration)) for beats in found]
    if not rows:
        return _row(heard, notes, np.array(steady(duration, settings.silent_bpm).beats_s))
    likely, weight = settings.likely_bpm, settings.prior_weight
    return max(rows, key=lambda row: pulse_score(heard, row.beats, row.downs, likely, weight))


def _row(heard: Onsets, notes: Doubles, beats: Doubles) -> _Row:
    each = synced(notes, beats)
    chroma, bass = folded(each, *_HARMONY), folded(each, *_BASS)
    return _Row(beats, chroma, bass, downbeat_scores(heard, beats, chroma, bass))


def _covering(times: Doubles, duration: float) -> Doubles:
    """Beats from the first beat period of the song to its end, at the first and last tempo."""
    first, last = float(np.median(np.diff(times[:5]))), float(np.median(np.diff(times[-5:])))
    before = np.maximum(np.arange(times[0] - first, -0.1 * first, -first)[::-1], 0.0)
    after = np.arange(times[-1] + last, duration + last, last)
    return np.concatenate([before, times, after])
