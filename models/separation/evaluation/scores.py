"""All separation metrics of every source, and the baselines: mixture over N, ideal ratio masks."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from scipy import fft

from models.core.dtypes import DoubleArray, FloatArray
from models.core.types import Samples
from models.separation.evaluation.metrics import frame_sdrs_db, sdr_db, si_sdr_db

WINDOW, HOP = 4096, 1024
SILENCE_DB = 0.0
"""The SDR of silence: its error is the source itself."""


@dataclass(frozen=True)
class SourceScores:
    """One source's scores in dB, nan where the reference is silent.

    `sdr` and `si_sdr` are over the whole song; `gain` is `sdr` minus that of the better trivial estimate, silence or a
    quarter of the mix; `second_sdr` is the median over one-second frames that are not silent;
    `bss_sdr`, `bss_sir`, `bss_sar`, `bss_isr` are BSS Eval v4's medians over seconds, nan where not asked for.
    """

    source: str
    sdr: float
    gain: float
    si_sdr: float
    second_sdr: float
    bss_sdr: float
    bss_sir: float
    bss_sar: float
    bss_isr: float


def scores(
    sources: Sequence[str], reference: Samples, estimate: Samples, sample_rate: int, bss_eval: bool = False
) -> tuple[SourceScores, ...]:
    """The scores of each source. Shapes: (sources, channels, frames) both.

    BSS Eval v4 (Vincent et al., 2006; Stöter et al., 2018) takes about a minute for each minute of four sources.
    """
    nan = float("nan")
    share = reference.sum(axis=0) / np.float32(4)
    medians = bss_eval_v4(reference, estimate, sample_rate) if bss_eval else np.full((4, len(sources)), nan)
    result = []
    for row, name in enumerate(sources):
        seconds = frame_sdrs_db(reference[row], estimate[row], sample_rate)
        second = float(np.median(seconds)) if len(seconds) else nan
        whole, invariant = sdr_db(reference[row], estimate[row]), si_sdr_db(reference[row], estimate[row])
        gain = whole - max(SILENCE_DB, sdr_db(reference[row], share))
        result.append(
            SourceScores(name, whole, gain, invariant, second, *(float(medians[k, row]) for k in (0, 2, 3, 1)))
        )
    return tuple(result)


def bss_eval_v4(reference: Samples, estimate: Samples, sample_rate: int) -> DoubleArray:
    """BSS Eval v4's SDR, ISR, SIR, SAR in dB, medians over one-second windows. Shape: (4, sources).

    A silent source is nan, since the metrics are undefined for it.
    """
    audible = [row for row in range(len(reference)) if np.square(reference[row], dtype=np.float64).sum() > 1e-8]
    result = np.full((4, len(reference)), np.nan)
    if audible:
        pairs = [np.moveaxis(part[audible].astype(np.float64), 1, 2) for part in (reference, estimate)]
        metrics = _museval_metrics().bss_eval(*pairs, window=sample_rate, hop=sample_rate, framewise_filters=False)[:4]
        for index, seconds in enumerate(metrics):
            result[index, audible] = [_median(row) for row in seconds]
    return result


def _median(values: DoubleArray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


@cache
def _museval_metrics() -> ModuleType:
    """museval's `metrics` module alone: importing the package pulls in its dataset reader, which wants ffmpeg."""
    package = importlib.util.find_spec("museval")
    folder = Path((package.submodule_search_locations or [""])[0]) if package else Path()
    spec = importlib.util.spec_from_file_location("museval_metrics", folder / "metrics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def equal_split(mix: Samples, sources: int) -> Samples:
    """Mixture over N, the trivial baseline: each source is the mix / N. Shape: (sources, channels, frames)."""
    return np.repeat(mix[None] / np.float32(sources), sources, axis=0)


def ideal_ratio_masks(reference: Samples) -> Samples:
    """Oracle of masking, ideal ratio masks on magnitudes. Shape: (sources, channels, frames)."""
    estimate = np.zeros_like(reference)
    for channel in range(reference.shape[1]):
        padded = np.pad(reference[:, channel], ((0, 0), (WINDOW, WINDOW)))
        shared = np.zeros_like(padded)
        for at in range(0, reference.shape[2] + WINDOW, HOP):
            spectra = fft.rfft(padded[:, at : at + WINDOW] * _window(), axis=-1)
            size = np.abs(spectra)
            masks = size / (size.sum(axis=0) + 1e-9)
            part = fft.irfft(spectra.sum(axis=0) * masks, WINDOW, axis=-1) * _window()
            shared[:, at : at + WINDOW] += part[:, : padded.shape[1] - at]
        estimate[:, channel] = shared[:, WINDOW : WINDOW + reference.shape[2]]
    return estimate


@cache
def _window() -> FloatArray:
    """A root-Hann window whose square overlap-adds to one at the hop."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    return np.sqrt(hann / 2).astype(np.float32)
