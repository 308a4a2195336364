"""Sounding files of every kind, made on the spot, and ways to spoil them."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from models.audio.ffmpeg import ffmpeg_binary
from tests.support.lying_files import flac_bomb, length_lied, playlist, script

KINDS = ("wav", "flac", "aiff", "mp3", "ogg", "opus", "m4a")


def chord(seconds: float, sample_rate: int = 44100, channels: int = 2) -> NDArray[np.float32]:
    """Three sines and a little noise, another in each channel; shape (frames, channels), peak under 0.8."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    noise = np.random.default_rng(7).standard_normal((len(t), channels)) * 0.01
    tones = [sum(np.sin(2 * np.pi * f * (1 + c / 8) * t) for f in (220, 277.2, 329.6)) / 4 for c in range(channels)]
    return (np.stack(tones, axis=1) + noise).astype(np.float32)


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg, which must succeed."""
    subprocess.run([ffmpeg_binary(), "-v", "error", "-y", "-nostdin", *map(str, arguments)], check=True)


def sound(path: Path, seconds: float = 2.0, sample_rate: int = 44100, channels: int = 2, subtype: str = "") -> Path:
    """A sounding file of the kind its name says; `subtype` (as soundfile names them) is of the WAV it is made from."""
    source = path if path.suffix == ".wav" else path.with_name(f"{path.name}.source.wav")
    soundfile.write(source, chord(seconds, sample_rate, channels), sample_rate, subtype or "PCM_16", format="WAVEX")
    if source != path:
        ffmpeg("-i", source, "-map_metadata", "-1", path)
        source.unlink()
    return path


def bits_flipped(data: bytes, rng: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    for place in rng.integers(len(data), size=20):
        spoilt[place] ^= 1 << int(rng.integers(8))
    return bytes(spoilt)


def cut_short(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(1, len(data) * 9 // 10))]


def header_spoilt(data: bytes, rng: np.random.Generator) -> bytes:
    """Random bytes where lengths and formats are told."""
    spoilt = bytearray(data)
    for place in rng.integers(4, 80, size=6):
        spoilt[place] = int(rng.integers(256))
    return bytes(spoilt)


def hole_torn(data: bytes, rng: np.random.Generator) -> bytes:
    """A third of the file is noise."""
    start = int(rng.integers(len(data) // 3, len(data) // 2))
    return data[:start] + rng.bytes(len(data) // 3) + data[start + len(data) // 3 :]


SPOILT: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    bits_flipped, cut_short, header_spoilt, hole_torn,
)  # fmt: skip
NO_SONGS = ("flac_bomb", "playlist", "script")
"""The kinds of malformed files that must be refused; of the others one or the other may be whole enough."""
WAYS = (*(way.__name__ for way in SPOILT), "length_lied", *NO_SONGS)
NOWHERE = "http://127.0.0.1:9/song.wav"


def malformed(folder: Path, count: int, seed: int = 0, url: str = NOWHERE) -> Iterator[Path]:
    """So many malformed files, each kind and each way in turn; equal seeds give equal files, but for the names in them.

    Playlists name a good song, `named/song.wav` in the folder or what is at the URL; a script that were run would
    leave the file `ran`.
    """
    rng = np.random.default_rng(seed)
    whole = {kind: sound(folder / f"whole.{kind}", 1.5).read_bytes() for kind in KINDS}
    (folder / "named").mkdir()
    song = sound(folder / "named" / "song.wav")
    for index in range(count):
        kind, turn, way = KINDS[index % len(KINDS)], index // len(WAYS), WAYS[index % len(WAYS)]
        if way == "length_lied":
            content = length_lied(kind, whole[kind], turn, rng)
        elif way == "flac_bomb":
            kind, content = ("flac", flac_bomb(folder, turn))
        elif way == "playlist":
            kind, content = playlist(song, url, turn)
        elif way == "script":
            kind, content = script(folder / "ran", url, turn)
        else:
            content = SPOILT[index % len(WAYS)](whole[kind], rng)
        path = folder / f"{index:03d}-{way}.{kind}"
        path.write_bytes(content)
        yield path


@contextmanager
def web_site(song: Path) -> Iterator[tuple[str, list[str]]]:
    """An address on this machine that answers with a good song; yields it, and what was asked for there."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(song.read_bytes())

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/song.wav", asked
        finally:
            server.shutdown()
