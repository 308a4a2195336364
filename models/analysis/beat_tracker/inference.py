"""Input features of the beat tracker, and its logits for a song of any length."""

from typing import TYPE_CHECKING

import numpy as np

from models.analysis import chroma, onset_features
from models.analysis.onset_features import BandSpectra, reference_level
from models.core.dtypes import DoubleArray, FloatArray, HalfArray
from models.core.progress import UNWATCHED, Watch

if TYPE_CHECKING:
    from models.analysis.beat_tracker.network import BeatTracker

HalfArray = HalfArray

FPS = onset_features.FPS / 2
"""Frames a second."""
_NOTES_A_SECOND = chroma.FPS / 2
_LAG = 2
_BLOCK = 4096


def features(spectra: BandSpectra, notes: DoubleArray) -> HalfArray:
    """The network's input features at `FPS`: log-band spectra of each stem, their positive flux, and note energies.

    In units of the song's 99th-percentile level, so that gain does not matter. `notes` are
    `models.analysis.chroma.note_energies`. Shape: (frames, features); memory grows by 5 MB a minute, of which 2 stay.
    """
    reference = reference_level(spectra)
    columns = []
    for stem in (spectra.drums, spectra.bass, spectra.other):
        log = np.log1p(stem * np.float32(100 / reference)) / 2
        rise = np.zeros_like(log)
        rise[_LAG:] = np.maximum(log[_LAG:] - log[:-_LAG], 0)
        columns += [_pairs(log).mean(axis=1).astype(np.float16), _pairs(rise).max(axis=1).astype(np.float16)]
    steps = np.arange(len(columns[0])) / FPS * _NOTES_A_SECOND
    scaled = notes / (np.percentile(notes.max(axis=1), 95) + 1e-9)
    middles = np.arange(len(scaled)) + 0.5
    columns += [np.interp(steps, middles, column).astype(np.float16)[:, None] for column in scaled.T]
    return np.concatenate(columns, axis=1)


def _pairs(rows: FloatArray) -> FloatArray:
    """Two frames each. Shape: (frames, bands) -> (frames / 2, 2, bands)."""
    return np.pad(rows, ((0, len(rows) % 2), (0, 0))).reshape(-1, 2, rows.shape[1])


def predict(inputs: HalfArray, network: "BeatTracker", watch: Watch = UNWATCHED) -> DoubleArray:
    """Logits of a beat and of a downbeat, block by block; equal to those of the whole at once.

    Shape: (frames, features) -> (2, frames).
    """
    import torch

    device, reach = next(network.parameters()).device, network.reach
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs), _BLOCK):
            low, high = max(start - reach, 0), min(start + _BLOCK + reach, len(inputs))
            block = torch.from_numpy(inputs[low:high].T.astype(np.float32)).to(device)
            logits = network(block[None])[0, :, start - low : start - low + _BLOCK]
            parts.append(logits.double().cpu().numpy())
            watch.at(min(start + _BLOCK, len(inputs)) / len(inputs))
    return np.concatenate(parts, axis=1)
