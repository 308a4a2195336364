"""Write what `docs/samples` holds: `python -m flows.evaluation.music_samples --out docs/samples`.

Five prompts of the project's own composing are continued for 16 bars, three melodies are accompanied; each as MIDI and
as Ogg Vorbis (the continuations with the four bars before them, then the new ones).
"""

import argparse
from dataclasses import replace
from pathlib import Path

from prefect import flow, task

from models.core.types import Grid, Score

CONTINUED: dict[str, tuple[str, ...]] = {
    "continuation_0_whole_song": ("drums", "bass", "other", "melody"),
    "continuation_1_whole_song": ("drums", "bass", "other", "melody"),
    "continuation_2_without_melody": ("drums", "bass", "other"),
    "continuation_3_melody_alone": ("melody",),
    "continuation_4_nothing_but_key_and_chords": (),
}
"""Each sample, and the tracks of the song that its prompt has; the number is the song's seed."""
ACCOMPANIED: dict[str, tuple[str, ...]] = {
    "accompaniment_0": (),
    "accompaniment_2": (),
    "accompaniment_5_drums_kept": ("drums",),
}
"""Each sample, and the tracks of the song that are kept beside its melody."""
BARS, LEAD_IN = 16, 4
RATE = 44_100


@task
def play_on(name: str, tracks: tuple[str, ...], out: Path, transformer: str) -> None:
    """One continuation: MIDI of the song and the new bars, sound from the bars that lead into these."""
    from models.core import registry
    from models.generation import GenerateSettings, Sampler, extend
    from models.generation.generate import DEFAULT_BAND
    from models.generation.network import load
    from models.symbolic.beat_map import extend_grid
    from models.symbolic.score_ops import merge_scores
    from models.synthesis.example_song.composition import compose

    seed = int(name.split("_")[1])
    sheet = compose(seed, 30.0)
    prompt = Score(tuple(t for t in sheet.score.tracks if t.name in tracks))
    settings = GenerateSettings(tracks=("melody", *DEFAULT_BAND)) if tracks == ("melody",) else GenerateSettings()
    network = load(registry.verified(registry.find("music_transformer", transformer)))
    longer, start_s, end_s = extend_grid(sheet.grid, sheet.score.end_s, BARS)
    new = extend(prompt, longer, start_s, BARS, Sampler(network, settings, seed, "cpu"))
    bar_s = (end_s - start_s) / BARS
    lead_in = LEAD_IN if prompt.tracks else 0
    _write(merge_scores(prompt, new), longer, start_s - lead_in * bar_s, end_s, out / name)


@task
def accompany_melody(name: str, kept: tuple[str, ...], out: Path, transformer: str) -> None:
    """One accompaniment: the song's melody and what is kept of it over the new band."""
    from models.core import registry
    from models.generation import GenerateSettings, Sampler, accompany
    from models.generation.network import load
    from models.symbolic.score_ops import merge_scores, with_track
    from models.synthesis.example_song.composition import compose

    seed = int(name.split("_")[1])
    sheet = compose(seed, 30.0)
    keep = Score(tuple(t for t in sheet.score.tracks if t.name in kept))
    melody = sheet.score.track("melody")
    network = load(registry.verified(registry.find("music_transformer", transformer)))
    band = accompany(
        melody, sheet.grid, sheet.score.end_s, Sampler(network, GenerateSettings(), seed, "cpu"), keep=keep
    )
    flute = None if melody is None else replace(melody, program=73)
    _write(with_track(merge_scores(keep, band), flute), sheet.grid, 0.0, sheet.score.end_s, out / name)


def _write(score: Score, grid: Grid, start_s: float, end_s: float, path: Path) -> None:
    """The score as MIDI, and its seconds [start_s, end_s) as sound."""
    import numpy as np
    import soundfile

    from models.symbolic.midi import to_midi
    from models.synthesis.settings import RenderSettings
    from models.synthesis.soundfont import render

    path.with_suffix(".mid").write_bytes(to_midi(score, grid))
    sound = np.concatenate(list(render(score, int((end_s + 1.5) * RATE), RATE, RenderSettings())), axis=1)
    excerpt = sound[:, int(start_s * RATE) :]
    excerpt = excerpt * min(1.0, 0.9 / max(float(np.abs(excerpt).max()), 1e-9))
    soundfile.write(path.with_suffix(".ogg"), excerpt.T, RATE, format="OGG", subtype="VORBIS", compression_level=0.95)


@flow(name="music-samples")
def music_samples(out: Path, transformer: str = "small") -> None:
    """All samples, one after the other."""
    out.mkdir(parents=True, exist_ok=True)
    for name, tracks in CONTINUED.items():
        play_on(name, tracks, out, transformer)
    for name, kept in ACCOMPANIED.items():
        accompany_melody(name, kept, out, transformer)


def main() -> None:
    """Read the command line and run the flow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--transformer", default="small", help="the weights' name")
    given = parser.parse_args()
    music_samples(given.out, given.transformer)


if __name__ == "__main__":
    main()
