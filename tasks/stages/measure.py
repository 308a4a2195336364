"""A finished remix measured, for its report."""

from dataclasses import dataclass, replace

import numpy as np

from models.analysis.f0 import F0
from models.audio.mixture import Mixture, MixturePart
from models.conversion.metrics import speaker_embedding, speaker_similarity
from models.conversion.voices.registry import card, find_voice, voice_digest
from models.core.types import Clip, Contour, Remixed, Take
from models.report.metrics import measure as measured
from models.report.metrics import rating
from models.report.plots import draw
from models.report.types import Measurements, Metric, PlotData, ReportInput, StageRun
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.runs.progress import stage_watch


@dataclass(frozen=True)
class ReportData:
    """What was measured of a remix, and what its report draws from the audio."""

    measurements: Measurements
    plots: PlotData


def _voice(made: Remixed, voice: str = "") -> str:
    return voice_digest(find_voice(voice)) if voice else ""


@stage("librosa", "numpy", "scipy", "mir_eval", "resemblyzer", depends=_voice)
def measure(made: Remixed, voice: str = "") -> ReportData:
    """Measure the remix: loudness, residue, pitch, key, groove, drift, and the founding paper's cross-correlation.

    `voice` is who sings the new lead ("" for the old singer): how alike they sound is measured, too.
    """
    data, watch = replace(report_input(made), measured=_likeness(made, voice)), stage_watch("measure")
    return ReportData(measured(data, watch.span(0.0, 0.7)), draw(data, watch.span(0.7, 1.0)))


def _likeness(made: Remixed, voice: str) -> tuple[Metric, ...]:
    """How much the new lead sounds like the voice it was given, where it is known how that sounds."""
    target = np.array(card(find_voice(voice)).speaker_embedding if voice else (), np.float32)
    if not len(target):
        return ()
    new, old = (speaker_embedding(Store().source(clip)) for clip in (made.lead, made.voices.lead_vocals))
    alike = speaker_similarity(new, target)
    meaning = (
        f"The cosine of speaker embeddings of the new voice and of {voice}; about 0.8 is the same speaker. "
        f"To the old singer it is {speaker_similarity(new, old):.2f}."
    )
    return (Metric("Likeness to the voice", alike, "", rating(alike, 0.75, 0.65), meaning, "Voice"),)


def report_input(
    made: Remixed,
    title: str = "",
    voice: str = "",
    voice_ground: str = "",
    separator: str = "",
    notes: tuple[str, ...] = (),
    audio: dict[str, str] | None = None,
    stages: tuple[StageRun, ...] = (),
) -> ReportInput:
    """What the report looks at, with the names that only the written page knows."""
    store = Store()
    sung = made.lead != made.voices.lead_vocals
    return ReportInput(
        title=title,
        original=store.source(made.audio),
        mix=store.source(made.mix.audio),
        stems={name: store.source(clip) for name, clip in _stems(made).items()},
        revoiced=store.source(made.lead) if sung else None,
        backing=Mixture([_placed(take) for take in made.band.takes]),
        score=made.score,
        extended=made.band.generated,
        grid=made.band.continuation.grid,
        f0_original=_f0(made.pitch),
        f0_revoiced=_f0(made.new_pitch) if sung else None,
        loudness_lufs=made.mix.loudness_lufs,
        true_peak_dbtp=made.mix.true_peak_dbtp,
        voice=voice,
        voice_ground=voice_ground,
        separator=separator,
        notes=notes,
        audio=audio or {},
        stages=stages,
    )


def _stems(made: Remixed) -> dict[str, Clip]:
    """Every stem of the song, and the three that its vocals are separated into, by name."""
    names = ("drums", "bass", "other", "vocals")
    return {name: getattr(made.stems, name) for name in names} | vars(made.voices)


def _placed(take: Take) -> MixturePart:
    return MixturePart(
        Store().source(take.audio), round(take.start_s * take.audio.sample_rate), float(10 ** (take.gain_db / 20))
    )


def _f0(contour: Contour) -> F0 | None:
    hz = np.array(contour.hz, np.float32)
    return F0(hz, contour.hop_s) if hz.any() else None
