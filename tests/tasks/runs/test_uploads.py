"""Songs handed in: by digest, within limits, decoded apart; and names where paths might be tried."""

import time
from pathlib import Path

import pytest

from models.core.errors import BadInput
from tasks.cache import remote_store
from tasks.cache.remote_store import RemoteStore, StoreUnreachable
from tasks.runs import folders, uploads
from tasks.runs.uploads import decoded_apart, file_name, find_upload, hand_in
from tests.support.hostile import NO_SONGS, WAYS, malformed, sound, web_site

pytestmark = pytest.mark.usefixtures("home")


def test_a_song_is_kept_by_its_bytes_and_found_by_their_digest(tmp_path):
    song = sound(tmp_path / "a song.wav")
    upload = hand_in(song)
    assert upload.title == "a song"
    song.rename(tmp_path / "renamed.wav")
    assert hand_in(tmp_path / "renamed.wav") == upload
    assert find_upload(upload.sha256) == upload
    taken = decoded_apart(upload.path)
    assert taken.title == "a song"
    assert taken.audio.sample_rate == 44_100


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """A folder that machines share."""
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setenv("REMIX_STORE", f"file://{folder}")
    remote_store._opened.cache_clear()
    return folder


def on_another_machine(sha256: str, monkeypatch, home: Path) -> Path:
    """Where the upload lies once a machine that has nothing of its own has found it."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("REMIX_HOME", str(home))
        return find_upload(sha256).path


def test_an_upload_from_before_there_was_a_shared_store_is_shared_when_it_is_handed_in_again(
    tmp_path, store, monkeypatch
):
    song = sound(tmp_path / "a song.wav")
    with monkeypatch.context() as before:
        before.delenv("REMIX_STORE")
        upload = hand_in(song)
    assert hand_in(song) == upload
    assert on_another_machine(upload.sha256, monkeypatch, tmp_path / "b").read_bytes() == song.read_bytes()


def test_an_upload_that_could_not_be_pushed_is_pushed_the_next_time(tmp_path, store, monkeypatch):
    song = sound(tmp_path / "a song.wav")

    def away(*given):
        raise StoreUnreachable("The shared store cannot be reached.")

    with monkeypatch.context() as broken:
        broken.setattr(RemoteStore, "push", away)
        with pytest.raises(StoreUnreachable):
            hand_in(song)
    assert not list(store.rglob("*.wav"))
    upload = hand_in(song)
    assert on_another_machine(upload.sha256, monkeypatch, tmp_path / "b").name == "a song.wav"


def test_a_spoilt_upload_in_the_shared_store_is_no_song_until_it_is_handed_in_again(tmp_path, store, monkeypatch):
    song = sound(tmp_path / "a song.wav")
    upload = hand_in(song)
    (there,) = store.rglob("*.wav")
    there.write_bytes(b"other bytes")
    with pytest.raises(BadInput, match="was handed in"):
        on_another_machine(upload.sha256, monkeypatch, tmp_path / "b")
    assert not list((tmp_path / "b").rglob("*.wav"))
    hand_in(song)
    assert on_another_machine(upload.sha256, monkeypatch, tmp_path / "b").read_bytes() == song.read_bytes()


@pytest.mark.parametrize(
    "name", ["", "..", "/etc/passwd", "http://x/y", "file:///etc/passwd", "a" * 63, "A" * 64, "0" * 64]
)
def test_nothing_but_the_digest_of_an_upload_names_a_song(name):
    with pytest.raises(BadInput, match=r"digest"):
        find_upload(name)


@pytest.mark.parametrize("name", ["", "..", "../inbox", "/etc", "http://x", "a/b", "inbox\n", "other"])
def test_nothing_but_a_registered_name_names_a_folder(name):
    with pytest.raises(BadInput, match=r"registered"):
        folders.find_folder(name)


def test_a_folders_songs_are_those_in_it_and_no_links_out_of_it(tmp_path):
    secret = sound(tmp_path / "secret.wav")
    folder = tmp_path / "music"
    (folder / "album").mkdir(parents=True)
    inside = sound(folder / "album" / "one.wav")
    (folder / "out.wav").symlink_to(secret)
    (folder / "again.wav").symlink_to(inside)
    (folder / "notes.txt").write_text("no song")
    folders.register("music", folder)
    assert [path.name for path in folders.songs_in("music")] == ["again.wav", "one.wav"]
    with pytest.raises(BadInput, match="stands for"):
        folders.register("music", tmp_path)
    folders.forget("music")
    assert set(folders.folders()) == {"inbox"}
    with pytest.raises(BadInput, match="not there"):
        folders.songs_in("inbox")


def test_a_file_too_large_is_refused_before_it_is_kept(tmp_path, home, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BYTES", 1000)
    with pytest.raises(BadInput, match="MiB"):
        hand_in(sound(tmp_path / "large.wav"))
    assert not list(home.rglob("*.wav"))


@pytest.mark.parametrize("given", ["../../x.wav", "/x.wav", "a\\..\\x.wav", ".x.wav", "\x00\nx.wav"])
def test_a_files_name_is_one_harmless_name(given):
    assert file_name(given) == "x.wav"


def test_a_decoder_that_takes_too_long_or_too_much_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "_SECONDS", 0.01)
    with pytest.raises(BadInput, match="more time or memory"):
        decoded_apart(sound(tmp_path / "slow.wav"))


def test_a_known_song_is_not_decoded_again_whatever_its_file_is_called(tmp_path, monkeypatch):
    song = sound(tmp_path / "one.wav")
    taken = decoded_apart(song)
    with monkeypatch.context() as without:
        without.setattr(uploads, "_decoder", lambda path: pytest.fail("it is decoded again"))
        again = decoded_apart(song.rename(tmp_path / "two.wav"))
    assert (again.title, again.audio) == ("two", taken.audio)


def refused_or_whole(path: Path) -> str:
    """Why a hostile file was refused, or "" where it could be decoded; any other end of it is a fault."""
    started = time.monotonic()
    try:
        decoded_apart(path)
        return ""
    except BadInput as reason:
        return str(reason)
    finally:
        print(f"{path.name}: {time.monotonic() - started:.1f} s")


def test_files_that_are_no_songs_are_refused_with_a_word_and_nothing_they_name_is_read(tmp_path, home):
    with web_site(sound(tmp_path / "good.wav")) as (url, asked):
        for path in list(malformed(tmp_path, 3 * len(WAYS), url=url)):
            if path.stem.endswith(("playlist", "script")):
                why = refused_or_whole(path)
                assert why.startswith(path.name), "no word of where it lies"
                assert "\n" not in why
        assert not asked
    assert not (tmp_path / "ran").exists()


@pytest.mark.service
def test_malformed_files_are_refused_and_nothing_is_left(tmp_path, home):
    """Each in the time that its decoder has: what runs into that limit is refused in other words."""
    with web_site(sound(tmp_path / "good.wav")) as (url, asked):
        ends = {path.name: refused_or_whole(path) for path in malformed(tmp_path, 20, url=url)}
        assert not asked
    assert {name.split("-")[1].split(".")[0] for name in ends} == set(WAYS)
    assert not [name for name, why in ends.items() if not why and any(way in name for way in NO_SONGS)]
    assert sum(bool(why) for why in ends.values()) >= 12
    assert not [name for name, why in ends.items() if "more time or memory" in why]
    assert not list((home / "tmp").glob("*"))
    assert not (tmp_path / "ran").exists()
    assert decoded_apart(tmp_path / "named" / "song.wav").audio.frames > 44_100
