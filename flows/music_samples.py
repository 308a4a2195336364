"""Write what `docs/samples` holds: `python -m flows.music_samples --out docs/samples`.

Five songs of the project's own composing are played on for 16 bars, three get a new band under their melody; each as
MIDI and as Ogg Vorbis (the continuations with the four bars before them, then the new ones).
"""

import argparse
from dataclasses import replace
from pathlib import Path

from prefect import flow, task

from models.records import Grid, Score

CONTINUED, ACCOMPANIED = (0, 1, 2, 3, 4), (0, 2, 5)
BARS, LEAD_IN = 16, 4
RATE = 44_100


@task
def play_on(seed: int, out: Path, transformer: str) -> None:
    """One continuation: MIDI of the new bars alone, sound with the bars that lead into them."""
    from models import registry
    from models.example_song.composition import compose
    from models.grid import carried_on
    from models.music_transformer import PlaySettings, extend, load
    from models.score import joined

    sheet = compose(seed, 30.0)
    network = load(registry.verified(registry.find("music_transformer", transformer)))
    longer, start_s, end_s = carried_on(sheet.grid, sheet.score.end_s, BARS)
    new = extend(sheet.score, longer, start_s, BARS, network, PlaySettings(), seed, "cpu")
    bar_s = (end_s - start_s) / BARS
    _write(joined(sheet.score, new), longer, start_s - LEAD_IN * bar_s, end_s, out / f"continuation_{seed}")


@task
def accompany_melody(seed: int, out: Path, transformer: str) -> None:
    """One accompaniment: the song's melody over the new band."""
    from models import registry
    from models.example_song.composition import compose
    from models.music_transformer import PlaySettings, accompany, load
    from models.score import with_track

    sheet = compose(seed, 30.0)
    melody = sheet.score.track("melody")
    network = load(registry.verified(registry.find("music_transformer", transformer)))
    band = accompany(melody, sheet.grid, sheet.score.end_s, network, PlaySettings(), seed, "cpu")
    flute = None if melody is None else replace(melody, program=73)
    _write(with_track(band, flute), sheet.grid, 0.0, sheet.score.end_s, out / f"accompaniment_{seed}")


def _write(score: Score, grid: Grid, start_s: float, end_s: float, path: Path) -> None:
    """The score as MIDI, and its seconds [start_s, end_s) as sound."""
    import numpy as np
    import soundfile

    from models.midi import to_midi
    from models.rendering import RenderSettings, render

    path.with_suffix(".mid").write_bytes(to_midi(score, grid))
    sound = np.concatenate(list(render(score, int((end_s + 1.5) * RATE), RATE, RenderSettings())), axis=1)
    heard = sound[:, int(start_s * RATE) :]
    heard = heard * min(1.0, 0.9 / max(float(np.abs(heard).max()), 1e-9))
    soundfile.write(path.with_suffix(".ogg"), heard.T, RATE, format="OGG", subtype="VORBIS", compression_level=0.8)


@flow(name="music-samples")
def music_samples(out: Path, transformer: str = "small") -> None:
    """All samples, one after the other."""
    out.mkdir(parents=True, exist_ok=True)
    for seed in CONTINUED:
        play_on(seed, out, transformer)
    for seed in ACCOMPANIED:
        accompany_melody(seed, out, transformer)


def main() -> None:
    """Read the command line and run the flow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--transformer", default="small", help="the weights' name")
    given = parser.parse_args()
    music_samples(given.out, given.transformer)


if __name__ == "__main__":
    main()
