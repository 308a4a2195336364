"""The finished remix written out for people: audio with its tags, MIDI, the report, and a manifest of all that made it.

The only step that sees names and tags, and the only one that is never kept: it runs each time, but leaves a file alone
that already holds what it would write.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.audio.encode import write_bytes, write_flac, write_mp3, write_wav
from models.audio.tags import Tags, read_tags
from models.conversion.voices.registry import consent, find_voice
from models.core.errors import BadInput
from models.core.registry import file_digest
from models.core.types import Clip, Grid, Remixed, Score
from models.report.page import page
from models.report.types import StageRun as ReportedStage
from models.symbolic.midi import to_midi
from tasks.cache.caching import unsearched
from tasks.cache.fingerprint import code_digest, digest_of, versions
from tasks.cache.store import Store
from tasks.runs.progress import stage_watch
from tasks.runs.provenance import Provenance
from tasks.runs.stage_log import StageRun
from tasks.runs.summary import summarise
from tasks.stages import graph
from tasks.stages.measure import ReportData, report_input

MADE_WITH = (
    "deep-philharmonics",
    "prefect",
    "torch",
    "demucs",
    "basic-pitch",
    "so-vits-svc-fork",
    "pretty_midi",
    "pydub",
    "librosa",
)

ENCODERS = ("imageio-ffmpeg", "numpy", "soundfile")
"""The distributions that write audio files."""

SUNG = ("mix.mp3", "mix.wav", "stems/new_voice.flac")
"""The files that hold the new voice, and say so in their tags."""


@dataclass(frozen=True)
class Remix:
    """Where a finished remix lies, what a meter says of it, and what became of each stage."""

    folder: Path
    loudness_lufs: float
    true_peak_dbtp: float
    notes: tuple[str, ...]
    stages: tuple[StageRun, ...]


@dataclass(frozen=True)
class FinishedRemix:
    """All that is published of a remix: the file it came from, the results, their measurements and their provenance."""

    song: Path
    made: Remixed
    report: ReportData
    provenance: Provenance
    stages: tuple[StageRun, ...]


def publish(finished: FinishedRemix, out: Path) -> Remix:
    """Write the remix's folder: mix, stems, MIDI, report and manifest; refuses a voice whose consent is gone by now."""
    given, options = unsearched((finished, out), {})
    return cast(Remix, published(*given, **options))


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
def published(finished: FinishedRemix, out: Path) -> Remix:
    """`publish` as Prefect runs it."""
    made, provenance = finished.made, finished.provenance
    for singer in provenance.singers:
        consent(find_voice(singer.voice))
    tags = read_tags(finished.song)
    folder = _folder(out, tags, made.audio)
    with _new_or_untouched(folder):
        _fill(folder, tags, finished)
    summarise(folder, tags.title, finished.report.measurements, report_input(made))
    return Remix(folder, made.mix.loudness_lufs, made.mix.true_peak_dbtp, provenance.notes, finished.stages)


@contextmanager
def _new_or_untouched(folder: Path) -> Iterator[None]:
    """Make the folder; if what follows fails, a folder that was not there before is gone again."""
    before = folder.exists()
    try:
        (folder / "stems").mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise BadInput(f"The output folder {folder} cannot be written: {error.strerror}.") from error
    finally:
        if not before and not (folder / "manifest.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, tags: Tags, finished: FinishedRemix) -> None:
    """Write every file of the remix; the manifest last."""
    watch = stage_watch("publish")
    previous = _files_of(folder)
    files = _files(tags, finished)
    written: dict[str, dict[str, str]] = {}

    def write(name: str) -> None:
        content, write_to = files[name]
        path, before = folder / name, previous.get(name, {})
        there = file_digest(path) if before.get("content") == content and path.is_file() else ""
        if not there or there != before.get("sha256"):
            write_to(path)
            there = file_digest(path)
        written[name] = {"content": content, "sha256": there}
        watch.at(0.9 * len(written) / len(files))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, files))
    _write_report(folder, tags, finished)
    _write_manifest(folder, finished, written)
    watch.at(1.0)


def _files(tags: Tags, finished: FinishedRemix) -> dict[str, tuple[str, Callable[[Path], None]]]:
    """Every audio and MIDI file by its relative name: the digest of all that it depends on, and what writes it."""
    made, provenance = finished.made, finished.provenance
    encoder = [code_digest("models.audio.encode"), versions(ENCODERS)]
    tagged = asdict(tags) | {"cover": sha256(tags.cover or b"").hexdigest()}
    files = {}
    for name, clip in _audio(made).items():
        comment = provenance.comment if name in SUNG else ""
        content = [clip.sha256, *([tagged] if name.endswith("mp3") else []), comment, encoder]
        files[name] = (digest_of(content), _writer(name, clip, tags, provenance))
    writer = [code_digest("models.symbolic.midi"), versions(("pretty_midi",))]
    for name, score, grid in (
        ("score.mid", made.score, made.grid),
        ("extended.mid", made.band.generated, made.band.continuation.grid),
    ):
        files[name] = (digest_of([score, grid, writer]), _midi_writer(score, grid))
    return files


def _audio(made: Remixed) -> dict[str, Clip]:
    """Every audio file of the folder by its relative name."""
    stems = {
        "original": made.audio,
        "drums": made.stems.drums,
        "bass": made.stems.bass,
        "other": made.stems.other,
        "vocals": made.stems.vocals,
        "lead_vocals": made.voices.lead_vocals,
        "backing_vocals": made.voices.backing_vocals,
    }
    if made.lead != made.voices.lead_vocals:
        stems["new_voice"] = made.lead
    if len(made.band.takes) == 1:
        stems["new_band"] = made.band.takes[0].audio
    mix = {"mix.mp3": made.mix.audio, "mix.wav": made.mix.audio}
    return mix | {f"stems/{name}.flac": clip for name, clip in stems.items()}


def _writer(name: str, clip: Clip, tags: Tags, provenance: Provenance) -> Callable[[Path], None]:
    source, comment = Store().source(clip), provenance.comment if name in SUNG else ""
    if name.endswith(".mp3"):
        return lambda path: write_mp3(source, path, tags, comment=comment)
    if name.endswith(".wav"):
        return lambda path: write_wav(source, path, comment=comment)
    return lambda path: write_flac(source, path, comment=comment)


def _midi_writer(score: Score, grid: Grid) -> Callable[[Path], None]:
    return lambda path: write_bytes(to_midi(score, grid), path)


def _folder(out: Path, tags: Tags, audio: Clip) -> Path:
    """The song's folder; another song of the same title that is already there keeps its own."""
    number = 1
    while True:
        folder = out / (tags.folder_name if number == 1 else f"{tags.folder_name} ({number})")
        known = _manifest(folder).get("input", {}).get("audio_sha256")
        if known in (None, audio.sha256):
            return folder
        number += 1


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        return manifest if isinstance(manifest, dict) else {}
    except (OSError, ValueError):
        return {}


def _files_of(folder: Path) -> dict[str, dict[str, str]]:
    files = _manifest(folder).get("files", {})
    return files if isinstance(files, dict) else {}


def _write_report(folder: Path, tags: Tags, finished: FinishedRemix) -> None:
    made, report, provenance = finished.made, finished.report, finished.provenance
    beside = {Path(name).stem: name for name in _audio(made) if name != "mix.mp3"}
    audio = {{"new_voice": "revoiced", "new_band": "backing"}.get(name, name): path for name, path in beside.items()}
    ran = tuple(ReportedStage(s.name, s.seconds, s.reused, graph.AFTER.get(s.name, ())) for s in finished.stages)
    data = report_input(
        made, tags.title, provenance.voice, provenance.voice_ground, provenance.separator, provenance.notes, audio, ran
    )
    write_bytes(page(data, report.measurements, report.plots).encode(), folder / "report.html")


def _write_manifest(folder: Path, finished: FinishedRemix, files: dict[str, dict[str, str]]) -> None:
    made, provenance, stages = finished.made, finished.provenance, finished.stages
    manifest = {
        "input": {"file": finished.song.name, "audio_sha256": made.audio.sha256, "seconds": made.audio.duration_s},
        "voice": {"name": provenance.voice, "ground": provenance.voice_ground},
        "singers": [asdict(singer) for singer in provenance.singers],
        "settings": provenance.settings,
        "weights": provenance.weights,
        "versions": versions(MADE_WITH),
        "loudness_lufs": made.mix.loudness_lufs,
        "true_peak_dbtp": made.mix.true_peak_dbtp,
        "figures": [asdict(figure) for figure in finished.report.measurements.metrics],
        "notes": provenance.notes,
        "stages": [asdict(stage) for stage in stages],
        "seconds_saved": sum(stage.seconds for stage in stages if stage.reused),
        "files": dict(sorted(files.items())),
    }
    write_bytes(json.dumps(manifest, indent=1, default=str).encode(), folder / "manifest.json")
