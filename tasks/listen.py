"""The stems become a grid of beats, chords and a key, and the lead voice a pitch track."""

from typing import Any

from models import listening, registry
from models.listening import ListenSettings
from models.pitch import PitchSettings, sung_s, track_f0
from models.records import Clip, Contour, Grid
from tasks.caching import stage
from tasks.networks import NETWORKS
from tasks.progress import stage_watch
from tasks.store import Store


def _weights(settings: ListenSettings, **inputs: Any) -> str:
    return registry.file_digest(registry.verified(registry.find("beat_tracker", settings.tracker)))


@stage("torch", "numpy", "scipy", "soxr", depends=_weights, resident=True)
def listen(drums: Clip, bass: Clip, other: Clip, settings: ListenSettings, device: str) -> Grid:
    """Hear tempo, beats, downbeats, key and chords in the separated band."""
    from models.beat_tracker.network import load

    beat, low, harmony = (Store().source(clip) for clip in (drums, bass, other))
    path = registry.verified(registry.find("beat_tracker", settings.tracker))
    return listening.listen(beat, low, harmony, NETWORKS.kept(load, path, device), settings, stage_watch("listen"))


@stage("numpy", "scipy", "soxr")
def follow_pitch(voice: Clip, song: Clip, settings: PitchSettings) -> Contour:
    """Follow the sung pitch (f0) of a voice taken from that song, and say how long it sings."""
    source = Store().source(voice)
    f0 = track_f0(source, settings, stage_watch("follow_pitch"))
    sung = sung_s(source, Store().source(song), f0, settings.residue_db)
    return Contour(tuple(round(float(h), 3) for h in f0.hz), f0.hop_s, round(sung, 3))
