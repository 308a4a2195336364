"""All metrics of a remix, each with a rating and a one-sentence description."""

from collections.abc import Iterator

import numpy as np

from models.analysis.f0 import F0
from models.core.dtypes import DoubleArray
from models.core.progress import UNWATCHED, Watch
from models.report import audio_metrics, score_metrics
from models.report.types import RATINGS, Measurements, Metric, ReportInput


def measure(data: ReportInput, watch: Watch = UNWATCHED) -> Measurements:
    """All metrics of a remix. The audio is read in blocks, so memory does not grow with the song's length."""
    lags_s, correlation = audio_metrics.cross_correlation(data.original, data.mix, watch.span(0.0, 0.2))
    spectra = (
        audio_metrics.spectrum(data.original, "song", watch.span(0.2, 0.3)),
        audio_metrics.spectrum(data.mix, "remix", watch.span(0.3, 0.4)),
    )
    metrics = [
        *_level(data),
        *_separation(data, watch.span(0.4, 0.6)),
        *_voice(data),
        *_clicks(data, watch.span(0.6, 0.7)),
    ]
    metrics += [*data.measured, *_notes(data), *_timing(data, watch.span(0.7, 1.0))]
    metrics += _similarity(lags_s, correlation, *(np.asarray(curve.y) for curve in spectra))
    watch.at(1.0)
    return Measurements(tuple(metrics), audio_metrics.lag_power(lags_s, correlation), spectra)


def rating(value: float, good: float, fair: float) -> str:
    """The rating of a value; better is lower where `good` is below `fair`, higher otherwise."""
    sign = 1 if good > fair else -1
    return RATINGS[0] if sign * value >= sign * good else RATINGS[1] if sign * value >= sign * fair else RATINGS[2]


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


def _level(data: ReportInput) -> Iterator[Metric]:
    loudness, peak = data.loudness_lufs, data.true_peak_dbtp
    off = abs(loudness + 14)
    yield Metric(
        "Loudness", loudness, "LUFS", rating(off, 0.5, 2),
        "How loud the remix is as a whole; streaming services play at about −14.", "Level",
    )  # fmt: skip
    yield Metric(
        "True peak", peak, "dBTP", rating(peak, -1.0, 0.0),
        "The highest level of the reconstructed waveform; above −1 an mp3 of it may clip.", "Level",
    )  # fmt: skip


def _separation(data: ReportInput, watch: Watch) -> Iterator[Metric]:
    stems = data.disjoint_stems
    if stems and all(stem.sample_rate == data.original.sample_rate for stem in stems):
        residual = audio_metrics.null_test_db(data.original, stems, watch.span(0, 0.5))
        yield Metric(
            "Stem-sum null test", residual, "dB", rating(residual, -30, -15),
            "The residual of the song minus the sum of its stems; lower means that nothing was lost.",
            "Separation",
        )  # fmt: skip
    vocals = data.stems.get("vocals", data.lead)
    if vocals is not None:
        residue = audio_metrics.vocal_residue_db(vocals, data.backing, watch.span(0.5, 1))
        yield Metric(
            "Vocal leakage", residue, "dB", rating(residue, -20, -12),
            "Level of the original vocals left in the backing, relative to the vocals themselves; lower is cleaner.",
            "Separation",
        )  # fmt: skip


def _voice(data: ReportInput) -> Iterator[Metric]:
    if data.f0_original is None or data.f0_revoiced is None:
        return
    old, new = _aligned(data.f0_original, data.f0_revoiced)
    both, either = (old > 0) & (new > 0), (old > 0) | (new > 0)
    if both.sum() > 10 and np.std(old[both]) > 0 and np.std(new[both]) > 0:
        a, b = np.log2(old[both].astype(np.float64)), np.log2(new[both].astype(np.float64))
        correlation = float(np.corrcoef(a, b)[0, 1])
        yield Metric(
            "Pitch correlation", correlation, "", rating(correlation, 0.95, 0.85),
            "Correlation of the converted and the original f0; 1 is exact.", "Voice",
        )  # fmt: skip
        shift = round(12 * float(np.median(b - a)))
        deviation = 1200 * np.abs(b - a - shift / 12)
        cents, close = float(np.sqrt(np.mean(deviation**2))), 100 * float(np.mean(deviation < 50))
        where = f" after the intended shift of {abs(shift)} semitones {'up' if shift > 0 else 'down'}" if shift else ""
        yield Metric(
            "Pitch error", cents, "cents", rating(cents, 35, 80),
            f"Root-mean-square f0 error against the original melody{where}; 100 cents are a semitone. "
            f"{close:.0f} % of the frames are within a quarter tone.", "Voice",
        )  # fmt: skip
    if either.any():
        wrong = 100 * float(np.mean((old > 0) != (new > 0)))
        yield Metric(
            "Voicing error", wrong, "%", rating(wrong, 5, 12),
            "Frames that are voiced in one of the two voices only.", "Voice",
        )  # fmt: skip


def _clicks(data: ReportInput, watch: Watch) -> Iterator[Metric]:
    if data.revoiced is None:
        return
    times = audio_metrics.clicks_s(data.revoiced, watch)
    minutes = max(data.revoiced.frames / data.revoiced.sample_rate / 60, 1.0)
    first = f" The first is at {clock(float(times[0]))}." if len(times) else ""
    yield Metric(
        "Clicks", len(times) / minutes, "a minute", rating(len(times) / minutes, 0, 2),
        f"Discontinuities in the converted vocals, as from hard splices.{first}", "Voice",
    )  # fmt: skip


def _aligned(one: F0, other: F0) -> tuple[np.ndarray, np.ndarray]:
    """Both tracks at the finer hop, over their common time."""
    hop = min(one.hop_s, other.hop_s)
    end = min(len(one.hz) * one.hop_s, len(other.hz) * other.hop_s)
    times = np.arange(int(end / hop), dtype=np.float64) * np.float64(hop)
    return one.at(times), other.at(times)


def _notes(data: ReportInput) -> Iterator[Metric]:
    generated_notes, transcribed_notes = (
        score_metrics.pitched_notes(data.extended),
        score_metrics.pitched_notes(data.score),
    )
    if len(data.grid.beats_s) < 2:
        return
    if generated_notes:
        inside = score_metrics.in_key_ratio(generated_notes, data.grid.key)
        yield Metric(
            "In key", 100 * inside, "%", rating(inside, 0.95, 0.85),
            f"Generated notes in the scale of {score_metrics.key_name(data.grid.key) or 'the key'}.", "Music",
        )  # fmt: skip
    if generated_notes and transcribed_notes:
        shared = score_metrics.pitch_class_overlap(generated_notes, transcribed_notes)
        yield Metric(
            "Pitch-class overlap", 100 * shared, "%", rating(shared, 0.8, 0.65),
            "Overlap of the pitch-class histograms of the generated and the transcribed bars.", "Music",
        )  # fmt: skip
    new, old = score_metrics.bar_rhythms(data.extended, data.grid), score_metrics.bar_rhythms(data.score, data.grid)
    if len(new) and len(old):
        groove, own = score_metrics.groove_consistency(new, old), score_metrics.groove_consistency(old, old)
        yield Metric(
            "Groove consistency", groove, "", rating(groove, own - 0.03, own - 0.1),
            f"Similarity of onset patterns of generated and transcribed bars; the song's own bars reach {own:.2f}.",
            "Music",
        )  # fmt: skip
    fit = score_metrics.chord_fit(generated_notes, data.grid)
    if fit is not None:
        yield Metric(
            "Chord-tone ratio", 100 * fit, "%", rating(fit, 0.65, 0.5),
            "Sounding time of the generated notes on tones of the song's chord of that beat.", "Music",
        )  # fmt: skip


def _timing(data: ReportInput, watch: Watch) -> Iterator[Metric]:
    times, lags = audio_metrics.onset_lags(data.original, data.mix, watch.span(0, 0.5))
    if len(lags):
        late = 1000 * float(np.median(lags))
        yield Metric(
            "Onset offset", late, "ms", rating(abs(late), 5, 15),
            "Median lag of the remix's onsets behind the song's; negative is early.", "Timing",
        )  # fmt: skip
    if len(lags) >= 3:
        third = max(len(lags) // 3, 1)
        drift = 1000 * float(np.median(lags[-third:]) - np.median(lags[:third]))
        yield Metric(
            "Onset drift", drift, "ms", rating(abs(drift), 10, 25),
            f"Change of the onset offset over {times[-1] - times[0]:.0f} s.", "Timing",
        )  # fmt: skip
    if data.lead is not None and data.revoiced is not None:
        _, lags = audio_metrics.onset_lags(data.lead, data.revoiced, watch.span(0.5, 1))
        if len(lags):
            late = 1000 * float(np.median(lags))
            yield Metric(
                "Vocal onset offset", late, "ms", rating(abs(late), 10, 25),
                "Median lag of the converted vocals' onsets behind the original ones.", "Timing",
            )  # fmt: skip


def _similarity(
    lags_s: DoubleArray,
    values: DoubleArray,
    song_db: DoubleArray,
    remix_db: DoubleArray,
) -> Iterator[Metric]:
    best = int(np.argmax(np.abs(values)))
    strength = float(abs(values[best]))
    yield Metric(
        "Cross-correlation maximum", strength, "", rating(strength, 0.2, 0.05),
        "Maximum of the normalised cross-correlation of song and remix; 1 is the same waveform.",
        "Song and remix",
    )  # fmt: skip
    lag_ms = 1000 * float(lags_s[best])
    weak = strength < 0.05
    yield Metric(
        "Lag of the maximum", lag_ms, "ms", RATINGS[1] if weak else rating(abs(lag_ms), 5, 50),
        f"Lag of best alignment; {'not meaningful for so weak a maximum' if weak else '0 is in time'}.",
        "Song and remix",
    )  # fmt: skip
    bands = min(len(song_db), len(remix_db))
    audible = np.maximum(song_db[:bands], remix_db[:bands]) > audio_metrics.FLOOR_DB + 20
    if audible.any():
        deviation = (remix_db[:bands] - song_db[:bands])[audible]
        spread = float(np.mean(np.abs(deviation - np.median(deviation))))
        yield Metric(
            "Spectral difference", spread, "dB", rating(spread, 3, 6),
            "Mean difference of the third-octave spectra of remix and song, loudness removed.",
            "Song and remix",
        )  # fmt: skip
