"""Composition of the example song: form, harmony, lyrics and every note, in seconds.

A pop song in a major key: an intro, then verses of 4 bars and choruses of 8. Melody is in scale steps above the tonic
(7 is the octave); chords are triads on scale steps.
"""

from dataclasses import dataclass

import numpy as np

from models.core.errors import BadInput
from models.core.types import Grid, Note, Score, Track
from models.symbolic.harmony import ROOTS

SAMPLE_RATE = 44100
METRE = 4
TEMPO_BPM = 112.0
MIN_DURATION_S = 4.0
MAJOR = (0, 2, 4, 5, 7, 9, 11)
TONICS = ("A", "C", "G", "Bb", "F", "D")
KICK, SNARE, CLOSED_HAT, OPEN_HAT, CRASH, LOW_TOM, HIGH_TOM = 36, 38, 42, 46, 49, 45, 50

INTRO_CHORDS = (0, 3)
VERSE_CHORDS = (5, 3, 0, 4)
CHORUS_CHORDS = (0, 4, 5, 3, 0, 4, 3, 0)

# (beat in the section, beats, step of the scale, syllable as phonemes)
Lyric = tuple[float, float, int, str]
VERSE: tuple[Lyric, ...] = (
    (0, 1.0, 2, "w.a.i.z"), (1, 0.5, 2, "a.r"), (1.5, 0.5, 1, "o.l"),
    (2, 1.0, 2, "s.i.ng"), (3, 0.5, 1, "i.ng"), (3.5, 0.5, 0, "uh"),
    (4, 1.0, 3, "l.o.ng"), (5, 0.5, 3, "i.n"), (5.5, 0.5, 2, "d.uh"), (6, 1.4, 0, "r.e.i.n"),
    (8, 1.0, 2, "l.e.n"), (9, 0.5, 2, "m.i"), (9.5, 0.5, 3, "y.o.r"),
    (10, 1.0, 4, "v.o.i.s"), (11, 0.5, 3, "a.n"), (11.5, 0.5, 2, "a.i.l"),
    (12, 1.0, 1, "s.i.ng"), (13, 0.5, 1, "i.t"), (13.5, 0.5, 2, "uh"), (14, 1.5, 1, "g.e.n"),
)  # fmt: skip
CHORUS: tuple[Lyric, ...] = (
    (0, 1.5, 4, "o.u"), (1.5, 0.5, 5, "l.e.i"), (2, 0.5, 4, "i.t"), (2.5, 0.5, 2, "uh"), (3, 1.5, 1, "g.e.n"),
    (5, 0.5, 1, "l.e.i"), (5.5, 0.5, 1, "i.t"), (6, 0.5, 2, "uh"), (6.5, 1.1, 1, "g.e.n"),
    (8, 0.5, 2, "e.v"), (8.5, 0.5, 2, "r.i"), (9, 0.5, 4, "b.o"), (9.5, 0.5, 4, "d.i"),
    (10, 1.0, 5, "n.o.u.z"), (11, 1.0, 4, "d.uh"), (12, 2.6, 3, "t.u.n"),
    (16, 1.5, 4, "o.u"), (17.5, 0.5, 5, "l.e.n"), (18, 0.5, 4, "m.i"), (18.5, 0.5, 2, "uh"), (19, 1.5, 1, "v.o.i.s"),
    (21, 0.5, 1, "l.e.n"), (21.5, 0.5, 1, "m.i"), (22, 0.5, 2, "uh"), (22.5, 1.1, 4, "v.o.i.s"),
    (24, 0.5, 5, "a.i.l"), (24.5, 0.5, 5, "b.i"), (25, 1.0, 5, "s.i.ng"), (26, 0.5, 4, "i.ng"), (26.5, 1.4, 1, "f.o.r"),
    (28, 3.0, 0, "y.u"),
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """`name` is intro, verse or chorus; it starts at `bar` and has one chord a bar (a step of the scale each)."""

    name: str
    bar: int
    chords: tuple[int, ...]


@dataclass(frozen=True)
class LyricNote:
    """A note with its syllable: phonemes joined by dots."""

    note: Note
    syllable: str


@dataclass(frozen=True)
class Composition:
    """The whole song. `keys` and `pluck` together are the stem "other"; `backing` holds one part a singer."""

    grid: Grid
    sections: tuple[Section, ...]
    drums: tuple[Note, ...]
    bass: tuple[Note, ...]
    keys: tuple[Note, ...]
    pluck: tuple[Note, ...]
    lead: tuple[LyricNote, ...]
    backing: tuple[tuple[LyricNote, ...], ...]

    @property
    def score(self) -> Score:
        """The true notes of every stem: tracks drums, bass, other, melody and backing_vocals."""
        return Score(
            (
                Track("drums", 0, True, _in_order(self.drums)),
                Track("bass", 33, False, _in_order(self.bass)),
                Track("other", 4, False, _in_order(self.keys + self.pluck)),
                Track("melody", 53, False, tuple(s.note for s in self.lead)),
                Track("backing_vocals", 52, False, _in_order(tuple(s.note for part in self.backing for s in part))),
            )
        )


def compose(seed: int, seconds: float) -> Composition:
    """The song in a whole number of bars that fill `seconds`; seed 0 is in A major, others draw key and timing.

    Raises `BadInput` for less than 4 s.
    """
    if not seconds >= MIN_DURATION_S:
        raise BadInput(f"The example song needs at least {MIN_DURATION_S:g} s; {seconds:g} s were asked for.")
    rng = np.random.default_rng([seed, 0])
    tonic_name = TONICS[seed % len(TONICS)]
    tonic = 53 + (_pitch_class(tonic_name) - 53) % 12
    bars = max(2, round(seconds * TEMPO_BPM / 60 / METRE))
    sections = _form(bars)
    performer = _Performer(rng, seconds / bars / METRE, seconds)
    lead = _melody(performer, sections, tonic)
    return Composition(
        grid=_grid(sections, bars, seconds, tonic_name),
        sections=sections,
        drums=_drums(performer, sections, bars),
        bass=_bass(performer, sections, bars, tonic),
        keys=_keys(performer, sections, bars, tonic),
        pluck=_pluck(performer, sections, bars, tonic),
        lead=lead,
        backing=tuple(_harmony(lead, sections, performer.beat_s, tonic, above) for above in (False, True)),
    )


def _pitch_class(name: str) -> int:
    return (ROOTS.index(name[0]) - name.count("b")) % 12


def _in_order(notes: tuple[Note, ...]) -> tuple[Note, ...]:
    return tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch)))


def _form(bars: int) -> tuple[Section, ...]:
    """Intro, then verses and choruses until the bars are used up; a short last chorus keeps its end, which resolves."""
    intro = 2 if bars >= 12 else int(bars >= 4)
    sections = [Section("intro", 0, INTRO_CHORDS[:intro])] if intro else []
    bar = intro
    while bar < bars:
        remaining = bars - bar
        verse = 4 if remaining >= 12 else max(1, remaining // 3)
        sections.append(Section("verse", bar, VERSE_CHORDS[:verse]))
        chorus = min(len(CHORUS_CHORDS), remaining - verse)
        sections.append(Section("chorus", bar + verse, CHORUS_CHORDS[-chorus:]))
        bar += verse + chorus
    return tuple(sections)


def _grid(sections: tuple[Section, ...], bars: int, seconds: float, tonic: str) -> Grid:
    beat_s = seconds / bars / METRE
    beats = tuple(i * beat_s for i in range(bars * METRE))
    root = _pitch_class(tonic)
    labels = []
    for section in sections:
        for step in section.chords:
            quality = "min" if step in (1, 2, 5) else "maj"
            labels += [f"{ROOTS[(root + MAJOR[step]) % 12]}:{quality}"] * METRE
    return Grid(beats, beats[::METRE], 60 / beat_s, METRE, f"{ROOTS[root]}:maj", tuple(labels))


@dataclass(frozen=True)
class _Performer:
    """Beats to seconds with small random timing and velocity deviations; every onset falls on a sample."""

    rng: np.random.Generator
    beat_s: float
    seconds: float

    def note(self, beat: float, beats: float, pitch: int, velocity: float, jitter_s: float = 0.003) -> Note:
        onset = max(beat * self.beat_s + self.rng.uniform(-jitter_s, jitter_s), 0.0)
        onset = round(onset * SAMPLE_RATE) / SAMPLE_RATE
        duration = min(beats * self.beat_s, self.seconds - onset - 0.02)
        loudness = int(np.clip(2 * round((velocity + self.rng.uniform(-5, 5)) / 2), 1, 127))
        return Note(onset, duration, pitch, loudness)


def _bars_of(sections: tuple[Section, ...]) -> list[tuple[Section, int, int]]:
    """Every bar as (its section, its index in the section, its chord's step)."""
    return [(section, i, step) for section in sections for i, step in enumerate(section.chords)]


def _melody(performer: _Performer, sections: tuple[Section, ...], tonic: int) -> tuple[LyricNote, ...]:
    lyric_notes = []
    for section in sections:
        if section.name == "intro":
            continue
        lyrics, whole = (VERSE, VERSE_CHORDS) if section.name == "verse" else (CHORUS, CHORUS_CHORDS)
        skipped = METRE * (len(whole) - len(section.chords)) if section.name == "chorus" else 0
        length = METRE * len(section.chords)
        for beat, beats, step, syllable in lyrics:
            at = beat - skipped
            if 0 <= at < length:
                beats = min(beats, length - at - 0.3)
                pitch = tonic + MAJOR[step % 7] + 12 * (step // 7)
                loudness = 96 if section.name == "chorus" else 82
                lyric_notes.append(
                    LyricNote(performer.note(section.bar * METRE + at, beats * 0.97, pitch, loudness), syllable)
                )
    return tuple(lyric_notes)


def _harmony(
    lead: tuple[LyricNote, ...], sections: tuple[Section, ...], beat_s: float, tonic: int, above: bool
) -> tuple[LyricNote, ...]:
    """The choruses' second voices: the nearest chord note at least a minor third above or below the lead's."""
    steps = _bars_of(sections)
    harmony = []
    for lyric_notes in lead:
        bar = min(int((lyric_notes.note.onset_s + 0.01) / beat_s) // METRE, len(steps) - 1)
        section, _, step = steps[bar]
        if section.name == "chorus":
            triad = {(tonic + MAJOR[(step + k) % 7]) % 12 for k in (0, 2, 4)}
            moves = range(3, 15) if above else range(-3, -15, -1)
            pitch = next(p for p in (lyric_notes.note.pitch + m for m in moves) if p % 12 in triad)
            note = Note(
                lyric_notes.note.onset_s, lyric_notes.note.duration_s, pitch, max(1, lyric_notes.note.velocity - 10)
            )
            harmony.append(LyricNote(note, lyric_notes.syllable))
    return tuple(harmony)


def _drums(performer: _Performer, sections: tuple[Section, ...], bars: int) -> tuple[Note, ...]:
    hits = []

    def hit(beat: float, pitch: int, velocity: float) -> None:
        hits.append(performer.note(beat, 0.2, pitch, velocity, jitter_s=0.0015))

    for bar, (section, i, _) in enumerate(_bars_of(sections)):
        beat = bar * METRE
        chorus = section.name == "chorus"
        if bar == bars - 1:
            hit(beat, KICK, 115)
            hit(beat, CRASH, 100)
            continue
        if i == 0 and section.name != "intro":
            hit(beat, CRASH, 105 if chorus else 80)
        fill = i == len(section.chords) - 1
        for kick in (0, 1.5, 2, 3.5) if chorus else (0, 2.5) if section.name == "verse" else (0, 2):
            hit(beat + kick, KICK, 112 if chorus else 100)
        for back in () if section.name == "intro" else (1, 3):
            if not (fill and back == 3):
                hit(beat + back, SNARE, 110 if chorus else 98)
        for eighth in range(6 if fill else 8):
            opened = chorus and eighth % 2 == 1
            hit(beat + eighth / 2, OPEN_HAT if opened else CLOSED_HAT, 70 if eighth % 2 else 88)
        if fill:
            for k, drum in enumerate((SNARE, HIGH_TOM, HIGH_TOM, LOW_TOM)):
                hit(beat + 3 + k / 4, drum, 90 + 6 * k)
    return tuple(hits)


def _bass(performer: _Performer, sections: tuple[Section, ...], bars: int, tonic: int) -> tuple[Note, ...]:
    notes = []
    for bar, (section, _, step) in enumerate(_bars_of(sections)):
        root = 28 + (tonic + MAJOR[step] - 28) % 12
        if bar == bars - 1:
            pattern = [(0.0, 3.2, 0)]
        elif section.name == "intro":
            pattern = [(0.0, 3.6, 0)]
        elif section.name == "verse":
            pattern = [(0.0, 1.4, 0), (1.5, 0.45, 0), (2.5, 0.9, 7), (3.5, 0.45, 12)]
        else:
            pattern = [(k / 2, 0.42, 12 if k in (3, 7) else 7 if k == 5 else 0) for k in range(8)]
        notes += [performer.note(bar * METRE + at, beats, root + rise, 100) for at, beats, rise in pattern]
    return tuple(notes)


def _triad(tonic: int, step: int, lowest: int) -> list[int]:
    return sorted(lowest + (tonic + MAJOR[(step + k) % 7] - lowest) % 12 for k in (0, 2, 4))


def _keys(performer: _Performer, sections: tuple[Section, ...], bars: int, tonic: int) -> tuple[Note, ...]:
    notes = []
    for bar, (section, _, step) in enumerate(_bars_of(sections)):
        if bar == bars - 1 or section.name == "intro":
            pattern = [(0.0, 3.5)]
        elif section.name == "verse":
            pattern = [(0.0, 1.4), (1.5, 1.3), (3.0, 0.9)]
        else:
            pattern = [(0.0, 1.9), (2.0, 1.4), (3.5, 0.45)]
        for at, beats in pattern:
            for pitch in _triad(tonic, step, 55):
                notes.append(performer.note(bar * METRE + at, beats, pitch, 78 if section.name == "chorus" else 68))
    return tuple(notes)


def _pluck(performer: _Performer, sections: tuple[Section, ...], bars: int, tonic: int) -> tuple[Note, ...]:
    """An arpeggio an octave above the chords, in intro and choruses."""
    notes = []
    for bar, (section, _, step) in enumerate(_bars_of(sections)):
        if section.name == "verse" or bar == bars - 1:
            continue
        chord = _triad(tonic, step, 67)
        for k, index in enumerate((0, 1, 2, 1, 0, 2, 1, 2)):
            notes.append(performer.note(bar * METRE + k / 2, 0.45, chord[index], 84 if k % 4 == 0 else 72))
    return tuple(notes)
