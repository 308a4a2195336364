"""The song's time and harmony from its separated stems: beats, downbeats, metre, tempo, key and a chord a beat."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.analysis import beat_tracker
from models.analysis.beats import Tempi, decode_beats, decode_downbeats
from models.analysis.chroma import folded, note_energies, note_spectra, synced
from models.analysis.onset_features import DEEP, FPS, band_spectra, loudest, near, onset_strength
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Grid, Source
from models.core.validation import check_order, check_ranges
from models.symbolic.harmony import decode_chords, key_of, unit

if TYPE_CHECKING:
    from models.analysis.beat_tracker.network import BeatTracker

Doubles = NDArray[np.float64]

_HARMONY, _BASS = (55.0, 10.0), (40.0, 6.0)
"""Where chords and the bass line lie: the MIDI pitch that counts most, and the spread around it in semitones."""

_CERTAIN, _SURE = 4.0, 6.0
"""Log-odds that make a beat certain (50 to 1), and those beyond which nothing is surer."""
_ENTRY = 0.2
"""What the attack of kick, bass or others, 1 above its mean by its spread, says for a downbeat, in nats."""
_USUAL = 2.0
"""Log-odds of what is a beat if anything is (a twentieth of a song): of unusual music they are raised to this."""


@dataclass(frozen=True)
class ListenSettings:
    """What is expected of the song.

    `tracker` names the network that hears beats. They lie between `slowest_bpm` and `fastest_bpm`; `tempo_cost` is the
    price of a relative change of tempo from one beat to the next, `beat_cost` of a beat (one that is certain earns 1),
    and `attack` what a loud onset on it adds.
    A bar has one of `metres` beats and begins where the harmony turns, kick, bass and others enter, and the network
    hears a downbeat, whose log-odds count `downbeats` times; a broken bar costs `bar_cost`.
    `chord_cost` is the price of a change of chord, half of it where a bar begins. Sound below `silence_dbfs` is
    silence, for which the grid is a steady `silent_bpm`.
    """

    tracker: str = "small"
    slowest_bpm: float = 48.0
    fastest_bpm: float = 205.0
    tempo_cost: float = 40.0
    beat_cost: float = 0.4
    attack: float = 0.15
    metres: tuple[int, ...] = (4, 3)
    downbeats: float = 0.5
    bar_cost: float = 12.0
    chord_cost: float = 1.5
    silence_dbfs: float = -60.0
    silent_bpm: float = 120.0

    def __post_init__(self) -> None:
        check_ranges(self, slowest_bpm=(20, 400), fastest_bpm=(20, 400), silent_bpm=(20, 400), metres=(2, 16))
        check_ranges(self, tempo_cost=(0, 10_000), beat_cost=(0, 100), attack=(0, 100), downbeats=(0, 100))
        check_ranges(self, bar_cost=(0, 10_000), chord_cost=(0, 100), silence_dbfs=(-200, 0))
        check_order(self, "slowest_bpm", "fastest_bpm")
        if not self.metres:
            raise BadInput("The setting metres is empty; it must name how many beats a bar may have.")


def listen(
    drums: Source,
    bass: Source,
    other: Source,
    tracker: "BeatTracker",
    settings: ListenSettings = ListenSettings(),
    watch: Watch = UNWATCHED,
) -> Grid:
    """Beats, downbeats, metre, tempo, key and chords of a song from its drums, bass and other stems.

    Always a usable grid: beats from the song's first beat period to its end or just past it, at least two of them and
    one downbeat, a chord each. Where nothing is heard it is a steady one, without chords. The sources are read block
    by block; memory grows by about 15 MB a minute.
    """
    duration = max(s.frames / s.sample_rate for s in (drums, bass, other))
    spectra = band_spectra(drums, bass, other, watch.span(0.0, 0.3))
    if 20 * np.log10(float(spectra.all.max()) + 1e-12) < settings.silence_dbfs:
        return steady(duration, settings.silent_bpm)
    notes = note_energies(note_spectra((bass, other), watch.span(0.3, 0.6)))
    said = beat_tracker.hear(beat_tracker.features(spectra, notes), tracker, watch.span(0.7, 0.9))
    loud = loudest(spectra)
    beats = _beats(said[0], onset_strength(spectra.all, loud), duration, settings)
    each = synced(notes, beats)
    chroma, low = folded(each, *_HARMONY), folded(each, *_BASS)
    heard = (spectra.drums[:, :DEEP], spectra.bass[:, : 2 * DEEP], spectra.other)
    entries = [_standard(near(onset_strength(bands, loud), beats, FPS, 0.05)) for bands in heard]
    odds = np.clip(near(said[1], beats, beat_tracker.FPS, 0.04), -_SURE, _SURE)
    downs = settings.downbeats * odds + _turns(chroma, low) + _ENTRY * np.sum(entries, axis=0)
    metre, starts = decode_downbeats(downs, settings.metres, settings.bar_cost)
    starts = starts if len(starts) else np.zeros(1, np.intp)
    key, chords = _named(chroma, low, starts, settings.chord_cost)
    watch.at(1.0)
    return Grid(
        beats_s=tuple(map(float, beats)),
        downbeats_s=tuple(map(float, beats[starts])),
        tempo_bpm=_tempo(beats),
        metre=metre,
        key=key,
        chords=chords,
    )


def chords_on(grid: Grid, bass: Source, other: Source, settings: ListenSettings = ListenSettings()) -> tuple[str, ...]:
    """A chord for each beat of a grid whose beats and downbeats are known, as `listen` names them."""
    beats = np.array(grid.beats_s)
    each = synced(note_energies(note_spectra((bass, other))), beats)
    starts = np.flatnonzero(np.isin(beats, grid.downbeats_s))
    return _named(folded(each, *_HARMONY), folded(each, *_BASS), starts, settings.chord_cost)[1]


def _named(chroma: Doubles, low: Doubles, starts: NDArray[np.intp], cost: float) -> tuple[str, tuple[str, ...]]:
    """The key, and a chord a beat; a change of chord costs half where a bar starts."""
    key = key_of(unit(chroma).sum(axis=0), decode_chords(chroma, low, cost))
    costs = np.full(len(chroma), cost)
    costs[starts] /= 2
    return key, decode_chords(chroma, low, costs, key)


def steady(duration_s: float, bpm: float, metre: int = 4) -> Grid:
    """A grid of one tempo from 0 to the end of so many seconds, without chords."""
    count = max(int(np.ceil(duration_s * bpm / 60)) + 1, 2)
    beats = tuple(float(i * 60 / bpm) for i in range(count))
    return Grid(beats, beats[::metre], bpm, metre, "C:maj", ("N",) * count)


def _tempo(beats: Doubles) -> float:
    """The median tempo, taken over eight beats at a time, since a beat is known to 10 ms only."""
    span = min(8, len(beats) - 1)
    return 60 * span / float(np.median(beats[span:] - beats[:-span]))


def _beats(said: Doubles, onsets: Doubles, duration: float, settings: ListenSettings) -> Doubles:
    """The beats in seconds, carried on to both ends of the song; `said` are their log-odds."""
    frames = np.arange(len(onsets)) / FPS * beat_tracker.FPS
    odds = np.interp(frames, np.arange(len(said)), said)
    odds += max(0.0, _USUAL - float(np.percentile(said, 95)))
    activation = np.clip(odds, -_SURE, _SURE) / _CERTAIN + settings.attack * np.clip(onsets, 0, 1)
    tempi = Tempi(settings.slowest_bpm, settings.fastest_bpm, settings.tempo_cost, settings.beat_cost)
    found = decode_beats(activation, FPS, tempi) / FPS
    return _covering(found, duration) if len(found) > 2 else np.array(steady(duration, settings.silent_bpm).beats_s)


def _turns(chroma: Doubles, bass: Doubles) -> Doubles:
    """How much the harmony turns at each beat, mean 0, spread about 1: where it does, bars begin. Shape: (beats,)."""
    chords = np.array(decode_chords(chroma, bass))
    changes = np.concatenate([[0.0], chords[1:] != chords[:-1]])
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])
    index = np.arange(len(chroma))
    after = sums[np.minimum(index + 2, len(chroma))] - sums[index]
    before = sums[index] - sums[np.maximum(index - 2, 0)]
    return 0.5 * _standard(1 - (unit(after) * unit(before)).sum(axis=1)) + 0.6 * _standard(changes)


def _standard(values: Doubles) -> Doubles:
    """Values with mean 0 and spread 1."""
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))


def _covering(times: Doubles, duration: float) -> Doubles:
    """Beats from the first beat period of the song to its end, at the first and last tempo."""
    first, last = float(np.median(np.diff(times[:5]))), float(np.median(np.diff(times[-5:])))
    before = np.maximum(np.arange(times[0] - first, -0.1 * first, -first)[::-1], 0.0)
    after = np.arange(times[-1] + last, duration + last, last)
    return np.concatenate([before, times, after])
