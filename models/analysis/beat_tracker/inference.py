"""What the network is given of a band, and what it says of a whole song."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.analysis import chroma, onset_features
from models.analysis.onset_features import BandSpectra, loudest
from models.core.progress import UNWATCHED, Watch

if TYPE_CHECKING:
    from models.analysis.beat_tracker.network import BeatTracker

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Halves = NDArray[np.float16]

FPS = onset_features.FPS / 2
"""Frames a second."""
_NOTES_A_SECOND = chroma.FPS / 2
_LAG = 2
_BLOCK = 4096


def features(spectra: BandSpectra, notes: Doubles) -> Halves:
    """What the network is given, `FPS` times a second: band spectra as they are and as they rise, and note energies.

    All in units of the song's loud places, so that gain does not matter. `notes` are `models.analysis.chroma.note_energies`.
    Shape: (frames, features); memory grows by 5 MB a minute, of which 2 stay.
    """
    loud = loudest(spectra)
    columns = []
    for stem in (spectra.drums, spectra.bass, spectra.other):
        log = np.log1p(stem * np.float32(100 / loud)) / 2
        rise = np.zeros_like(log)
        rise[_LAG:] = np.maximum(log[_LAG:] - log[:-_LAG], 0)
        columns += [_pairs(log).mean(axis=1).astype(np.float16), _pairs(rise).max(axis=1).astype(np.float16)]
    steps = np.arange(len(columns[0])) / FPS * _NOTES_A_SECOND
    known = notes / (np.percentile(notes.max(axis=1), 95) + 1e-9)
    middles = np.arange(len(known)) + 0.5
    columns += [np.interp(steps, middles, column).astype(np.float16)[:, None] for column in known.T]
    return np.concatenate(columns, axis=1)


def _pairs(rows: Floats) -> Floats:
    """Two frames each. Shape: (frames, bands) -> (frames / 2, 2, bands)."""
    return np.pad(rows, ((0, len(rows) % 2), (0, 0))).reshape(-1, 2, rows.shape[1])


def hear(given: Halves, network: "BeatTracker", watch: Watch = UNWATCHED) -> Doubles:
    """The log-odds of a beat and of a downbeat, block by block; equal to what the network says of the whole at once.

    Shape: (frames, features) -> (2, frames).
    """
    import torch

    device, reach = next(network.parameters()).device, network.reach
    parts = []
    with torch.inference_mode():
        for start in range(0, len(given), _BLOCK):
            low, high = max(start - reach, 0), min(start + _BLOCK + reach, len(given))
            block = torch.from_numpy(given[low:high].T.astype(np.float32)).to(device)
            said = network(block[None])[0, :, start - low : start - low + _BLOCK]
            parts.append(said.double().cpu().numpy())
            watch.at(min(start + _BLOCK, len(given)) / len(given))
    return np.concatenate(parts, axis=1)
