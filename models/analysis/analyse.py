"""Beat grid, metre, tempo, key and chords of a song from its separated stems."""

from typing import TYPE_CHECKING

import numpy as np

from models.analysis import beat_tracker
from models.analysis.beats import TempoModel, decode_beats, decode_downbeats
from models.analysis.chroma import beat_synchronous, fold_to_chroma, note_energies, note_spectra
from models.analysis.onset_features import (
    FPS,
    LOW_BANDS,
    BandSpectra,
    band_spectra,
    max_near,
    onset_strength,
    reference_level,
)
from models.analysis.settings import ANALYSE_DEFAULTS, AnalyseSettings
from models.core.dtypes import DoubleArray, IndexArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Grid, Source
from models.symbolic.harmony import decode_chords, estimate_key, normalised

if TYPE_CHECKING:
    from models.analysis.beat_tracker.network import BeatTracker


_CHORD_RANGE, _BASS_RANGE = (55.0, 10.0), (40.0, 6.0)
"""Weighting of notes for the chroma of chords and of the bass: centre (MIDI pitch) and spread in semitones."""

_LOGIT_SCALE, _MAX_LOGIT = 4.0, 6.0
"""The beat logit that counts as activation 1 (odds of 50 to 1), and the bound that logits are clipped to."""
_ONSET_WEIGHT = 0.2
"""Weight of the standardised onset strengths of kick, bass and others in a downbeat's score, in nats."""
_MIN_PEAK_LOGIT = 2.0
"""Floor for the 95th-percentile beat logit: in music unlike the training data all logits are raised to reach it."""


def estimate_grid(
    drums: Source,
    bass: Source,
    other: Source,
    tracker: "BeatTracker",
    settings: AnalyseSettings = ANALYSE_DEFAULTS,
    watch: Watch = UNWATCHED,
) -> Grid:
    """Beats, downbeats, metre, tempo, key and chords of a song from its drums, bass and other stems.

    Always a usable grid: beats from the song's first beat period to its end or just past it, at least two of them and
    one downbeat, a chord each. For silence it has a constant tempo and no chords. The sources are read block by block;
    memory grows by about 15 MB a minute.
    """
    duration = max(s.frames / s.sample_rate for s in (drums, bass, other))
    spectra = band_spectra(drums, bass, other, watch.span(0.0, 0.3))
    if 20 * np.log10(float(spectra.all.max()) + 1e-12) < settings.silence_dbfs:
        return constant_tempo_grid(duration, settings.silent_bpm)
    notes = note_energies(note_spectra((bass, other), watch.span(0.3, 0.6)))
    logits = beat_tracker.predict(beat_tracker.features(spectra, notes), tracker, watch.span(0.7, 0.9))
    reference = reference_level(spectra)
    beats = _beats(logits[0], onset_strength(spectra.all, reference), duration, settings)
    by_beat = beat_synchronous(notes, beats)
    chroma, low = fold_to_chroma(by_beat, *_CHORD_RANGE), fold_to_chroma(by_beat, *_BASS_RANGE)
    downbeat_logits = np.clip(max_near(logits[1], beats, beat_tracker.FPS, 0.04), -_MAX_LOGIT, _MAX_LOGIT)
    downbeat_scores = settings.downbeats * downbeat_logits + _harmonic_novelty(chroma, low)
    downbeat_scores = downbeat_scores + _ONSET_WEIGHT * _onsets_at(beats, spectra, reference)
    metre, downbeats = decode_downbeats(downbeat_scores, settings.metres, settings.bar_cost)
    downbeats = downbeats if len(downbeats) else np.zeros(1, np.intp)
    key, chords = _key_and_chords(chroma, low, downbeats, settings.chord_cost)
    watch.at(1.0)
    return Grid(
        beats_s=tuple(map(float, beats)),
        downbeats_s=tuple(map(float, beats[downbeats])),
        tempo_bpm=_tempo(beats),
        metre=metre,
        key=key,
        chords=chords,
    )


def _onsets_at(beats: DoubleArray, spectra: BandSpectra, reference: float) -> DoubleArray:
    """The summed standardised onset strengths of kick, bass and others at each beat. Shape: (beats,)."""
    groups = (spectra.drums[:, :LOW_BANDS], spectra.bass[:, : 2 * LOW_BANDS], spectra.other)
    strengths = [_standardised(max_near(onset_strength(bands, reference), beats, FPS, 0.05)) for bands in groups]
    return np.asarray(np.sum(strengths, axis=0))


def chords_on_grid(
    grid: Grid, bass: Source, other: Source, settings: AnalyseSettings = ANALYSE_DEFAULTS
) -> tuple[str, ...]:
    """A chord for each beat of a given grid, estimated as by `estimate_grid`."""
    beats = np.array(grid.beats_s)
    by_beat = beat_synchronous(note_energies(note_spectra((bass, other))), beats)
    downbeats = np.flatnonzero(np.isin(beats, grid.downbeats_s))
    return _key_and_chords(
        fold_to_chroma(by_beat, *_CHORD_RANGE), fold_to_chroma(by_beat, *_BASS_RANGE), downbeats, settings.chord_cost
    )[1]


def _key_and_chords(
    chroma: DoubleArray, low: DoubleArray, downbeats: IndexArray, cost: float
) -> tuple[str, tuple[str, ...]]:
    """The key, and a chord a beat; a change of chord costs half where a bar starts."""
    key = estimate_key(normalised(chroma).sum(axis=0), decode_chords(chroma, low, cost))
    costs = np.full(len(chroma), cost)
    costs[downbeats] /= 2
    return key, decode_chords(chroma, low, costs, key)


def constant_tempo_grid(duration_s: float, bpm: float, metre: int = 4) -> Grid:
    """A grid of one tempo from 0 to `duration_s`, without chords."""
    count = max(int(np.ceil(duration_s * bpm / 60)) + 1, 2)
    beats = tuple(float(i * 60 / bpm) for i in range(count))
    return Grid(beats, beats[::metre], bpm, metre, "C:maj", ("N",) * count)


def _tempo(beats: DoubleArray) -> float:
    """The median tempo over spans of eight beats, since a beat is known to 10 ms only."""
    span = min(8, len(beats) - 1)
    return 60 * span / float(np.median(beats[span:] - beats[:-span]))


def _beats(logits: DoubleArray, onsets: DoubleArray, duration: float, settings: AnalyseSettings) -> DoubleArray:
    """The beats in seconds, extrapolated to both ends of the song, from their `logits`."""
    frames = np.arange(len(onsets)) / FPS * beat_tracker.FPS
    resampled = np.interp(frames, np.arange(len(logits)), logits)
    resampled += max(0.0, _MIN_PEAK_LOGIT - float(np.percentile(logits, 95)))
    activation = np.clip(resampled, -_MAX_LOGIT, _MAX_LOGIT) / _LOGIT_SCALE + settings.attack * np.clip(onsets, 0, 1)
    tempi = TempoModel(settings.slowest_bpm, settings.fastest_bpm, settings.tempo_cost, settings.beat_cost)
    beats = decode_beats(activation, FPS, tempi) / FPS
    return (
        _extrapolated(beats, duration)
        if len(beats) > 2
        else np.array(constant_tempo_grid(duration, settings.silent_bpm).beats_s)
    )


def _harmonic_novelty(chroma: DoubleArray, bass: DoubleArray) -> DoubleArray:
    """Harmonic novelty at each beat, mean 0, spread about 1: downbeats are likely where it is high. Shape: (beats,)."""
    chords = np.array(decode_chords(chroma, bass))
    changes = np.concatenate([[0.0], chords[1:] != chords[:-1]])
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])
    index = np.arange(len(chroma))
    after = sums[np.minimum(index + 2, len(chroma))] - sums[index]
    before = sums[index] - sums[np.maximum(index - 2, 0)]
    return 0.5 * _standardised(1 - (normalised(after) * normalised(before)).sum(axis=1)) + 0.6 * _standardised(changes)


def _standardised(values: DoubleArray) -> DoubleArray:
    """Values with mean 0 and standard deviation 1."""
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))


def _extrapolated(times: DoubleArray, duration: float) -> DoubleArray:
    """Beats from the first beat period of the song to its end, at the first and last tempo."""
    first, last = float(np.median(np.diff(times[:5]))), float(np.median(np.diff(times[-5:])))
    before = np.maximum(np.arange(times[0] - first, -0.1 * first, -first)[::-1], 0.0)
    after = np.arange(times[-1] + last, duration + last, last)
    return np.concatenate([before, times, after])
