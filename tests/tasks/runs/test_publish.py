"""What a remix says of who sings in it, and that nobody is published whose consent is gone."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models.conversion.voices import revocation
from models.core.errors import BadInput
from tasks.runs import publish
from tasks.runs.provenance import Provenance, Singer
from tasks.runs.publish import FinishedRemix, published

LJ, WORLD = Singer("lead", "lj", "public domain"), Singer("backing", "world", "no one's voice")


def provenance(*singers: Singer) -> Provenance:
    return Provenance(singers, "band-mask", {}, {}, ())


def publishing(out: Path, *singers: Singer) -> None:
    nothing = cast(Any, None)
    published.fn(FinishedRemix(out / "no song.wav", nothing, nothing, provenance(*singers), ()), out)


@pytest.mark.parametrize("gone", ["lj", "world"])
def test_a_remix_is_not_published_once_any_singers_consent_is_gone(home: Path, tmp_path: Path, gone: str) -> None:
    with pytest.raises(BadInput, match="no song"):  # whoever may sing, the song is looked at next
        publishing(tmp_path, LJ, WORLD)
    revocation.revoke(gone)
    with pytest.raises(BadInput, match=f"'{gone}' is refused: its consent was revoked"):
        publishing(tmp_path, LJ, WORLD)
    with pytest.raises(BadInput, match="no song"):
        publishing(tmp_path, *(singer for singer in (LJ, WORLD) if singer.voice != gone))


def test_a_voice_that_is_no_more_is_not_published(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no voice named 'gone'"):
        publishing(tmp_path, LJ, Singer("backing", "gone", "permission"))


def test_the_manifest_names_every_singer_and_ground(tmp_path: Path) -> None:
    made: Any = SimpleNamespace(
        audio=SimpleNamespace(sha256="a" * 64, duration_s=1.0),
        mix=SimpleNamespace(loudness_lufs=-14.0, true_peak_dbtp=-1.0),
    )
    report: Any = SimpleNamespace(measurements=SimpleNamespace(metrics=()))
    publish._write_manifest(tmp_path, FinishedRemix(Path("a.wav"), made, report, provenance(LJ, WORLD), ()), {})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["voice"] == {"name": "lj and world", "ground": "lj: public domain; world: no one's voice"}
    assert manifest["singers"] == [
        {"part": "lead", "voice": "lj", "ground": "public domain"},
        {"part": "backing", "voice": "world", "ground": "no one's voice"},
    ]


def test_the_tags_name_every_singer_once() -> None:
    both = provenance(LJ, WORLD)
    assert both.comment == "AI-converted voice: lj (public domain), world (no one's voice)"
    assert (both.voice, both.voice_ground) == ("lj and world", "lj: public domain; world: no one's voice")
    behind = provenance(WORLD)
    assert behind.comment == "AI-converted voice: world (no one's voice)"
    assert (behind.voice, behind.voice_ground) == ("world", "no one's voice")
    same = provenance(LJ, Singer("backing", "lj", "public domain"))
    assert (same.voice, same.comment) == ("lj", "AI-converted voice: lj (public domain)")
    assert (provenance().voice, provenance().comment) == ("", "")
