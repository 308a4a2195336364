"""Validation of a separator on held-out data: the held-out song, and for the splitter reverberated dry voices."""

from pathlib import Path

import numpy as np
import torch
from scipy.signal import oaconvolve

from flows.evaluation.separation import expected
from flows.training.separator_data import load_library
from models.audio.reverb import room_impulse_response
from models.core.types import Samples, Wave
from models.separation.evaluation.metrics import frame_sdrs_db, sdr_db
from models.separation.lead_backing import multi_voice_activity, reassign_solo_backing
from models.separation.separate import split
from models.separation.settings import SplitVocalsSettings
from models.separation.training.augmentation import crop
from models.separation.training.multitracks import SAMPLE_RATE, Library, Multitrack

ROOMS = 12
WET_DB = (-10.0, -2.0)
"""Level of the reverberation relative to the voice in the pairs of dry and reverberant singing."""


def held_out_metrics(network_name: str, network: torch.nn.Module, work: Path) -> dict[str, float]:
    """Metrics in dB by name on the held-out data: whole-song SDR a source, and the main one's median over seconds."""
    held_out = load_library(work, held_out=True)
    names: list[str] = list(network.sources)  # type: ignore[arg-type]
    reference = (
        reference_voices(held_out.songs[0])
        if network_name == "lead-backing"
        else reference_sources(held_out.songs[0], names)
    )
    mix = reference.sum(axis=0)
    estimate = _estimated(network, mix)
    metrics = {name: sdr_db(reference[row], estimate[row]) for row, name in enumerate(names)}
    main = names.index("lead_vocals" if network_name == "lead-backing" else "vocals")
    frames = frame_sdrs_db(reference[main], estimate[main], SAMPLE_RATE)
    metrics[f"{names[main]}, median second"] = float(np.median(frames)) if len(frames) else float("nan")
    if network_name == "lead-backing":
        metrics["lead_vocals where both sing, all is lead"] = _sdr_where_both_sing(reference, mix)
        metrics["lead_vocals where both sing"] = _sdr_where_both_sing(reference, estimate[0])
        metrics |= dereverberation_sdrs(network, held_out)
    return {name: round(value, 2) for name, value in metrics.items()}


def dereverberation_sdrs(network: torch.nn.Module, held_out: Library) -> dict[str, float]:
    """Mean SDR in dB of held-out dry voices in rooms unlike those in training: as they are, and dereverberated."""
    before, after = [], []
    singers = [singer for singer in (*held_out.voices, *held_out.sung) if not singer.wet]
    for index in range(ROOMS):
        rng = np.random.default_rng((3, index))
        dry = crop(singers[index % len(singers)].stems["lead_vocals"], rng, 8 * SAMPLE_RATE, 1.0, None)
        response = room_impulse_response(float(rng.uniform(0.4, 2.0)), SAMPLE_RATE, index)
        wet = np.asarray(oaconvolve(dry, response, axes=1)[:, : dry.shape[1]], np.float32)
        level = np.sqrt(np.square(dry).mean() / np.square(wet).mean()) * 10 ** (rng.uniform(*WET_DB) / 20)
        mix = dry + np.float32(level) * wet
        before.append(sdr_db(dry, mix))
        after.append(sdr_db(dry, _estimated(network, mix)[0]))
    return {"reverberant": float(np.mean(before)), "dried": float(np.mean(after))}


def _estimated(network: torch.nn.Module, mix: Samples) -> Samples:
    """The network's estimate from a mix, as in a remix. Shapes: (2, frames) -> (sources, 2, frames)."""
    mixture, settings = Wave(mix, SAMPLE_RATE), SplitVocalsSettings()
    blocks = split(mixture, network, settings, seed=0, device="cpu")
    if "lead_vocals" in network.sources:  # type: ignore[operator]
        blocks = reassign_solo_backing(blocks, multi_voice_activity(mixture, settings), SAMPLE_RATE)
    return np.concatenate(list(blocks), axis=2)


def reference_sources(song: Multitrack, names: list[str]) -> Samples:
    """A song's stems grouped as a network of those sources estimates them. Shape: (sources, 2, frames)."""
    four = _rows(song, (("drums",), ("bass",), ("other",), ("lead_vocals", "backing_vocals")))
    return expected(four, names)


def reference_voices(song: Multitrack) -> Samples:
    """A song's lead and backing vocals, and no room. Shape: (3, 2, frames)."""
    return _rows(song, (("lead_vocals",), ("backing_vocals",), ()))


def _rows(song: Multitrack, rows: tuple[tuple[str, ...], ...]) -> Samples:
    reference = np.zeros((len(rows), 2, song.frames), np.float32)
    for row, stems in enumerate(rows):
        for stem in stems:
            if stem in song.stems:
                reference[row] += song.stems[stem][:, : song.frames].astype(np.float32) / 32768
    return reference


def _sdr_where_both_sing(reference: Samples, lead: Samples) -> float:
    """SDR in dB of the lead over the seconds in which lead and backing are both active."""
    active = [
        slice(at, at + SAMPLE_RATE)
        for at in range(0, reference.shape[2] - SAMPLE_RATE, SAMPLE_RATE)
        if all(np.square(reference[row, :, at : at + SAMPLE_RATE]).mean() > 1e-5 for row in (0, 1))
    ]
    if not active:
        return float("nan")
    pairs = [(reference[0, :, s], lead[:, s]) for s in active]
    return sdr_db(np.concatenate([t for t, _ in pairs], 1), np.concatenate([e for _, e in pairs], 1))
