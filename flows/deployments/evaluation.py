"""The deployment that evaluates a part, as `remix eval` does: on the project's own songs or a registered folder."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from flows.deployments.remix import honest
from flows.evaluation.tables import markdown, tables
from flows.options import RemixOptions
from flows.stage_settings import StageSettings
from models.conversion import DEFAULT_VOICE
from models.conversion.voices.registry import find_voice
from models.core import registry
from models.core.registry import home
from tasks.runs.folders import find_folder

Kind = Literal["separation", "transcription", "grid", "continuation", "voice", "pipeline"]
Data = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$")]
Count = Annotated[int, Field(ge=1, le=1000)]
Seconds = Annotated[float, Field(ge=10, le=3600)]
Seed = Annotated[int, Field(ge=0)]
OWN = "own"
"""What stands for the project's own songs, which need no data."""


@flow(name="evaluate", flow_run_name="evaluate {kind} on {data}", persist_result=False)
@honest
def evaluate(
    kind: Kind = "separation",
    data: Data = OWN,
    separators: list[Data] = ["band-mask"],  # noqa: B006  # Prefect shows it in the form; nothing writes into it
    voice: Data = DEFAULT_VOICE,
    transformer: Data = "small",
    songs: Count = 4,
    seconds: Seconds = 75.0,
    seed: Seed = 0,
) -> State[Any]:
    """Measure one part of the remix beside its baselines, or whole remixes by the metrics of their reports.

    Args:
        kind: Which part: separation, transcription, grid (beats, key and chords), continuation (the Music Transformer),
            voice, or pipeline for whole remixes.
        data: The name of a registered folder: songs with their stems in MUSDB's layout (separation), clips of singing
            alone (voice), MIDI (all others); or own for the project's own songs.
        separators: Names of separators from `remix weights list`, one a line; beside separation the first one is used.
        voice: Which installed voice is evaluated, or sings in whole remixes.
        transformer: Which Music Transformer is evaluated.
        songs: At most how many songs are made, or taken from a folder of MIDI.
        seconds: At most how many seconds of a song or a clip are taken.
        seed: Where every random choice starts.
    """
    folder = None if data == OWN else find_folder(data)
    for separator in separators:
        registry.find("separator", separator)
    if kind == "separation":
        shown, figures = _separation(folder, separators, songs)
    else:
        figures = _evaluated(kind, folder, separators[0], voice, transformer, songs, seconds, seed)
        shown = markdown(list(tables(figures)))
    create_markdown_artifact(shown, key="evaluation", description=f"{kind} on {data}")
    path = _folder() / "figures.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1, default=str))
    return Completed(message=f"The figures are in the artifact evaluation, each song's in {path}.")


def _folder() -> Path:
    """Where this run leaves what it made."""
    return home() / "evaluations" / str(flow_run.id)


def _separation(folder: Path | None, separators: list[str], songs: int) -> tuple[str, Any]:
    from flows.evaluation.separation import folder_songs, own_songs, rows, table, trials

    done = list(trials(folder_songs([folder]) if folder else own_songs(songs), separators))
    return f"SDR in dB\n\n{table(done)}", rows(done)


def _evaluated(
    kind: str,
    folder: Path | None,
    separator: str,
    voice: str,
    transformer: str,
    songs: int,
    seconds: float,
    seed: int,
) -> dict[str, Any]:
    settings = StageSettings()
    if kind == "transcription":
        from flows.evaluation.transcription import evaluate_transcription

        transcribe, pitch = settings.transcribe, settings.track_f0
        return evaluate_transcription(folder, "test", songs, seconds, separator, transcribe, pitch)
    if kind == "grid":
        from flows.evaluation.grid import evaluate_grid

        return evaluate_grid(folder, "test", songs, seconds, separator, settings.analyse)
    if kind == "continuation":
        from flows.evaluation.continuation import evaluate_continuation

        return evaluate_continuation(folder, (), transformer, songs, settings=settings.extend, seed=seed)
    find_voice(voice)
    if kind == "voice":
        from flows.evaluation.voice import evaluate_voice

        return evaluate_voice(voice, folder, seconds, settings=settings.convert)
    from flows.evaluation.pipeline import evaluate_pipeline, made_songs

    options = RemixOptions(voice=voice, seed=seed, separator=separator)
    return evaluate_pipeline(made_songs(folder, songs, seconds, _folder()), _folder(), options)
