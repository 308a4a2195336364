"""A file that was decoded before is not decoded again, and never at the price of a wrong or damaged song."""

import os
from pathlib import Path

import pytest

from models.audio import decode as decoding
from tasks.cache.collecting import collect
from tasks.cache.store import Store
from tasks.stages import ingest as ingesting
from tasks.stages.ingest import ingest, note_of, noted
from tests.support.hostile import sound

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded, as they are."""
    seen: list[Path] = []
    real = decoding.decode

    def decode(path: Path, *given: object) -> object:
        seen.append(path)
        return real(path, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "decode", decode)
    return seen


def test_the_same_bytes_are_decoded_once_under_any_name(tmp_path, decodings):
    song = ingest.fn(sound(tmp_path / "one.wav"))
    assert ingest.fn(tmp_path / "one.wav") == song
    renamed = (tmp_path / "one.wav").rename(tmp_path / "two.wav")
    again = ingest.fn(renamed)
    assert (again.title, again.audio) == ("two", song.audio)
    assert decodings == [tmp_path / "one.wav"]


@pytest.mark.parametrize("fault", ["gone", "altered", "note"])
def test_a_damaged_store_makes_the_song_anew(tmp_path, decodings, home, fault):
    path = sound(tmp_path / "one.wav")
    song = ingest.fn(path)
    blob, note = Store().path(song.audio), next((home / "decoded").iterdir())
    if fault == "gone":
        blob.unlink()
    elif fault == "altered":
        content = bytearray(blob.read_bytes())
        content[-1] ^= 1
        blob.write_bytes(content)
    else:
        note.write_text('{"sha256": "one"}')
    assert noted(note_of(path)) is None
    assert ingest.fn(path) == song
    assert len(decodings) == 2
    assert noted(note_of(path)) == song.audio


def test_other_bytes_and_other_code_are_decoded(tmp_path, decodings, monkeypatch):
    path = sound(tmp_path / "one.wav")
    ingest.fn(path)
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\1\0")
    ingest.fn(path)
    monkeypatch.setattr(ingesting, "code_digest", lambda *modules: "another decoder")
    ingest.fn(path)
    assert len(decodings) == 3


def test_a_song_in_use_counts_as_used_now(tmp_path):
    song = ingest.fn(sound(tmp_path / "one.wav"))
    blob = Store().path(song.audio)
    os.utime(blob, (1, 1))
    ingest.fn(tmp_path / "one.wav")
    assert blob.stat().st_mtime > 1


def test_a_file_that_is_replaced_while_it_is_decoded_is_decoded_again(tmp_path, monkeypatch):
    path, other = sound(tmp_path / "one.wav"), sound(tmp_path / "other.wav", seconds=3.0)
    real = decoding.decode

    def decode_and_replace(file: Path, *given: object) -> object:
        yield from real(file, *given)  # type: ignore[arg-type]
        path.write_bytes(other.read_bytes())

    with monkeypatch.context() as patched:
        patched.setattr(decoding, "decode", decode_and_replace)
        first = ingest.fn(path)
    assert first.audio.duration_s == pytest.approx(2.0, abs=0.01)
    assert ingest.fn(path).audio.duration_s == pytest.approx(3.0, abs=0.01)


def test_the_collector_keeps_songs_as_it_keeps_results(tmp_path, decodings, home):
    ingest.fn(sound(tmp_path / "one.wav"))
    collect(1 << 40)
    ingest.fn(tmp_path / "one.wav")
    assert len(decodings) == 1
    collect(0)
    assert not list((home / "decoded").iterdir())
    assert not list((home / "blobs").rglob("*.wav"))
    ingest.fn(tmp_path / "one.wav")
    assert len(decodings) == 2
