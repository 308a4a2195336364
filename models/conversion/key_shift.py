"""The shift in semitones that brings a song's melody into a voice's range, by the pitch histogram of its recordings."""

import numpy as np

from models.analysis.f0 import F0
from models.conversion.voices.registry import VocalRange
from models.core.dtypes import DoubleArray

_FULL_COVERAGE = 0.2
"""A semitone is fully covered from this part of the histogram's 90th percentile on."""
_ENOUGH_COVERAGE = 0.75
"""The part of a song that the range must cover for the song to stay in its key."""


def key_shift_for(f0: F0, vocal_range: VocalRange) -> int:
    """The shift in semitones: none where the range covers most of the song, else the octave that covers it best.

    Another interval only where no octave covers half.
    """
    voiced_hz = f0.hz[f0.hz > 0]
    if not len(voiced_hz) or not vocal_range.seconds:
        return 0
    pitch = 69 + 12 * np.log2(voiced_hz / 440)
    coverage = _semitone_coverage(vocal_range)

    def covered_share(shift: int) -> float:
        index = np.round(pitch + shift).astype(int) - vocal_range.lowest
        inside = (index >= 0) & (index < len(coverage))
        return float(np.where(inside, coverage[np.clip(index, 0, len(coverage) - 1)], 0).mean()) - 0.01 * abs(shift)

    if covered_share(0) >= _ENOUGH_COVERAGE:
        return 0
    octave = max((0, -12, 12, -24, 24), key=covered_share)
    if covered_share(octave) >= 0.5:
        return octave
    return max(range(-24, 25), key=covered_share)


def _semitone_coverage(vocal_range: VocalRange) -> DoubleArray:
    """Weight of each semitone of the range, 0 to 1, from the smoothed histogram."""
    smooth = np.convolve(vocal_range.seconds, [0.25, 0.5, 0.25], mode="same")
    return np.asarray(np.minimum(smooth / max(_FULL_COVERAGE * np.percentile(smooth, 90), 1e-9), 1.0))


def notes_outside_range(f0: F0, vocal_range: VocalRange, key_shift: int) -> dict[int, float]:
    """The shifted MIDI pitches that do not occur in the voice's recordings, each with its seconds in the song."""
    voiced_hz = f0.hz[f0.hz > 0]
    pitch = np.round(69 + 12 * np.log2(voiced_hz / 440)).astype(int) + key_shift
    index = pitch - vocal_range.lowest
    seconds = np.append(np.asarray(vocal_range.seconds), 0.0)
    outside = seconds[np.where((index >= 0) & (index < len(seconds)), index, -1)] <= 0
    pitches, counts = np.unique(pitch[outside], return_counts=True)
    return {int(p): float(n) * f0.hop_s for p, n in zip(pitches, counts, strict=True)}
