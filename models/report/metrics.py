"""What is measured of a remix, each number with a plain word and a sentence."""

from collections.abc import Iterator

import numpy as np

from models.analysis.f0 import F0
from models.core.progress import UNWATCHED, Watch
from models.report import audio_metrics, score_metrics
from models.report.types import WORDS, Figure, Numbers, ReportInput


def measure(data: ReportInput, watch: Watch = UNWATCHED) -> Numbers:
    """All numbers of a remix. The audio is read in blocks, so memory does not grow with the song's length."""
    lags_s, correlation = audio_metrics.cross_correlation(data.original, data.mix, watch.span(0.0, 0.2))
    spectra = (
        audio_metrics.spectrum(data.original, "song", watch.span(0.2, 0.3)),
        audio_metrics.spectrum(data.mix, "remix", watch.span(0.3, 0.4)),
    )
    figures = [
        *_level(data),
        *_separation(data, watch.span(0.4, 0.6)),
        *_voice(data),
        *_seams(data, watch.span(0.6, 0.7)),
    ]
    figures += [*data.measured, *_notes(data), *_timing(data, watch.span(0.7, 1.0))]
    figures += _founding(lags_s, correlation, *(np.asarray(curve.y) for curve in spectra))
    watch.at(1.0)
    return Numbers(tuple(figures), audio_metrics.lag_power(lags_s, correlation), spectra)


def word(value: float, good: float, fair: float) -> str:
    """The plain word for a value; better is lower where `good` is below `fair`, higher otherwise.

    >>> word(0.97, good=0.95, fair=0.85), word(-9.0, good=-20.0, fair=-12.0)
    ('good', 'look here')
    """
    sign = 1 if good > fair else -1
    return WORDS[0] if sign * value >= sign * good else WORDS[1] if sign * value >= sign * fair else WORDS[2]


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(184.6)
    '3:05'
    """
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


def _level(data: ReportInput) -> Iterator[Figure]:
    loudness, peak = data.loudness_lufs, data.true_peak_dbtp
    off = abs(loudness + 14)
    yield Figure(
        "Loudness", loudness, "LUFS", word(off, 0.5, 2),
        "How loud the remix is as a whole; streaming services play at about −14.", "Level",
    )  # fmt: skip
    yield Figure(
        "True peak", peak, "dBTP", word(peak, -1.0, 0.0),
        "The highest point between the samples; above −1 an mp3 of it may clip.", "Level",
    )  # fmt: skip


def _separation(data: ReportInput, watch: Watch) -> Iterator[Figure]:
    stems = data.summands
    if stems and all(stem.sample_rate == data.original.sample_rate for stem in stems):
        left = audio_metrics.null_test_db(data.original, stems, watch.span(0, 0.5))
        yield Figure(
            "Stem-sum null test", left, "dB", word(left, -30, -15),
            "What is left of the song when all its stems are taken away; lower means that nothing was lost.",
            "Separation",
        )  # fmt: skip
    singers = data.stems.get("vocals", data.lead)
    if singers is not None:
        residue = audio_metrics.vocal_residue_db(singers, data.backing, watch.span(0.5, 1))
        yield Figure(
            "Vocal residue", residue, "dB", word(residue, -20, -12),
            "How much of the old singing still sounds in the band, against the singing alone; lower is cleaner.",
            "Separation",
        )  # fmt: skip


def _voice(data: ReportInput) -> Iterator[Figure]:
    if data.f0_original is None or data.f0_revoiced is None:
        return
    old, new = _aligned(data.f0_original, data.f0_revoiced)
    both, either = (old > 0) & (new > 0), (old > 0) | (new > 0)
    if both.sum() > 10 and np.std(old[both]) > 0 and np.std(new[both]) > 0:
        a, b = np.log2(old[both].astype(np.float64)), np.log2(new[both].astype(np.float64))
        alike = float(np.corrcoef(a, b)[0, 1])
        yield Figure(
            "Pitch correlation", alike, "", word(alike, 0.95, 0.85),
            "How closely the new voice follows the old melody; 1 is exactly.", "Voice",
        )  # fmt: skip
        moved = round(12 * float(np.median(b - a)))
        apart = 1200 * np.abs(b - a - moved / 12)
        cents, close = float(np.sqrt(np.mean(apart**2))), 100 * float(np.mean(apart < 50))
        where = f" after the intended shift of {abs(moved)} semitones {'up' if moved > 0 else 'down'}" if moved else ""
        yield Figure(
            "Pitch error", cents, "cents", word(cents, 35, 80),
            f"The root mean square distance from the old melody{where}; 100 cents are a semitone. "
            f"{close:.0f} % of it is within a quarter tone.", "Voice",
        )  # fmt: skip
    if either.any():
        wrong = 100 * float(np.mean((old > 0) != (new > 0)))
        yield Figure(
            "Voiced or not", wrong, "% differ", word(wrong, 5, 12),
            "How often one voice sings where the other is silent or only hisses.", "Voice",
        )  # fmt: skip


def _seams(data: ReportInput, watch: Watch) -> Iterator[Figure]:
    if data.revoiced is None:
        return
    times = audio_metrics.clicks_s(data.revoiced, watch)
    minutes = max(data.revoiced.frames / data.revoiced.sample_rate / 60, 1.0)
    first = f" The first is at {clock(float(times[0]))}." if len(times) else ""
    yield Figure(
        "Seams", len(times) / minutes, "a minute", word(len(times) / minutes, 0, 2),
        f"Clicks in the new voice, where pieces of it were joined.{first}", "Voice",
    )  # fmt: skip


def _aligned(one: F0, other: F0) -> tuple[np.ndarray, np.ndarray]:
    """Both tracks at the finer hop, over the time that both have."""
    hop = min(one.hop_s, other.hop_s)
    end = min(len(one.hz) * one.hop_s, len(other.hz) * other.hop_s)
    times = np.arange(int(end / hop), dtype=np.float64) * np.float64(hop)
    return one.at(times), other.at(times)


def _notes(data: ReportInput) -> Iterator[Figure]:
    made, heard = score_metrics.pitched(data.extended), score_metrics.pitched(data.score)
    if len(data.grid.beats_s) < 2:
        return
    if made:
        inside = score_metrics.in_key_ratio(made, data.grid.key)
        yield Figure(
            "In key", 100 * inside, "%", word(inside, 0.95, 0.85),
            f"Generated notes that belong to {score_metrics.key_name(data.grid.key) or 'the key'}.", "Music",
        )  # fmt: skip
    if made and heard:
        shared = score_metrics.pitch_class_overlap(made, heard)
        yield Figure(
            "Pitch-class overlap", 100 * shared, "%", word(shared, 0.8, 0.65),
            "How alike the generated and the transcribed bars are in the notes that they use.", "Music",
        )  # fmt: skip
    new, old = score_metrics.bar_rhythms(data.extended, data.grid), score_metrics.bar_rhythms(data.score, data.grid)
    if len(new) and len(old):
        groove, own = score_metrics.groove_consistency(new, old), score_metrics.groove_consistency(old, old)
        yield Figure(
            "Groove consistency", groove, "", word(groove, own - 0.03, own - 0.1),
            f"How alike the rhythms of generated and transcribed bars are; the song's own bars reach {own:.2f}.",
            "Music",
        )  # fmt: skip
    fit = score_metrics.chord_fit(made, data.grid)
    if fit is not None:
        yield Figure(
            "Chord fit", 100 * fit, "%", word(fit, 0.65, 0.5),
            "Sounding time of the generated notes that belongs to the song's chord of that beat.", "Music",
        )  # fmt: skip


def _timing(data: ReportInput, watch: Watch) -> Iterator[Figure]:
    times, lags = audio_metrics.onset_lags(data.original, data.mix, watch.span(0, 0.5))
    if len(lags):
        late = 1000 * float(np.median(lags))
        yield Figure(
            "Onset offset", late, "ms", word(abs(late), 5, 15),
            "How late the remix's attacks come after the song's; negative is early.", "Timing",
        )  # fmt: skip
    if len(lags) >= 3:
        third = max(len(lags) // 3, 1)
        drift = 1000 * float(np.median(lags[-third:]) - np.median(lags[:third]))
        yield Figure(
            "Onset drift", drift, "ms", word(abs(drift), 10, 25),
            f"How far the remix moves away from the song's beat over {times[-1] - times[0]:.0f} s.", "Timing",
        )  # fmt: skip
    if data.lead is not None and data.revoiced is not None:
        _, lags = audio_metrics.onset_lags(data.lead, data.revoiced, watch.span(0.5, 1))
        if len(lags):
            late = 1000 * float(np.median(lags))
            yield Figure(
                "Voice timing", late, "ms", word(abs(late), 10, 25),
                "How late the new voice begins its syllables, against the old one.", "Timing",
            )  # fmt: skip


def _founding(
    lags_s: audio_metrics.Floats,
    values: audio_metrics.Floats,
    song_db: audio_metrics.Floats,
    remix_db: audio_metrics.Floats,
) -> Iterator[Figure]:
    best = int(np.argmax(np.abs(values)))
    strength = float(abs(values[best]))
    yield Figure(
        "Cross-correlation maximum", strength, "", word(strength, 0.2, 0.05),
        "The founding paper's measure: how much of the song's waveform is still in the remix; 1 is all of it.",
        "Song and remix",
    )  # fmt: skip
    lag_ms = 1000 * float(lags_s[best])
    weak = strength < 0.05
    yield Figure(
        "Lag of the maximum", lag_ms, "ms", WORDS[1] if weak else word(abs(lag_ms), 5, 50),
        f"Where song and remix fit each other best; {'so weak a maximum says little' if weak else '0 is in time'}.",
        "Song and remix",
    )  # fmt: skip
    bands = min(len(song_db), len(remix_db))
    audible = np.maximum(song_db[:bands], remix_db[:bands]) > audio_metrics.FLOOR_DB + 20
    if audible.any():
        apart = (remix_db[:bands] - song_db[:bands])[audible]
        spread = float(np.mean(np.abs(apart - np.median(apart))))
        yield Figure(
            "Frequency balance", spread, "dB", word(spread, 3, 6),
            "How far the remix's bass, middle and treble are from the song's on average, loudness aside.",
            "Song and remix",
        )  # fmt: skip
