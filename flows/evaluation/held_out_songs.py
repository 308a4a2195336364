"""Held-out songs for judging: `python -m flows.evaluation.held_out_songs --work DIR --midi DIR --font FILE --out DIR`.

Writes folders in MUSDB's layout for `remix eval separation`: `rendered_<i>` are bands and voices of the training
material that were kept out of training; with `--stranger FILE`, `stranger_<i>` are a singer who was never trained on,
before bands rendered from seeds that were never drawn. Sound is written as FLAC.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from flows.training.separator_data import band_stems, load_library, read
from models.core.types import Samples
from models.separation.training.augmentation import add_reverb, at_usual_level, crop
from models.separation.training.multitracks import SAMPLE_RATE, Library

SECONDS = 20.0
UNSEEN_BANDS = 100_000
"""Bands from this seed on are rendered for judging alone."""
SPREAD_DB = 3.0
"""How far each stem's loudness may be from what is usual in a song: MIDI files are not mixed, songs are."""


def rendered(library: Library, index: int) -> dict[str, Samples]:
    """A held-out band with a held-out voice in a room. Shapes: (2, frames)."""
    rng = np.random.default_rng((1, index))
    frames = int(SECONDS * SAMPLE_RATE)
    band = library.bands[index % len(library.bands)]
    start = rng.random()
    stems = {name: crop(band.stems[name], rng, frames, 1.0, start) for name in ("drums", "bass", "other")}
    singers = [*library.voices, *library.sung]
    voice = singers[int(rng.integers(len(singers)))]
    return _with_vocals(stems, crop(voice.stems["lead_vocals"], rng, frames, 1.0, None), rng)


def stranger(singer: Path, midi: Path, fonts: list[Path], index: int) -> dict[str, Samples]:
    """The singer of a recording before a band of its own seed. Shapes: (2, frames)."""
    rng = np.random.default_rng((2, index))
    frames = int(SECONDS * SAMPLE_RATE)
    band = band_stems(midi, fonts, UNSEEN_BANDS + index)
    stems = {name: crop(stem, rng, frames, 1.0, 0.5) for name, stem in band.items()}
    return _with_vocals(stems, crop(read(singer).T[:1], rng, frames, 1.0, rng.random()), rng)


def _with_vocals(stems: dict[str, Samples], dry: Samples, rng: np.random.Generator) -> dict[str, Samples]:
    """The stems and vocals in a room, each about as loud as in a usual song, and all of it below full scale."""
    whole = stems | {"vocals": add_reverb(dry, rng)}
    whole = {name: at_usual_level(stem, name, rng, SPREAD_DB) for name, stem in whole.items()}
    peak = float(np.abs(np.sum(list(whole.values()), axis=0)).max())
    return {name: stem * np.float32(0.9 / peak) for name, stem in whole.items()}


def write(stems: dict[str, Samples], folder: Path) -> None:
    """Each stem as 16-bit FLAC."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.flac", stem.T, SAMPLE_RATE, "PCM_16")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="the folder of `flows.training.separator`")
    parser.add_argument("--midi", type=Path, required=True, help="folder of MIDI files to render")
    parser.add_argument("--font", type=Path, action="append", required=True, help="SoundFont; may be given again")
    parser.add_argument("--stranger", type=Path, help="a recording of one singer alone")
    parser.add_argument("--songs", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    a = parser.parse_args()
    unseen = load_library(a.work, held_out=True)
    for number in range(a.songs):
        write(rendered(unseen, number), a.out / "rendered" / f"rendered_{number:02d}")
        if a.stranger:
            write(stranger(a.stranger, a.midi, a.font, number), a.out / "strangers" / f"stranger_{number:02d}")
