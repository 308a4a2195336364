"""How well the Music Transformer plays on and accompanies, beside baselines: `remix eval continuation [--midi DIR]`.

Each song gives an 8-bar prompt and the 16 bars that follow it; `models.generation.evaluation.continuation` says what is
measured. Rows: `model`, `real`, `markov`, `repeat`, `other_song`. `whole_songs`: a band for up to 48 bars of each song
from its melody and chords alone, and the song's own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.core import registry
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.generation import PlaySettings
from models.generation.evaluation import continuation
from models.generation.evaluation.accompaniment import evaluate_accompaniments
from models.generation.network import load
from models.generation.tokenizer import Piece
from models.generation.training import corpus

OWN_SONGS = 6
DEFAULTS = PlaySettings()


@dataclass(frozen=True)
class Material:
    """Songs to judge by, songs for the Markov row to learn from (none: each song is judged by the others), a name."""

    held: list[Piece]
    learnt: list[Piece]
    what: str


def evaluate_continuation(
    midi: Path | None = None,
    sources: Sequence[str] = (),
    transformer: str = "small",
    songs: int = 40,
    noisy: int = 0,
    settings: PlaySettings = DEFAULTS,
    seed: int = 0,
    watch: Watch = UNWATCHED,
) -> dict[str, Any]:
    """All figures, JSON-sized, of at most `songs` songs.

    `midi` is a folder of MIDI files, or one that holds the collections the network was trained on, of which only its
    held-out songs are judged (those of `sources`, where any are named). Without it the songs are versions of the
    project's own example song. `noisy`: with so many of the songs it is measured, too, what prompts are worth that were
    played, mixed, taken apart and transcribed. Raises `BadInput` for folders without usable songs, and for
    `sources` that are not there to choose from.
    """
    if sources and midi is None:
        raise BadInput(f"To choose {sources[0]!r} say the folder that holds it, with --midi.")
    entry = registry.find("music_transformer", transformer)
    network = load(registry.verified(entry))
    material = own_songs() if midi is None else _collections(midi, sources, entry.path) or midi_files(midi)
    held = spread(material.held, songs)
    split = 1 - 0.5 * (noisy > 0)
    found = continuation.evaluate(network, held, material.learnt, settings, seed, watch.span(0, 0.6 * split))
    found["whole_songs"] = evaluate_accompaniments(network, held, settings, seed, watch.span(0.6 * split, split))
    found |= {"material": material.what, "transformer": transformer, "sha256": entry.sha256}
    if noisy:
        from flows.evaluation.transcribed_prompts import heard_as, with_melody
        from models.generation.evaluation.robustness import error_rates, evaluate_robustness

        trials = spread(with_melody(held), noisy)
        if len(trials) < 2:
            raise BadInput("Noisy prompts need at least two songs of 24 bars with a melody and a band.")
        heard, hearing = [], watch.span(split, 0.8)
        for i, trial in enumerate(trials):
            hearing.at(i / len(trials))
            heard.append(heard_as(trial.piece, seed=i))
        found["noisy"] = evaluate_robustness(network, heard, settings, seed, watch.span(0.8, 1))
        found["noisy"]["errors_a_note"] = error_rates(heard)
    return found


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly spread."""
    return list(items[:: -(-len(items) // max(most, 1))]) if items else []


def own_songs() -> Material:
    """The example song in several keys and playings; they are alike, so `markov` and `other_song` nearly know them."""
    from models.generation.quantize import quantize
    from models.symbolic.score_ops import without_track
    from models.synthesis.example_song.composition import compose

    sheets = [compose(seed, 60.0) for seed in range(OWN_SONGS)]
    pieces = [quantize(without_track(s.score, "backing_vocals"), s.grid, s.score.end_s)[0].piece for s in sheets]
    return Material(pieces, [], f"the example song in {OWN_SONGS} versions, which are alike; --midi judges by others")


def midi_files(folder: Path) -> Material:
    """Every usable MIDI file below a folder."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".mid", ".midi"))
    if not paths:
        raise BadInput(f"There are no MIDI files in {folder}.")
    pieces = [piece for path in paths if (piece := corpus.piece_of_midi(path, by_name=True)) is not None]
    return Material(pieces, [], f"{len(pieces)} MIDI files in {folder.name}")


def _collections(folder: Path, sources: Sequence[str], weights: Path) -> Material | None:
    """The held-out songs of the training collections, where the folder holds any of them."""
    there = [name for name in corpus.SOURCES if (folder / name).is_dir()]
    if not there:
        if sources:
            raise BadInput(
                f"{folder} holds none of the collections trained on, so no {sources[0]!r} can be chosen there."
            )
        return None
    missing = sorted(set(sources) - set(there))
    if missing:
        raise BadInput(f"There is no {missing[0]!r} in {folder}; there are: {', '.join(there)}.")
    continuation_metrics = weights.with_suffix(".json")
    if not continuation_metrics.is_file():
        raise BadInput(f"Which songs were held out is not known: {continuation_metrics} is missing.")
    chosen = [name for name in (sources or there) if name != "groove"]
    learnt, held = corpus.train_test_split(
        list(corpus.read(folder, chosen)), json.loads(continuation_metrics.read_text())["held_out"]
    )
    known = [e.piece for e in learnt if "-v" not in e.name]
    return Material([e.piece for e in held], known, f"held-out songs of {', '.join(chosen)}")
