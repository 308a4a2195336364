"""The stages' flows without a server: what they refuse, and say, before anything is computed."""

from pathlib import Path

import pytest

from flows import single_stages
from models.conversion.voices.registry import Consent
from models.core.errors import BadInput
from models.core.types import Note, Score, Track
from models.symbolic.midi import to_midi
from models.synthesis.example_song.composition import compose


@pytest.fixture
def nothing_computed(monkeypatch):
    """Every stage that is asked for fails the test."""

    def computed(*inputs: object, **options: object) -> None:
        pytest.fail("something was computed")

    for stage in ("ingest", "separate", "extend", "convert", "render", "mix_takes"):
        monkeypatch.setattr(single_stages, stage, computed)
    monkeypatch.setattr(single_stages, "find_voice", lambda name: name)
    monkeypatch.setattr(single_stages, "consent", lambda voice: Consent)


@pytest.fixture
def midi(tmp_path):
    """The example song as MIDI."""
    sheet = compose(0, 10.0)
    path = tmp_path / "song.mid"
    path.write_bytes(to_midi(sheet.score, sheet.grid))
    return path


@pytest.mark.parametrize(
    ("flow", "inputs"),
    [
        ("separate_file", ("song.wav",)),
        ("transcribe_file", ("song.wav",)),
        ("extend_midi", ("song.mid",)),
        ("convert_file", ("lead.wav",)),
        ("render_midi", ("song.mid",)),
        ("mix_files", ("voice.wav", "band.wav")),
    ],
)
@pytest.mark.parametrize("out", ["/proc/x", "song.mid/x", "x" * 300])
def test_what_cannot_be_written_is_refused_before_anything_is_computed(midi, nothing_computed, flow, inputs, out):
    given = [midi.parent / name for name in inputs]
    with pytest.raises(BadInput, match="cannot be written"):
        getattr(single_stages, flow).fn(*given, midi.parent / out)


def test_a_file_is_no_folder_and_a_folder_is_no_file(midi, nothing_computed):
    with pytest.raises(BadInput, match=r"song\.mid cannot be written: Not a directory"):
        single_stages.separate_file.fn(midi.parent / "song.wav", midi)
    for flow in (single_stages.transcribe_file, single_stages.extend_midi, single_stages.render_midi):
        with pytest.raises(BadInput, match="cannot be written: Is a directory"):
            flow.fn(midi, midi.parent)


class Reached(Exception):
    """The stage was asked for."""


def test_a_nearly_empty_prompt_is_said(midi, monkeypatch, capsys, home):
    def asked(*inputs: object) -> None:
        raise Reached

    monkeypatch.setattr(single_stages, "extend", asked)
    sheet = compose(0, 10.0)
    one = midi.with_name("one.mid")
    one.write_bytes(to_midi(Score((Track("other", 0, False, (Note(0.0, 0.5, 60, 80),)),)), sheet.grid))
    with pytest.raises(Reached):
        single_stages.extend_midi.fn(midi, midi.with_name("more.mid"), bars=1)
    assert capsys.readouterr().err == ""
    with pytest.raises(Reached):
        single_stages.extend_midi.fn(one, midi.with_name("more.mid"), bars=1)
    assert capsys.readouterr().err.startswith("Almost no notes were transcribed; the song was continued from its key")


def test_stems_are_made_in_the_precision_that_auto_stands_for(monkeypatch, home):
    from flows.options import RemixOptions
    from flows.remix import Context
    from models.separation import precision

    given = []

    def asked(audio: object, separator: str, settings: object, *more: object) -> None:
        given.append(settings)
        raise Reached

    monkeypatch.setattr(single_stages, "separate", asked)
    monkeypatch.setattr(precision, "_CPU", Path("/nowhere"))
    options = RemixOptions(settings=["separate.precision=auto"], device="cpu")
    with pytest.raises(Reached):
        single_stages._separated(None, Context.of(options))
    assert [one.precision for one in given] == ["float32"]
