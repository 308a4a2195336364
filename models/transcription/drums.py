"""Drum transcription: onsets whose new spectrum is decomposed into the drums of a General MIDI kit.

By non-negative least squares over the SoundFont's spectra, with the kit that fits the song's loudest onsets best.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import nnls

from models.audio.framing import levels_db, magnitudes
from models.core.dtypes import DoubleArray, FloatArray, IndexArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Note, Score, Source, Track, Wave
from models.synthesis.settings import RenderSettings
from models.synthesis.soundfont import render
from models.transcription.settings import DRUM_DEFAULTS, DrumSettings

KICK, SNARE, HIHAT, OPEN_HIHAT, CRASH, RIDE = 36, 38, 42, 46, 49, 51
LOW_TOM, MID_TOM, HIGH_TOM = 45, 47, 50
DRUM_PITCHES = {
    36: KICK, 35: KICK, 38: SNARE, 40: SNARE, 37: SNARE, 42: HIHAT, 44: HIHAT, 46: OPEN_HIHAT,
    41: LOW_TOM, 45: LOW_TOM, 47: MID_TOM, 50: HIGH_TOM, 49: CRASH, 57: CRASH, 51: RIDE, 53: RIDE,
}  # fmt: skip
"""The pitches of a kit that are templates, and the drum that each is transcribed as."""
KIT_PROGRAMS = (0, 8, 16, 24, 25, 40)
"""The General MIDI kits: standard, room, power, electronic, TR-808 and brush."""
COMMON_DRUMS = (KICK, SNARE, HIHAT, OPEN_HIHAT)
_RATE = 44_100
_WINDOW = 2_048
_HOP = 441
_BAND_EDGES = np.unique(np.round(np.geomspace(35, 16_000, 49) * _WINDOW / _RATE).astype(int))
_FRAMES_BEFORE, _FRAMES_AFTER = 3, 3
_TEMPLATE_SPACING_S = 0.8


@dataclass(frozen=True, eq=False)
class _Kit:
    """The normalised onset spectrum of each drum sound of a kit, its bands summing to 1. Shape: (sounds, bands)."""

    spectra: DoubleArray
    drums: tuple[int, ...]


def drum_notes(
    source: Source,
    settings: DrumSettings = DRUM_DEFAULTS,
    watch: Watch = UNWATCHED,
    song: Source | None = None,
) -> tuple[Note, ...]:
    """The onsets of a drum stem as notes of the General MIDI kit, sorted by onset, then pitch; none for silence.

    Independent of the stem's level, unless its `song` is given. Velocities follow loudness.
    """
    if song is not None and _loudest_db(source) < _loudest_db(song) - settings.residue_db:
        watch.at(1.0)
        return ()
    bands = _bands(source, watch)
    loudest = float(bands.max(initial=0.0))
    if 20 * np.log10(loudest + 1e-12) < settings.silence_dbfs:
        return ()
    bands = bands / loudest
    frames = _onset_frames(bands, settings)
    if not len(frames):
        return ()
    spectra = _onset_spectra(bands, frames)
    weights = 1 / (np.sqrt((spectra**2).mean(axis=0)) + 1e-3 * float(spectra.max()))
    kit = min((_kit(program) for program in KIT_PROGRAMS), key=lambda kit: _residual(spectra, kit, weights))
    activations, shares = _activations(spectra, kit, weights)
    notes = []
    for drum in sorted(set(kit.drums)):
        column = activations[:, [p == drum for p in kit.drums]].sum(axis=1)
        share = shares[:, [p == drum for p in kit.drums]].sum(axis=1)
        active = share >= (settings.share if drum in COMMON_DRUMS else settings.rare_share)
        if not active.any():
            continue
        loud = float(np.percentile(column[active], 90))
        for i in np.flatnonzero(active & (column >= settings.threshold * loud)):
            velocity = int(np.clip(round(110 * float(column[i] / loud) ** 0.6), 1, 127))
            notes.append(Note(float(frames[i]) * _HOP / _RATE, 0.1, drum, velocity))
    watch.at(1.0)
    return tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch)))


def _loudest_db(source: Source) -> float:
    """The level of a source's loudest second, in dB."""
    return float(levels_db(source, 1.0, round(source.frames / source.sample_rate)).max(initial=-200.0))


def _bands(source: Source, watch: Watch) -> FloatArray:
    """Magnitude in each band, 100 times a second. Shape: (frames, bands)."""
    total = source.frames / source.sample_rate * _RATE / _HOP + 1
    parts: list[FloatArray] = []
    for spectrum in magnitudes(source, _RATE, _WINDOW, _HOP):
        parts.append(np.sqrt(np.add.reduceat(spectrum**2, _BAND_EDGES, axis=1)[:, :-1]))
        watch.at(0.8 * sum(map(len, parts)) / total)
    return np.concatenate(parts)


def _onset_frames(bands: FloatArray, settings: DrumSettings) -> IndexArray:
    """The frames of spectral-flux peaks."""
    log = np.log1p(30 * bands / (np.percentile(bands, 99, axis=0) + 1e-3))
    rise = np.zeros(len(log))
    rise[2:] = np.maximum(log[2:] - log[:-2], 0).mean(axis=1)
    peaks = np.flatnonzero((rise[1:-1] > rise[:-2]) & (rise[1:-1] >= rise[2:])) + 1
    if not len(peaks):
        return peaks
    peaks = peaks[rise[peaks] >= settings.onset * float(np.percentile(rise[peaks], 95))]
    apart = settings.apart_s * _RATE / _HOP
    kept: list[int] = []
    for frame in peaks.tolist():
        if kept and frame - kept[-1] < apart:
            if rise[frame] > rise[kept[-1]]:
                kept[-1] = frame
        else:
            kept.append(frame)
    return np.array(kept, np.intp)


def _onset_spectra(bands: FloatArray, frames: IndexArray) -> DoubleArray:
    """The rise of each band at each frame. Shape: (onsets, bands)."""
    padded = np.pad(bands, ((_FRAMES_BEFORE, _FRAMES_AFTER), (0, 0)), mode="edge").astype(np.float64)
    after = np.max([padded[frames + _FRAMES_BEFORE + k] for k in range(_FRAMES_AFTER + 1)], axis=0)
    before = np.max([padded[frames + _FRAMES_BEFORE - k] for k in (2, 3)], axis=0)
    return np.asarray(np.maximum(after - before, 0))


@cache
def _kit(program: int) -> _Kit:
    """The templates of a kit, from the SoundFont."""
    hits = tuple(Note(0.1 + i * _TEMPLATE_SPACING_S, 0.3, pitch, 100) for i, pitch in enumerate(DRUM_PITCHES))
    score = Score((Track("kit", program, True, hits),))
    frames = round((0.1 + len(hits) * _TEMPLATE_SPACING_S) * _RATE)
    sound = np.concatenate(list(render(score, frames, _RATE, RenderSettings())), axis=1)
    bands = _bands(Wave(sound, _RATE), UNWATCHED)
    at = np.array([round(note.onset_s * _RATE / _HOP) for note in hits])
    spectra = _onset_spectra(bands, at)
    return _Kit(spectra / np.maximum(spectra.sum(axis=1, keepdims=True), 1e-9), tuple(DRUM_PITCHES.values()))


def _residual(spectra: DoubleArray, kit: _Kit, weights: DoubleArray) -> float:
    """The relative NNLS residual of a kit, summed over the loudest onsets."""
    loud = spectra[np.argsort(-spectra.sum(axis=1))[:60]]
    matrix = (kit.spectra * weights).T
    return float(sum(nnls(matrix, row * weights)[1] / (np.linalg.norm(row * weights) + 1e-12) for row in loud))


def _activations(spectra: DoubleArray, kit: _Kit, weights: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """NNLS activation of each drum sound at each onset, and its share of the spectrum. Shapes: (onsets, sounds)."""
    matrix = (kit.spectra * weights).T
    activations = np.array([nnls(matrix, row * weights)[0] for row in spectra])
    weighted = activations * matrix.sum(axis=0)
    total = (spectra * weights).sum(axis=1, keepdims=True)
    return activations, weighted / np.maximum(total, 1e-12)
