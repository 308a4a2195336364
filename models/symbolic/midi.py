"""A score as a Standard MIDI File on the song's own bars, and back, through pretty_midi."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
import pretty_midi

from models.core.dtypes import DoubleArray
from models.core.errors import BadInput
from models.core.types import Grid, Note, Score, Track
from models.symbolic.beat_map import downbeat_indices
from models.symbolic.harmony import estimate_key

TICKS_PER_BEAT = 480
"""About 1 ms at 120 BPM."""
_MAX_DURATION_S = 4 * 3600.0
_PICKUP_DENOMINATOR = 32


def to_midi(score: Score, grid: Grid) -> bytes:
    """A MIDI file of `score` whose tempo map follows the grid: each beat of the grid is a beat of the file.

    What comes before the first downbeat is one short bar (counted in 32nds), so that bars start on downbeats. Holds
    the key, the tempo of every beat, the metre and each change of chord as a text. Notes are within half a tick.
    """
    file = pretty_midi.PrettyMIDI(resolution=TICKS_PER_BEAT)
    first, scales = _tempo_map(grid)
    file._tick_scales = scales
    end_s = max(score.end_s, grid.beats_s[-1])
    file._update_tick_to_time(scales[-1][0] + int((end_s - grid.beats_s[-1]) / scales[-1][1]) + 2 * TICKS_PER_BEAT)
    pickup = (first + downbeat_indices(grid)[0] * TICKS_PER_BEAT) % (grid.metre * TICKS_PER_BEAT)
    if pickup:
        numerator = pickup * _PICKUP_DENOMINATOR // (4 * TICKS_PER_BEAT)
        file.time_signature_changes.append(pretty_midi.TimeSignature(numerator, _PICKUP_DENOMINATOR, 0.0))
    file.time_signature_changes.append(pretty_midi.TimeSignature(grid.metre, 4, float(file.tick_to_time(pickup))))
    file.key_signature_changes.append(pretty_midi.KeySignature(_key_number(grid.key), 0.0))
    for i, chord in enumerate(grid.chords[: len(grid.beats_s)]):
        if i == 0 or chord != grid.chords[i - 1]:
            file.text_events.append(pretty_midi.Text(chord, grid.beats_s[i]))
    file.instruments.extend(_instrument(track, file) for track in score.tracks)
    output = io.BytesIO()
    file.write(output)
    return output.getvalue()


def _tempo_map(grid: Grid) -> tuple[int, list[tuple[int, float]]]:
    """The tick of the grid's first beat, and (tick, seconds a tick) of every span of constant tempo.

    MIDI tempi are whole microseconds a beat: each is chosen so that rounding errors do not accumulate.
    """
    beats = np.asarray(grid.beats_s)
    first, stretches = 0, list(zip(np.diff(beats), [TICKS_PER_BEAT] * (len(beats) - 1), strict=True))
    if beats[0] > 1e-3:
        unit = 4 * TICKS_PER_BEAT // _PICKUP_DENOMINATOR
        first = max(round(beats[0] / float(np.median(np.diff(beats))) * TICKS_PER_BEAT / unit), 1) * unit
        stretches.insert(0, (float(beats[0]), first))
    tick, target_s, reached_s = 0, 0.0, 0.0
    scales: list[tuple[int, float]] = []
    for seconds, ticks in stretches:
        target_s += seconds
        micros = min(max(round((target_s - reached_s) / ticks * TICKS_PER_BEAT * 1e6), 1), 2**24 - 1)
        reached_s += micros * 1e-6 * ticks / TICKS_PER_BEAT
        scales.append((tick, (micros + 0.25) * 1e-6 / TICKS_PER_BEAT))  # the writer rounds down
        tick += ticks
    return first, scales


def _key_number(key: str) -> int:
    """pretty_midi's number of a key such as "F#:min" (0 for none)."""
    if ":" not in key:
        return 0
    root, mode = key.split(":")
    return int(pretty_midi.key_name_to_key_number(f"{root} {'minor' if mode == 'min' else 'Major'}"))


def _instrument(track: Track, file: pretty_midi.PrettyMIDI) -> pretty_midi.Instrument:
    instrument = pretty_midi.Instrument(track.program, track.is_drum, track.name)
    for note in track.notes:
        start = file.time_to_tick(max(note.onset_s, 0.0))
        stop = max(file.time_to_tick(note.onset_s + note.duration_s), start + 1)
        times = file.tick_to_time(int(start)), file.tick_to_time(int(stop))
        instrument.notes.append(pretty_midi.Note(note.velocity, note.pitch, *times))
    return instrument


def from_midi(data: bytes) -> tuple[Score, Grid]:
    """The score and the grid in a MIDI file (type 0 or 1); chords are "N", tracks without notes are left out.

    The grid's beats are those of the file's tempo map and time signatures, from its start to beyond its last note;
    without a key signature the key is estimated from the notes. Raises `BadInput` for bytes that are not a MIDI file,
    that hold no notes, or that last longer than four hours.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = pretty_midi.PrettyMIDI(io.BytesIO(data))
            end_s = float(file.get_end_time())
    except Exception as error:  # mido and pretty_midi raise whatever the damage happens to cause
        raise BadInput(f"This is not a MIDI file that can be read ({str(error) or type(error).__name__}).") from error
    score = Score(tuple(_track(i, instrument) for i, instrument in enumerate(file.instruments) if instrument.notes))
    if not score.tracks:
        raise BadInput("The MIDI file holds no notes.")
    if file.resolution < 1 or not np.isfinite(end_s) or not 0 < score.end_s <= end_s <= _MAX_DURATION_S:
        raise BadInput("The MIDI file's times make no sense, or it is longer than four hours.")
    return score, _grid(file, score)


def _track(index: int, instrument: pretty_midi.Instrument) -> Track:
    name = "".join(c for c in instrument.name if c.isprintable()).strip() or f"track {index + 1}"
    notes = (Note(float(n.start), float(n.end - n.start), int(n.pitch), int(n.velocity)) for n in instrument.notes)
    ordered = tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch)))
    return Track(name, int(instrument.program), bool(instrument.is_drum), ordered)


@dataclass(frozen=True)
class _Bars:
    """Bars of one length: from tick `start`, `beat` ticks a beat, `metre` beats a bar."""

    start: int
    beat: int
    metre: int
    pickup: bool


def _grid(file: pretty_midi.PrettyMIDI, score: Score) -> Grid:
    """The beats and downbeats of the file's signatures, extended to the end of the last note."""
    sections = _sections(file)
    end = int(file.time_to_tick(score.end_s))
    beats: list[int] = []
    downbeats: list[int] = []
    for section, following in zip(sections, [*sections[1:], None], strict=True):
        stop = following.start if following else max(end, section.start) + 2 * section.beat
        if section.pickup:
            beats.extend(range(stop - (stop - section.start) // section.beat * section.beat, stop, section.beat))
            continue
        ticks = range(section.start, stop, section.beat)
        beats.extend(ticks)
        downbeats.extend(ticks[:: section.metre])
    times = np.array([file.tick_to_time(t) for t in beats])
    keys = file.key_signature_changes
    key = _key_name(keys[0].key_number) if keys else estimate_key(_pitch_classes(score))
    return Grid(
        beats_s=tuple(map(float, times)),
        downbeats_s=tuple(float(file.tick_to_time(t)) for t in downbeats),
        tempo_bpm=60 / float(np.median(np.diff(times))),
        metre=max(sections, key=lambda s: -s.pickup).metre,
        key=key,
        chords=("N",) * len(beats),
    )


def _sections(file: pretty_midi.PrettyMIDI) -> list[_Bars]:
    """The file's spans of one time signature; a short bar at the start is marked as a pickup."""
    changes = {int(file.time_to_tick(s.time)): (s.numerator, s.denominator) for s in file.time_signature_changes}
    if 0 not in changes:
        changes[0] = (4, 4)
    sections = []
    for start, (numerator, denominator) in sorted(changes.items()):
        beat = max(4 * file.resolution // max(denominator, 1), 1)
        if denominator >= 8 and numerator % 3 == 0 and numerator > 3:  # compound: three eighths a beat
            beat, numerator = 3 * beat, numerator // 3
        sections.append(_Bars(start, beat, max(numerator, 1), False))
    if len(sections) > 1:
        first, second = sections[:2]
        length = second.start - first.start
        if length == first.beat * first.metre and length < second.beat * second.metre:
            sections[0] = _Bars(first.start, second.beat, second.metre, True)
    return sections


def _pitch_classes(score: Score) -> DoubleArray:
    """Total duration of each pitch class, in seconds. Shape: (12,)."""
    histogram = np.zeros(12)
    for track in score.tracks:
        for note in () if track.is_drum else track.notes:
            histogram[note.pitch % 12] += note.duration_s
    return histogram


def _key_name(number: int) -> str:
    root, mode = pretty_midi.key_number_to_key_name(number).split()
    return f"{root}:{'min' if mode == 'minor' else 'maj'}"
