"""A finished remix measured, for its report."""

from dataclasses import dataclass

import numpy as np

from models.pitch import F0
from models.records import Contour, Remixed, Take
from models.report import Drawings, Numbers, ReportInput, StageRun, draw, measure
from models.summed import Placed, Summed
from tasks.caching import stage
from tasks.progress import stage_watch
from tasks.store import Store


@dataclass(frozen=True)
class Appraisal:
    """What was measured of a remix, and what its report draws from the audio."""

    numbers: Numbers
    drawings: Drawings


@stage("numpy", "scipy", "mir_eval")
def appraise(made: Remixed) -> Appraisal:
    """Measure the remix: loudness, residue, pitch, key, groove, drift, and the founding paper's cross-correlation."""
    data, watch = report_input(made), stage_watch("appraise")
    return Appraisal(measure(data, watch.span(0.0, 0.7)), draw(data, watch.span(0.7, 1.0)))


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
    stems = {
        "drums": made.stems.drums,
        "bass": made.stems.bass,
        "other": made.stems.other,
        "vocals": made.stems.vocals,
        "lead_vocals": made.voices.lead_vocals,
        "backing_vocals": made.voices.backing_vocals,
        "room": made.voices.room,
    }
    sung = made.lead != made.voices.lead_vocals
    return ReportInput(
        title=title,
        original=store.source(made.audio),
        mix=store.source(made.mix.audio),
        stems={name: store.source(clip) for name, clip in stems.items()},
        revoiced=store.source(made.lead) if sung else None,
        backing=Summed([_placed(take) for take in made.band.takes]),
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


def _placed(take: Take) -> Placed:
    return Placed(
        Store().source(take.audio), round(take.start_s * take.audio.sample_rate), float(10 ** (take.gain_db / 20))
    )


def _f0(contour: Contour) -> F0 | None:
    hz = np.array(contour.hz, np.float32)
    return F0(hz, contour.hop_s) if hz.any() else None
