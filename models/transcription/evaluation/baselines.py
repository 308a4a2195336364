"""Baselines: librosa's beats and chroma on a mix, Basic Pitch's default decoder on a stem."""

import warnings

import numpy as np

from models.audio.framing import mono_blocks
from models.core.dtypes import DoubleArray
from models.core.types import Grid, Note, Source
from models.symbolic.harmony import KRUMHANSL_MAJOR, KRUMHANSL_MINOR, ROOTS, chord_names
from models.transcription.basic_pitch.network import Posteriors

_RATE = 22_050
_METRE = 4


def librosa_grid(song: Source) -> Grid:
    """librosa's beat grid: `beat_track` on the whole mix, every fourth beat a downbeat, nearest chroma.

    The key is the Krumhansl profile nearest to the mean of `chroma_cqt`, the chord of a beat the nearest triad.
    """
    import librosa

    samples = np.concatenate(list(mono_blocks(song, _RATE)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, frames = librosa.beat.beat_track(y=samples, sr=_RATE)
        chroma = librosa.feature.chroma_cqt(y=samples, sr=_RATE)
    if len(frames) < 2:
        frames = np.array([0, chroma.shape[1]])
    beats = librosa.frames_to_time(frames, sr=_RATE)
    each = np.array([part.mean(axis=1) for part in np.split(chroma, frames, axis=1)[1:]])
    return Grid(
        beats_s=tuple(map(float, beats)),
        downbeats_s=tuple(map(float, beats[::_METRE])),
        tempo_bpm=60 / float(np.median(np.diff(beats))),
        metre=_METRE,
        key=_nearest_key(chroma.mean(axis=1)),
        chords=_nearest_triads(each),
    )


def _nearest_key(pitch_classes: DoubleArray) -> str:
    correlations = {
        f"{ROOTS[root]}:{mode}": float(np.corrcoef(pitch_classes, np.roll(profile, root))[0, 1])
        for mode, profile in (("maj", KRUMHANSL_MAJOR), ("min", KRUMHANSL_MINOR))
        for root in range(12)
    }
    return max(correlations, key=lambda key: correlations[key])


def _nearest_triads(chroma: DoubleArray) -> tuple[str, ...]:
    """The triad nearest to each row. Shape: (beats, 12)."""
    triads = np.zeros((24, 12))
    for row, third in enumerate((4, 3)):
        for root in range(12):
            triads[12 * row + root, [root, (root + third) % 12, (root + 7) % 12]] = 1
    return tuple(chord_names()[i] for i in (chroma @ triads.T).argmax(axis=1))


def basic_pitch_notes(posteriors: Posteriors) -> tuple[Note, ...]:
    """The notes of Basic Pitch's own decoder with the defaults of its `predict`."""
    from basic_pitch import note_creation

    if len(posteriors.frames) < 3:
        return ()
    notes = note_creation.output_to_notes_polyphonic(
        posteriors.frames.copy(), posteriors.onsets.copy(), onset_thresh=0.5, frame_thresh=0.3, min_note_len=11,
        infer_onsets=True, max_freq=None, min_freq=None, melodia_trick=True,
    )  # fmt: skip
    times = note_creation.model_frames_to_time(len(posteriors.frames) + 1)
    decoded = (
        Note(float(times[a]), float(times[b] - times[a]), int(p), min(max(round(127 * v), 1), 127))
        for a, b, p, v in notes
    )
    return tuple(sorted(decoded, key=lambda n: (n.onset_s, n.pitch)))
