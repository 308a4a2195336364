"""Rotary against relative attention (Huang et al. 2018) in the Music Transformer, at equal training.

    python benchmarks/positions.py --work WORK [--steps 400] [--songs 20]

`WORK` is a work folder of `flows.training.music_transformer`, with the pieces and the split. Both networks have the
shipped network's first size, the same seed, windows and steps; each is judged by the nats a note of held-out songs.
Prints JSON.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from models.core.solver import TrainingRun
from models.generation.evaluation import likelihood
from models.generation.network import Config, MusicTransformer
from models.generation.training import corpus
from models.generation.training import music_transformer as training


def trained(entries: list[corpus.Entry], positions: str, steps: int) -> tuple[MusicTransformer, int, float]:
    config = replace(Config(), context=512, positions=positions)
    recipe = training.Recipe(config=config, steps=steps, windows=((0.0, 512),), average=0.98)
    with tempfile.TemporaryDirectory() as folder:
        solver = training.solver_of(training.TransformerTraining(entries, recipe), TrainingRun(Path(folder)))
        began = time.process_time()
        solver.train()
    network = MusicTransformer(config)
    network.load_state_dict(solver.averaged.state_dict())
    return network.eval(), solver.step * recipe.events, time.process_time() - began


def evaluate_songs(network: MusicTransformer, held: list[corpus.Entry]) -> dict[str, float]:
    nats = [likelihood.event_probabilities(network, e.piece, e.piece.families, stop=48).nats_per_note() for e in held]
    return likelihood.bootstrap_ci(nats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400, help="of 4,096 events each")
    parser.add_argument("--songs", type=int, default=20, help="held-out songs of each group")
    given = parser.parse_args()
    torch.set_num_threads(1)
    split = json.loads((given.work / "split.json").read_text())
    learnt, held = corpus.train_test_split(corpus.load(given.work / "corpus.npz"), split)
    groups = {"pop909": ("pop909",), "bands": corpus.BANDS}
    found = {}
    for positions in ("rotary", "relative"):
        network, events, seconds = trained(learnt, positions, given.steps)
        found[positions] = {"events": events, "cpu_seconds": round(seconds)} | {
            name: evaluate_songs(network, [e for e in held if e.source in group][: given.songs])
            for name, group in groups.items()
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
