"""Training songs as files: input features and annotated beats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.analysis.beat_tracker.inference import features
from models.analysis.chroma import note_energies, note_spectra
from models.analysis.onset_features import band_spectra
from models.analysis.training.beat_tracker import Example
from models.core.types import Grid, Wave


def song_arrays(grid: Grid, versions: Sequence[Mapping[str, Wave]]) -> dict[str, Any]:
    """A song's arrays to store: its beats, and the input features of each version of its stems (by name)."""
    arrays = {"beats_s": np.array(grid.beats_s), "downbeats_s": np.array(grid.downbeats_s)}
    for number, stems in enumerate(versions):
        notes = note_energies(note_spectra((stems["bass"], stems["other"])))
        arrays[f"features_{number}"] = features(band_spectra(stems["drums"], stems["bass"], stems["other"]), notes)
    return arrays


def examples(path: Path) -> list[Example]:
    """The examples that a file of such arrays holds, one a version."""
    with np.load(path) as arrays:
        beats, downs = arrays["beats_s"], arrays["downbeats_s"]
        return [Example(arrays[name], beats, downs) for name in sorted(arrays.files) if name.startswith("features")]
