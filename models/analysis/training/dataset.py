"""Songs to train on as files: what the network is given of each, and its beats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.analysis.beat_tracker.inference import features
from models.analysis.chroma import note_energies, note_spectra
from models.analysis.onset_features import band_spectra
from models.analysis.training.beat_tracker import Example
from models.core.types import Grid, Wave


def heard(grid: Grid, ways: Sequence[Mapping[str, Wave]]) -> dict[str, Any]:
    """A song as arrays to keep: its beats, and what is heard of each of its ways (stems by name)."""
    arrays = {"beats_s": np.array(grid.beats_s), "downbeats_s": np.array(grid.downbeats_s)}
    for number, stems in enumerate(ways):
        notes = note_energies(note_spectra((stems["bass"], stems["other"])))
        arrays[f"features_{number}"] = features(band_spectra(stems["drums"], stems["bass"], stems["other"]), notes)
    return arrays


def examples(path: Path) -> list[Example]:
    """The examples that a file of such arrays holds, one a way."""
    with np.load(path) as kept:
        beats, downs = kept["beats_s"], kept["downbeats_s"]
        return [Example(kept[name], beats, downs) for name in sorted(kept.files) if name.startswith("features")]
