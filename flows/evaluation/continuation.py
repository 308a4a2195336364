"""Evaluation of continuations and accompaniments beside baselines: `remix eval continuation [--midi DIR]`.

Each song gives an 8-bar prompt and the 16 bars that follow it; `models.generation.evaluation.continuation` defines
the metrics. Rows: `model`, `real`, `markov`, `repeat`, `other_song`. `whole_songs`: a band for up to 48 bars of each
song from its melody and chords alone, and the song's own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.core import registry
from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.generation import GenerateSettings
from models.generation.evaluation import continuation
from models.generation.evaluation.accompaniment import evaluate_accompaniments
from models.generation.evaluation.robustness import error_rates, evaluate_robustness
from models.generation.network import load
from models.generation.tokenizer import Piece
from models.generation.training import corpus
from models.generation.training.transcription_noise import TranscribedPiece

OWN_SONGS = 6
DEFAULTS = GenerateSettings()


@dataclass(frozen=True)
class Material:
    """Songs to evaluate on, songs for the Markov baseline to learn from (none: the others of those), a description."""

    held_out: list[Piece]
    training: list[Piece]
    description: str


def evaluate_continuation(
    midi: Path | None = None,
    sources: Sequence[str] = (),
    transformer: str = "small",
    songs: int = 40,
    noisy: int = 0,
    settings: GenerateSettings = DEFAULTS,
    seed: int = 0,
    watch: Watch = UNWATCHED,
) -> dict[str, Any]:
    """All metrics, JSON-sized, of at most `songs` songs.

    `midi` is a folder of MIDI files, or one that holds the collections the network was trained on, of which only its
    held-out songs are used (those of `sources`, if given). Without it the songs are versions of the project's own
    example song. With `noisy` not 0, continuations of prompts with transcription noise are evaluated as well: so many
    of the songs are rendered, mixed, separated and transcribed. Raises `BadInput` for folders without usable songs, and
    for `sources` that are not in the folder.
    """
    if sources and midi is None:
        raise BadInput(f"To choose {sources[0]!r} say the folder that holds it, with --midi.")
    entry = registry.find("music_transformer", transformer)
    network = load(registry.verified(entry))
    material = own_songs() if midi is None else _collections(midi, sources, entry.path) or midi_files(midi)
    held_out = spread(material.held_out, songs)
    split = 1 - 0.5 * (noisy > 0)
    metrics = continuation.summarize(
        continuation.evaluate_songs(network, held_out, material.training, settings, seed, watch.span(0, 0.6 * split))
    )
    metrics["whole_songs"] = evaluate_accompaniments(network, held_out, settings, seed, watch.span(0.6 * split, split))
    metrics |= {"material": material.description, "transformer": transformer, "sha256": entry.sha256}
    if noisy:
        prompts = _noisy_prompts(held_out, noisy, watch.span(split, 0.8))
        metrics["noisy"] = evaluate_robustness(network, prompts, settings, seed, watch.span(0.8, 1))
        metrics["noisy"]["errors_a_note"] = error_rates(prompts)
    return metrics


def _noisy_prompts(held_out: list[Piece], count: int, watch: Watch) -> list[TranscribedPiece]:
    """At most `count` excerpts with their transcriptions."""
    from flows.evaluation.transcribed_prompts import transcribed_piece, with_melody

    excerpts = spread(with_melody(held_out), count)
    if len(excerpts) < 2:
        raise BadInput("Noisy prompts need at least two songs of 24 bars with a melody and a band.")
    pieces = []
    for i, excerpt in enumerate(excerpts):
        watch.at(i / len(excerpts))
        pieces.append(transcribed_piece(excerpt.piece, seed=i))
    return pieces


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly spread."""
    return list(items[:: -(-len(items) // max(most, 1))]) if items else []


def own_songs() -> Material:
    """The example song in several keys and arrangements, so alike that `markov` and `other_song` nearly know them."""
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
    present = [name for name in corpus.SOURCES if (folder / name).is_dir()]
    if not present:
        if sources:
            raise BadInput(
                f"{folder} holds none of the collections trained on, so no {sources[0]!r} can be chosen there."
            )
        return None
    missing = sorted(set(sources) - set(present))
    if missing:
        raise BadInput(f"There is no {missing[0]!r} in {folder}; there are: {', '.join(present)}.")
    continuation_metrics = weights.with_suffix(".json")
    if not continuation_metrics.is_file():
        raise BadInput(f"Which songs were held out is not known: {continuation_metrics} is missing.")
    chosen = [name for name in (sources or present) if name != "groove"]
    training, held_out = corpus.train_test_split(
        list(corpus.read(folder, chosen)), json.loads(continuation_metrics.read_text())["held_out"]
    )
    known = [e.piece for e in training if "-v" not in e.name]
    return Material([e.piece for e in held_out], known, f"held-out songs of {', '.join(chosen)}")
