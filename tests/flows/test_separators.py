"""The official separators as a user meets them: fetched on first use from a hub, which here is a small local one."""

from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch

from flows.separators import SHIPPED, known, usable
from models.core.errors import BadInput
from models.core.types import Clip
from models.separation.checkpoints import load, save, separator_path, to_fetch
from models.separation.evaluation.songs import synthetic_song
from models.separation.networks.band_mask import BandMask
from tasks.cache.store import Store
from tasks.stages.separate import separate


def stored(seconds: float = 1.2) -> Clip:
    rng = np.random.default_rng(0)
    return Store().put([0.1 * rng.standard_normal((2, int(44100 * seconds))).astype(np.float32)], 44100)


def test_an_official_network_is_fetched_on_first_use_over_cut_connections(official, networks):
    official.hub.cut = 300_000
    assert usable("htdemucs").notes == ()
    asked = len(official.hub.asked)
    assert asked > 2
    assert usable("htdemucs").separator == "htdemucs"
    assert len(official.hub.asked) == asked
    fetched = load(separator_path("htdemucs"))
    for key, value in networks["htdemucs"].state_dict().items():
        torch.testing.assert_close(fetched.state_dict()[key], value.half().float())


def test_guitar_and_piano_are_parts_of_other(official):
    usable("htdemucs_6s")
    stems = separate.fn(stored(), "htdemucs_6s", settings(), 0, "cpu")
    assert [part.name for part in stems.parts] == ["other", "guitar", "piano"]
    store = Store()
    total = sum(store.source(part.audio).read(0, 50000) for part in stems.parts)
    np.testing.assert_allclose(store.source(stems.other).read(0, 50000), total, atol=1e-5)
    usable("htdemucs")
    assert separate.fn(stored(), "htdemucs", settings(), 0, "cpu").parts == ()


@pytest.mark.weights
def test_each_part_of_other_is_written_down_for_itself(monkeypatch, tmp_path):
    from models.core.types import Contour, Part
    from models.transcription.settings import TranscribeSettings
    from tasks.stages.transcribe import transcribe

    monkeypatch.setenv("REMIX_HOME", str(tmp_path))
    drums, bass, other, vocals = (Store().put([row], 44100) for row in synthetic_song(0, 4.0))
    parts = (Part("other", bass), Part("guitar", other), Part("piano", other))
    silence = Contour((0.0,) * 400, 0.01, 0.0)
    score = transcribe.fn(drums, bass, other, vocals, silence, TranscribeSettings(), parts)
    assert [track.name for track in score.tracks] == ["bass", "other", "guitar", "piano", "melody", "drums"]
    guitar, piano = score.track("guitar"), score.track("piano")
    assert guitar.notes == piano.notes
    assert 24 <= guitar.program <= 31
    assert 0 <= piano.program <= 7


def test_without_a_network_the_shipped_one_works_and_says_so(official):
    official.hub.files.clear()
    found = usable("htdemucs")
    assert found.separator == SHIPPED
    assert len(found.notes) == 1
    assert "404" in found.notes[0]
    assert "band-mask, the shipped separator, was used instead of htdemucs" in found.notes[0]
    known("htdemucs")


def test_what_the_hub_spoilt_is_refused_and_not_replaced(official, monkeypatch, tmp_path):
    official.publish(monkeypatch, tmp_path, licence="MIT")
    (part,) = to_fetch("htdemucs")
    address = urlsplit(part.url).path
    spoilt = bytearray(official.hub.files[address])
    spoilt[-1] ^= 1
    official.hub.files[address] = bytes(spoilt)
    with pytest.raises(BadInput, match="wrong SHA-256"):
        usable("htdemucs")
    assert not part.path.exists()


def test_a_full_disk_is_said_and_not_hidden(official, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.core.download.os.fsync", full)
    with pytest.raises(BadInput, match="no space"):
        usable("htdemucs")


def test_a_file_of_the_users_is_taken_as_it_is(tmp_path):
    with pytest.raises(BadInput, match="no separator file"):
        usable(str(tmp_path / "mine.th"))
    (tmp_path / "mine.th").write_bytes(b"")
    assert usable(str(tmp_path / "mine.th")).separator == str(tmp_path / "mine.th")
    with pytest.raises(BadInput, match="no separator named"):
        known("band-musk")


def band_mask(sources: list[str], path: Path) -> str:
    torch.manual_seed(0)
    save(BandMask(sources, width=16, depth=2, segment=1.0), path)
    return str(path)


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (
            ["lead_vocals", "backing_vocals", "room"],
            "sources lead_vocals, backing_vocals, room; it needs vocals and other",
        ),
        (["drums", "bass", "other"], "it needs vocals and other"),
        (["drums", "bass", "vocals"], "it needs vocals and other"),
        (["other", "vocals", "vocals"], "a name of its own"),
    ],
)
def test_a_network_that_makes_no_four_stems_is_refused(home, tmp_path, sources, says):
    with pytest.raises(BadInput, match=says):
        separate.fn(stored(), band_mask(sources, tmp_path / "mine.safetensors"), settings(), 0, "cpu")


@pytest.mark.parametrize("rest", ["other", "accompaniment"])
def test_what_a_network_of_two_sources_does_not_part_is_other(home, tmp_path, rest):
    audio = stored()
    stems = separate.fn(audio, band_mask(["vocals", rest], tmp_path / "mine.safetensors"), settings(), 0, "cpu")
    drums, bass, other, vocals = (
        Store().source(clip).read(0, audio.frames) for clip in (stems.drums, stems.bass, stems.other, stems.vocals)
    )
    assert not drums.any()
    assert not bass.any()
    assert min(np.abs(other).max(), np.abs(vocals).max()) > 1e-3
    np.testing.assert_allclose(other + vocals, Store().source(audio).read(0, audio.frames), atol=1e-4)
    assert stems.parts == ()


def settings():
    from models.separation.settings import SeparateSettings

    return SeparateSettings()
