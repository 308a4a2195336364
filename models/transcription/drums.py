"""Drums written down: which pieces of the kit are struck when.

Wherever a drum stem suddenly grows louder, what is new in its spectrum is explained as a sum of strokes (non-negative
least squares) of a General MIDI kit: of those in the SoundFont the one that explains the song's loud strokes best.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from models.audio.framing import levels_db, magnitudes
from models.core.progress import UNWATCHED, Watch
from models.core.types import Note, Score, Source, Track, Wave
from models.core.validation import check_ranges
from models.synthesis.soundfont import RenderSettings, render

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

KICK, SNARE, HIHAT, OPEN_HIHAT, CRASH, RIDE = 36, 38, 42, 46, 49, 51
LOW_TOM, MID_TOM, HIGH_TOM = 45, 47, 50
STROKES = {
    36: KICK, 35: KICK, 38: SNARE, 40: SNARE, 37: SNARE, 42: HIHAT, 44: HIHAT, 46: OPEN_HIHAT,
    41: LOW_TOM, 45: LOW_TOM, 47: MID_TOM, 50: HIGH_TOM, 49: CRASH, 57: CRASH, 51: RIDE, 53: RIDE,
}  # fmt: skip
"""The strokes of a kit that are listened for, and the piece that each is written down as."""
KITS = (0, 8, 16, 24, 25, 40)
"""The General MIDI kits: standard, room, power, electronic, TR-808 and brush."""
COMMON = (KICK, SNARE, HIHAT, OPEN_HIHAT)
_RATE = 44_100
_WINDOW = 2_048
_HOP = 441
_EDGES = np.unique(np.round(np.geomspace(35, 16_000, 49) * _WINDOW / _RATE).astype(int))
_BEFORE, _AFTER = 3, 3
_APART_S = 0.8


@dataclass(frozen=True)
class DrumSettings:
    """How strokes are found.

    A sudden rise counts from `onset` times the song's loud ones (95th percentile) on, two of them at least `apart_s`
    apart. A piece is struck there if it makes up at least `share` of what is new (`rare_share` for toms and cymbals),
    and is at least `threshold` as strong as the piece's own loud strokes. Below `silence_dbfs` there are none; a stem
    whose loudest second is more than `residue_db` below the song's is what a separator left of other instruments.
    """

    onset: float = 0.1
    apart_s: float = 0.04
    share: float = 0.07
    rare_share: float = 0.35
    threshold: float = 0.08
    silence_dbfs: float = -90.0
    residue_db: float = 20.0

    def __post_init__(self) -> None:
        check_ranges(self, onset=(0, 10), apart_s=(0, 10), share=(0, 1), rare_share=(0, 1), threshold=(0, 10))
        check_ranges(self, silence_dbfs=(-200, 0), residue_db=(0, 120))


@dataclass(frozen=True, eq=False)
class _Kit:
    """What is new in the spectrum at each stroke of a kit, its bands adding up to 1. Shape: (strokes, bands)."""

    spectra: Doubles
    pieces: tuple[int, ...]


def drum_notes(
    source: Source,
    settings: DrumSettings = DrumSettings(),
    watch: Watch = UNWATCHED,
    song: Source | None = None,
) -> tuple[Note, ...]:
    """The strokes of a drum stem as notes on the General MIDI kit, sorted by onset, then pitch; none for silence.

    The level of the stem does not matter, unless it is known how loud its song is. Velocities follow its loudness.
    """
    if song is not None and _loudest_db(source) < _loudest_db(song) - settings.residue_db:
        watch.at(1.0)
        return ()
    bands = _bands(source, watch)
    loudest = float(bands.max(initial=0.0))
    if 20 * np.log10(loudest + 1e-12) < settings.silence_dbfs:
        return ()
    bands = bands / loudest
    frames = _onsets(bands, settings)
    if not len(frames):
        return ()
    new = _news(bands, frames)
    weights = 1 / (np.sqrt((new**2).mean(axis=0)) + 1e-3 * float(new.max()))
    kit = min((_kit(program) for program in KITS), key=lambda kit: _misfit(new, kit, weights))
    strengths, shares = _explained(new, kit, weights)
    notes = []
    for piece in sorted(set(kit.pieces)):
        column = strengths[:, [p == piece for p in kit.pieces]].sum(axis=1)
        share = shares[:, [p == piece for p in kit.pieces]].sum(axis=1)
        struck = share >= (settings.share if piece in COMMON else settings.rare_share)
        if not struck.any():
            continue
        loud = float(np.percentile(column[struck], 90))
        for i in np.flatnonzero(struck & (column >= settings.threshold * loud)):
            velocity = int(np.clip(round(110 * float(column[i] / loud) ** 0.6), 1, 127))
            notes.append(Note(float(frames[i]) * _HOP / _RATE, 0.1, piece, velocity))
    watch.at(1.0)
    return tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch)))


def _loudest_db(source: Source) -> float:
    """The level of a source's loudest second, in dB."""
    return float(levels_db(source, 1.0, round(source.frames / source.sample_rate)).max(initial=-200.0))


def _bands(source: Source, watch: Watch) -> Floats:
    """The magnitude in each band, 100 times a second. Shape: (frames, bands)."""
    total = source.frames / source.sample_rate * _RATE / _HOP + 1
    parts: list[Floats] = []
    for spectrum in magnitudes(source, _RATE, _WINDOW, _HOP):
        parts.append(np.sqrt(np.add.reduceat(spectrum**2, _EDGES, axis=1)[:, :-1]))
        watch.at(0.8 * sum(map(len, parts)) / total)
    return np.concatenate(parts)


def _onsets(bands: Floats, settings: DrumSettings) -> NDArray[np.intp]:
    """The frames where it suddenly grows louder in some part of the spectrum."""
    log = np.log1p(30 * bands / (np.percentile(bands, 99, axis=0) + 1e-3))
    rise = np.zeros(len(log))
    rise[2:] = np.maximum(log[2:] - log[:-2], 0).mean(axis=1)
    found = np.flatnonzero((rise[1:-1] > rise[:-2]) & (rise[1:-1] >= rise[2:])) + 1
    if not len(found):
        return found
    found = found[rise[found] >= settings.onset * float(np.percentile(rise[found], 95))]
    apart = settings.apart_s * _RATE / _HOP
    kept: list[int] = []
    for frame in found.tolist():
        if kept and frame - kept[-1] < apart:
            if rise[frame] > rise[kept[-1]]:
                kept[-1] = frame
        else:
            kept.append(frame)
    return np.array(kept, np.intp)


def _news(bands: Floats, frames: NDArray[np.intp]) -> Doubles:
    """How much louder each band is right after each frame than before it. Shape: (onsets, bands)."""
    padded = np.pad(bands, ((_BEFORE, _AFTER), (0, 0)), mode="edge").astype(np.float64)
    after = np.max([padded[frames + _BEFORE + k] for k in range(_AFTER + 1)], axis=0)
    before = np.max([padded[frames + _BEFORE - k] for k in (2, 3)], axis=0)
    return np.asarray(np.maximum(after - before, 0))


@cache
def _kit(program: int) -> _Kit:
    """A kit of the SoundFont as it is heard."""
    strokes = tuple(Note(0.1 + i * _APART_S, 0.3, pitch, 100) for i, pitch in enumerate(STROKES))
    score = Score((Track("kit", program, True, strokes),))
    frames = round((0.1 + len(strokes) * _APART_S) * _RATE)
    sound = np.concatenate(list(render(score, frames, _RATE, RenderSettings())), axis=1)
    bands = _bands(Wave(sound, _RATE), UNWATCHED)
    at = np.array([round(note.onset_s * _RATE / _HOP) for note in strokes])
    spectra = _news(bands, at)
    return _Kit(spectra / np.maximum(spectra.sum(axis=1, keepdims=True), 1e-9), tuple(STROKES.values()))


def _misfit(new: Doubles, kit: _Kit, weights: Doubles) -> float:
    """How badly a kit explains the loudest of what is new."""
    loud = new[np.argsort(-new.sum(axis=1))[:60]]
    matrix = (kit.spectra * weights).T
    return float(sum(nnls(matrix, row * weights)[1] / (np.linalg.norm(row * weights) + 1e-12) for row in loud))


def _explained(new: Doubles, kit: _Kit, weights: Doubles) -> tuple[Doubles, Doubles]:
    """The strength of each stroke at each onset, and its share of what is new there. Shapes: (onsets, strokes)."""
    matrix = (kit.spectra * weights).T
    strengths = np.array([nnls(matrix, row * weights)[0] for row in new])
    sizes = strengths * matrix.sum(axis=0)
    whole = (new * weights).sum(axis=1, keepdims=True)
    return strengths, sizes / np.maximum(whole, 1e-12)
