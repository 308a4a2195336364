"""Voices and band into one track."""

from collections.abc import Sequence

from models.audio.loudness import measure
from models.core.types import Band, Clip, Mix, Stems, Take, Voices
from models.mixing.mastering import master, plan_master
from models.mixing.mixer import MixPart, Original
from models.mixing.mixer import mix as mixed
from models.mixing.section_balance import section_starts
from models.mixing.settings import MasterSettings, MixSettings
from tasks.cache.caching import stage
from tasks.cache.store import Store
from tasks.runs.progress import stage_watch


@stage("numpy", "scipy")
def mix(
    lead: Clip, behind: Clip, voices: Voices, stems: Stems, band: Band, settings: MixSettings, mastering: MasterSettings
) -> Mix:
    """Mix voices and band with the original's balance, section by section, and master it to its loudness target.

    `behind` is what the backing singers became.
    """
    store, more = Store(), band.continuation
    choir = store.source(voices.backing_vocals)
    sung = [
        MixPart(store.source(lead), level_reference=store.source(voices.lead_vocals)),
        MixPart(store.source(behind), level_reference=None if behind == voices.backing_vocals else choir),
    ]
    stems_end_s = more.start_s if more.score.end_s else None
    played = [_part(take, stems_end_s if take.audio in vars(stems).values() else None) for take in band.takes]
    original = Original(
        [store.source(voices.lead_vocals), choir],
        [store.source(clip) for clip in (stems.drums, stems.bass, stems.other)],
        section_starts(more.grid, voices.lead_vocals.duration_s),
    )
    return _mastered(sung, played, original, settings, mastering)


@stage("numpy", "scipy")
def mix_takes(
    voices: tuple[Take, ...], backing: tuple[Take, ...], settings: MixSettings, mastering: MasterSettings
) -> Mix:
    """Mix voices and backing that have no original to take a balance from."""
    sung, played = ([_part(take, None) for take in takes] for takes in (voices, backing))
    return _mastered(sung, played, Original(), settings, mastering)


def _part(take: Take, gives_way_s: float | None) -> MixPart:
    """A take at the mixing desk; it gives way to what follows at that time, in seconds."""
    return MixPart(Store().source(take.audio), take.start_s, take.gain_db, stop_s=gives_way_s)


def _mastered(
    voices: Sequence[MixPart],
    backing: Sequence[MixPart],
    original: Original,
    settings: MixSettings,
    mastering: MasterSettings,
) -> Mix:
    store, watch = Store(), stage_watch("mix")
    rate = (*voices, *backing)[0].source.sample_rate
    frames = max(round(part.start_s * rate) + part.source.frames for part in (*voices, *backing))
    sum_of = store.put(mixed(voices, backing, original, frames, rate, settings, watch.span(0.0, 0.5)), rate)
    source = store.source(sum_of)
    plan = plan_master(source, mastering, watch.span(0.5, 0.8))
    audio = store.put(master(source, mastering, watch.span(0.8, 0.95), plan), rate)
    measured = measure(store.source(audio), watch.span(0.95, 1.0))
    return Mix(audio, measured.loudness_lufs, measured.true_peak_dbtp, plan.reached or plan.limiting_db == 0)
