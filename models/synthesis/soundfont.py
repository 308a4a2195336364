"""A score rendered on a SoundFont by tinysoundfont, block by block, with sample-accurate onsets."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi
import tinysoundfont

from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.types import Samples, Score, Track
from models.symbolic.general_midi import kit_named, program_named
from models.synthesis.settings import RenderSettings

_BLOCK = 16_384
_FADE_S = 0.005
_MIN_NOTE_S = 0.03
_DRUM_BANK = 128
AUTO = "auto"
"""The instrument name that leaves a track its own program."""
_NOT_OTHER = ("bass", "melody", "drums")


@dataclass(frozen=True)
class _Event:
    """A note-on (`velocity` > 0) or note-off (0), at a sample."""

    frame: int
    velocity: int
    channel: int
    pitch: int


def render(
    score: Score, frames: int, sample_rate: int, settings: RenderSettings, watch: Watch = UNWATCHED
) -> Iterator[Samples]:
    """Render `score` for exactly `frames` frames at `sample_rate` Hz.

    Yields float32 blocks, shape (2, n), `frames` in all; never clipped. Onsets are sample-accurate and releases ring
    out until the audio ends (there the last 5 ms are faded). The same score gives the same bytes. Raises `BadInput` for
    a SoundFont that cannot be read or an instrument that is not General MIDI.
    """
    synth = _synth(score, sample_rate, settings)
    events = _events(score, frames, sample_rate)
    fade = min(max(int(_FADE_S * sample_rate), 1), frames)
    upcoming = 0
    for start in range(0, frames, _BLOCK):
        watch.at(start / frames)
        stop = min(start + _BLOCK, frames)
        block = np.empty((stop - start, 2), np.float32)
        at = start
        while at < stop:
            while upcoming < len(events) and events[upcoming].frame <= at:
                _play(synth, events[upcoming])
                upcoming += 1
            until = min(events[upcoming].frame, stop) if upcoming < len(events) else stop
            synth.generate_simple(until - at, block[at - start : until - start].data.cast("B"))
            at = until
        if stop > frames - fade:
            block *= np.clip((frames - np.arange(start, stop)) / fade, 0, 1).astype(np.float32)[:, None]
        yield np.ascontiguousarray(block.T)
    watch.at(1.0)


def _play(synth: tinysoundfont.Synth, event: _Event) -> None:
    if event.velocity:
        synth.noteon(event.channel, event.pitch, event.velocity)
    else:
        synth.noteoff(event.channel, event.pitch)


def _events(score: Score, frames: int, sample_rate: int) -> list[_Event]:
    """Note-ons and note-offs in order of time; at one sample, note-offs come first.

    A key pressed again while it sounds is released first, so that each note-off meets its own note-on.
    """
    events = []
    for channel, track in enumerate(score.tracks):
        ends: dict[int, int] = {}
        for note in sorted(track.notes, key=lambda n: (n.pitch, n.onset_s), reverse=True):
            start = max(round(note.onset_s * sample_rate), 0)
            stop = start + round(max(note.duration_s, _MIN_NOTE_S) * sample_rate)
            stop = max(min(stop, ends.get(note.pitch, stop)), start + 1)
            ends[note.pitch] = start
            if start < frames:
                events.append(_Event(start, note.velocity, channel, note.pitch))
                events.append(_Event(stop, 0, channel, note.pitch))
    return sorted(events, key=lambda e: (e.frame, e.velocity > 0, e.channel, e.pitch))


def _synth(score: Score, sample_rate: int, settings: RenderSettings) -> tinysoundfont.Synth:
    """A synthesiser with one channel a track, each with its program and gain."""
    path = Path(settings.soundfont) if settings.soundfont else shipped_soundfont()
    loudest = max([0.0, *(gain for _, gain in settings.track_gains_db)])
    synth = tinysoundfont.Synth(gain=settings.gain_db + loudest, samplerate=sample_rate)
    try:
        font = synth.sfload(path.read_bytes(), max_voices=settings.voices)
    except OSError as error:
        raise BadInput(f"The SoundFont {path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # tinysoundfont raises bare RuntimeErrors of its own
        raise BadInput(f"The file {path} is not a SoundFont (.sf2 or .sf3).") from error
    gains, pans = dict(settings.track_gains_db), dict(settings.pans)
    for channel, track in enumerate(score.tracks):
        if track.is_drum:
            program = _program(track, settings)
            kit = program if synth.sfpreset_name(font, _DRUM_BANK, program) else 0
            synth.program_select(channel, font, 0, kit, True)
        else:
            synth.program_select(channel, font, 0, _program(track, settings))
        _controls(synth, channel, gains.get(track.name, 0.0) - loudest, pans.get(track.name, 0.0))
    return synth


def _program(track: Track, settings: RenderSettings) -> int:
    chosen = dict(settings.instruments)
    rest = AUTO if track.name in _NOT_OTHER else chosen.get("other", AUTO)
    name = chosen.get(track.name, rest)
    return track.program if name == AUTO else program_of(track.name, name)


def program_of(part: str, name: str) -> int:
    """The program of a General MIDI instrument or, for the drums, of a kit; raises `BadInput` for an unknown one."""
    return kit_named(name) if part == "drums" else program_named(name)


def check_soundfont(path: Path) -> None:
    """Raise `BadInput` for a file that cannot be a SoundFont."""
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as error:
        raise BadInput(f"The SoundFont {path} cannot be read: {error.strerror}.") from error
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise BadInput(f"The file {path} is not a SoundFont (.sf2 or .sf3).")


def _controls(synth: tinysoundfont.Synth, channel: int, gain_db: float, pan: float) -> None:
    """Set a channel's gain (0 dB or less; the synthesiser cubes MIDI volume) and pan (-1 left to 1 right)."""
    volume = round(16_383 * 10 ** (min(gain_db, 0.0) / 60))
    position = round(8191.5 * (1 + min(max(pan, -1.0), 1.0)))
    for controller, value in ((7, volume), (10, position)):
        synth.control_change(channel, controller, value >> 7)
        synth.control_change(channel, controller + 32, value & 127)


def shipped_soundfont() -> Path:
    """The General MIDI SoundFont that comes inside pretty_midi."""
    return Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"
