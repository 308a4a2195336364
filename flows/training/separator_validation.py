"""Judging a separator on what it never saw: the held-out song, and for the splitter dry voices put in rooms."""

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
from models.separation.settings import PartingSettings
from models.separation.training.augmentation import crop
from models.separation.training.multitracks import SAMPLE_RATE, Library, Multitrack

ROOMS = 12
WET_DB = (-10.0, -2.0)
"""How loud the room is against the voice in the pairs of dry and reverberant singing."""


def judged(network_name: str, network: torch.nn.Module, work: Path) -> dict[str, float]:
    """Figures in dB by name on what was held out: whole-song SDR a source, and the main one's median second."""
    unseen = load_library(work, held_out=True)
    names: list[str] = list(network.sources)  # type: ignore[arg-type]
    truth = true_voices(unseen.songs[0]) if network_name == "lead-backing" else true_sources(unseen.songs[0], names)
    mix = truth.sum(axis=0)
    estimate = _estimated(network, mix)
    figures = {name: sdr_db(truth[row], estimate[row]) for row, name in enumerate(names)}
    main = names.index("lead_vocals" if network_name == "lead-backing" else "vocals")
    frames = frame_sdrs_db(truth[main], estimate[main], SAMPLE_RATE)
    figures[f"{names[main]}, median second"] = float(np.median(frames)) if len(frames) else float("nan")
    if network_name == "lead-backing":
        figures["lead_vocals where both sing, all is lead"] = _both(truth, mix)
        figures["lead_vocals where both sing"] = _both(truth, estimate[0])
        figures |= dried(network, unseen)
    return {name: round(value, 2) for name, value in figures.items()}


def dried(network: torch.nn.Module, unseen: Library) -> dict[str, float]:
    """Mean SDR in dB of held-out dry voices in rooms of another kind than trained on: as they are, and dried."""
    before, after = [], []
    singers = [singer for singer in (*unseen.voices, *unseen.sung) if not singer.wet]
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
    """What the network makes of a mix, as it is used. Shapes: (2, frames) -> (sources, 2, frames)."""
    mixture, settings = Wave(mix, SAMPLE_RATE), PartingSettings()
    blocks = split(mixture, network, settings, seed=0, device="cpu")
    if "lead_vocals" in network.sources:  # type: ignore[operator]
        blocks = reassign_solo_backing(blocks, multi_voice_activity(mixture, settings), SAMPLE_RATE)
    return np.concatenate(list(blocks), axis=2)


def true_sources(song: Multitrack, names: list[str]) -> Samples:
    """A song's true stems as a network of those sources should give them. Shape: (sources, 2, frames)."""
    four = _rows(song, (("drums",), ("bass",), ("other",), ("lead_vocals", "backing_vocals")))
    return expected(four, names)


def true_voices(song: Multitrack) -> Samples:
    """A song's lead and backing vocals, and no room. Shape: (3, 2, frames)."""
    return _rows(song, (("lead_vocals",), ("backing_vocals",), ()))


def _rows(song: Multitrack, rows: tuple[tuple[str, ...], ...]) -> Samples:
    truth = np.zeros((len(rows), 2, song.frames), np.float32)
    for row, stems in enumerate(rows):
        for stem in stems:
            if stem in song.stems:
                truth[row] += song.stems[stem][:, : song.frames].astype(np.float32) / 32768
    return truth


def _both(truth: Samples, lead: Samples) -> float:
    """SDR in dB of the lead over the seconds in which lead and backing both sound."""
    picked = [
        slice(at, at + SAMPLE_RATE)
        for at in range(0, truth.shape[2] - SAMPLE_RATE, SAMPLE_RATE)
        if all(np.square(truth[row, :, at : at + SAMPLE_RATE]).mean() > 1e-5 for row in (0, 1))
    ]
    if not picked:
        return float("nan")
    pairs = [(truth[0, :, s], lead[:, s]) for s in picked]
    return sdr_db(np.concatenate([t for t, _ in pairs], 1), np.concatenate([e for _, e in pairs], 1))
