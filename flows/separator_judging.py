"""Judging a separator on what it never saw: the held-out song's true stems."""

from pathlib import Path

import numpy as np
import torch

from flows.separator_material import load_library
from models.demucs.split import SplitSettings, split
from models.records import Samples, Wave
from models.separation_data import RATE, Piece
from models.separation_metrics import frame_sdrs_db, sdr_db


def judged(network_name: str, network: torch.nn.Module, work: Path) -> dict[str, float]:
    """Figures in dB by name on the held-out song: whole-song SDR a source, and the vocals' median second."""
    song = load_library(work, held_out=True).songs[0]
    truth = true_sources(song, network_name)
    names = list(network.sources)  # type: ignore[arg-type]
    mix = Wave(truth.sum(axis=0), RATE)
    estimate = np.concatenate(list(split(mix, network, SplitSettings(), seed=0, device="cpu")), axis=2)
    figures = {name: sdr_db(truth[row], estimate[row]) for row, name in enumerate(names)}
    main = len(names) - 1 if network_name == "band-mask" else 0
    frames = frame_sdrs_db(truth[main], estimate[main], RATE)
    figures[f"{names[main]}, median second"] = float(np.median(frames)) if len(frames) else float("nan")
    if network_name == "lead-backing":
        figures["lead_vocals where both sing, all is lead"] = _both(truth, mix.samples)
        figures["lead_vocals where both sing"] = _both(truth, estimate[0])
    return {name: round(value, 2) for name, value in figures.items()}


def true_sources(song: Piece, network_name: str) -> Samples:
    """A song's true sources in the network's order. Shape: (sources, 2, frames)."""
    rows = (
        (("drums",), ("bass",), ("other",), ("lead_vocals", "backing_vocals"))
        if network_name != "lead-backing"
        else (("lead_vocals",), ("backing_vocals",), ())
    )
    truth = np.zeros((len(rows), 2, song.frames), np.float32)
    for row, stems in enumerate(rows):
        for stem in stems:
            if stem in song.stems:
                truth[row] += song.stems[stem][:, : song.frames].astype(np.float32) / 32768
    return truth


def _both(truth: Samples, lead: Samples) -> float:
    """SDR in dB of the lead over the seconds in which lead and backing both sound."""
    picked = [
        slice(at, at + RATE)
        for at in range(0, truth.shape[2] - RATE, RATE)
        if all(np.square(truth[row, :, at : at + RATE]).mean() > 1e-5 for row in (0, 1))
    ]
    if not picked:
        return float("nan")
    pairs = [(truth[0, :, s], lead[:, s]) for s in picked]
    return sdr_db(np.concatenate([t for t, _ in pairs], 1), np.concatenate([e for _, e in pairs], 1))
