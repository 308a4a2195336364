"""The remix as a service: its runs name what is registered (an upload, an installed voice), never a path or a URL."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from flows.casting import KEEP_SINGER, SAME
from flows.remix import remix_of
from flows.settings import Backing, Choices, Device, StageSettings, with_options
from models import registry
from models.errors import BadInput, unknown_name
from models.registry import home
from models.so_vits_svc import DEFAULT_VOICE
from models.so_vits_svc.voices import consent, find_voice, voice_digest, voices
from tasks.fingerprint import digest_of
from tasks.in_use import alone, in_use
from tasks.remote_store import StoreUnreachable, shared
from tasks.separate import ALL_LEAD
from tasks.uploads import find_upload, take_in

P = ParamSpec("P")

BUILT_IN = "built-in"


def _names(kind: str, *more: str) -> dict[str, Any]:
    """Makes a form offer the registered names of a kind."""
    return {"enum": [*(w.name for w in registry.manifest() if w.kind == kind), *more]}


SongName = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
VoiceName = Annotated[str, Field(json_schema_extra={"enum": [*voices(), KEEP_SINGER]})]
BackingVoiceName = Annotated[str, Field(json_schema_extra={"enum": [*voices(), SAME, KEEP_SINGER]})]
Outro = Annotated[int, Field(ge=0, le=64)]
Seed = Annotated[int, Field(ge=0)]
SeparatorName = Annotated[str, Field(json_schema_extra=_names("separator"))]
SplitterName = Annotated[str, Field(json_schema_extra=_names("vocal_splitter", ALL_LEAD))]
TransformerName = Annotated[str, Field(json_schema_extra=_names("music_transformer"))]


def honest(body: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """A flow's body that ends Failed with the one sentence of a bad input, and is not tried again."""

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return body(*args, **kwargs)
        except (BadInput, StoreUnreachable) as reason:
            get_run_logger().error("%s", reason)
            return Failed(message=str(reason))

    return run


def _run_name() -> str:
    """The song's own name and the voice's, as far as the parameters name any."""
    given = flow_run.parameters
    try:
        title = find_upload(str(given.get("song"))).title
    except (BadInput, StoreUnreachable):
        title = "unknown song"
    return f"{title} sung by {given.get('voice')}"


@flow(name="remix", flow_run_name=_run_name, persist_result=False)
@honest
def remix_song(
    song: SongName,
    voice: VoiceName = DEFAULT_VOICE,
    backing: Backing = "generated",
    outro_bars: Outro = 8,
    seed: Seed = 0,
    device: Device = "auto",
    separator: SeparatorName = "band-mask",
    splitter: SplitterName = "lead-backing",
    transformer: TransformerName = "small",
    soundfont: str = BUILT_IN,
    backing_voice: BackingVoiceName = KEEP_SINGER,
    transpose_backing: bool = False,
    options: list[str] = [],  # noqa: B006  # Prefect shows it in the form; nothing writes into it
) -> State[Any]:
    """Remix an uploaded song: its voice sung by another, its band transcribed, played on and rendered anew.

    What is finished is kept: a run that is started again goes on where the last one was.

    Args:
        song: The digest of an uploaded song (64 of 0-9 and a-f), as `remix submit FILE` prints it.
        voice: Who sings: an installed voice, or none to keep the singer.
        backing: What plays under the voice: a band written by the Music Transformer (generated), the transcribed score
            on new instruments, or the original stems.
        outro_bars: How many bars (0 to 64) the transformer plays on after the song.
        seed: Where every random choice starts; equal seeds give equal mixes.
        device: Where networks compute; auto takes CUDA where there is one.
        separator: The network that takes the song apart.
        splitter: The network that takes lead and backing vocals apart; none leaves all to the lead.
        transformer: The Music Transformer that plays.
        soundfont: built-in, or the name of a file in the service's folder `soundfonts`.
        backing_voice: Who sings behind the lead: an installed voice, the same as the lead, or none to leave them.
        transpose_backing: Whether band and backing singers follow the lead into another key.
        options: Any other option as stage.option=value, one a line (master.target_lufs=-16 is in LUFS).
    """
    choices = Choices(
        voice=voice,
        seed=seed,
        device=device,
        backing=backing,
        outro_bars=outro_bars,
        separator=separator,
        splitter=splitter,
        transformer=transformer,
        settings=settings_of(soundfont, options),
        backing_voice=backing_voice,
        transpose_backing=transpose_backing,
    )
    check_names(choices)
    upload, run_id = find_upload(song), str(flow_run.id)
    out = remixes_folder() / run_id
    with in_use(), alone(f"run-{run_id}"):
        taken = take_in(upload)
        made = remix_of(taken, upload.path, out, choices)
        marker = marker_of(taken.audio.sha256, choices)
        keep_remix(out, run_id, marker)
    words = f"{made.loudness_lufs:.1f} LUFS, true peak {made.true_peak_dbtp:.1f} dBTP"
    return Completed(message=f"{upload.title} is remixed: {words}.")


def settings_of(soundfont: str, options: list[str]) -> StageSettings:
    """Every option by stage; raises `BadInput` for an unknown one, and for a file where only a name may stand."""
    settings = with_options(StageSettings(), options)
    if settings.render.soundfont != StageSettings().render.soundfont:
        raise BadInput("A SoundFont is chosen by the parameter soundfont, by its name in the folder soundfonts.")
    if soundfont == BUILT_IN:
        return settings
    known = {path.stem: path for path in (home() / "soundfonts").glob("*.sf[23]")}
    if soundfont not in known:
        raise unknown_name("SoundFont", soundfont, [BUILT_IN, *known])
    return replace(settings, render=replace(settings.render, soundfont=str(known[soundfont])))


def check_names(choices: Choices) -> None:
    """Raise `BadInput` unless voice and networks are installed under the names given."""
    if not 0 <= choices.outro_bars <= 64:
        raise BadInput(f"The outro can have 0 to 64 bars, not {choices.outro_bars}.")
    for singer in _singers(choices):
        consent(find_voice(singer))
    registry.find("separator", choices.separator)
    if choices.splitter != ALL_LEAD:
        registry.find("vocal_splitter", choices.splitter)
    registry.find("music_transformer", choices.transformer)


def _singers(choices: Choices) -> list[str]:
    """The voices that a remix uses."""
    return sorted({choices.voice, choices.backing_voice} - {KEEP_SINGER, SAME})


def remixes_folder() -> Path:
    """Where the service's remixes lie, a folder a run."""
    return home() / "remixes"


def marker_of(audio_sha256: str, choices: Choices) -> str:
    """The name of the note that a song's sound was remixed with these choices."""
    singers = [voice_digest(find_voice(singer)) for singer in _singers(choices)]
    return digest_of([audio_sha256, asdict(replace(choices, device="auto")), singers])


def keep_remix(out: Path, run_id: str, marker: str) -> None:
    """Put a finished remix into the shared store, if there is one, and note last of all that it is done."""
    store = shared()
    note = home() / "remixed" / f"{marker}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    if store:
        for path in sorted(p for p in out.rglob("*") if p.is_file()):
            store.push(path, f"remixes/{run_id}/{path.relative_to(out)}")
        store.write(f"remixed/{marker}.json", json.dumps({"run": run_id}).encode())
    note.write_text(json.dumps({"run": run_id}))


def remixed_by(marker: str) -> str | None:
    """The run that made this remix, if its result is still there."""
    store, note = shared(), home() / "remixed" / f"{marker}.json"
    try:
        content = (store.read(f"remixed/{marker}.json") if store else note.read_bytes()) or b""
        run_id = str(json.loads(content)["run"])
    except (OSError, ValueError, KeyError):
        return None
    there = store.keys(f"remixes/{run_id}") if store else list((remixes_folder() / run_id).glob("*/manifest.json"))
    return run_id if there else None


def fetched(run_id: str, out: Path) -> list[Path]:
    """Copy a finished remix's folder into `out`; raises `BadInput` where there is none."""
    import shutil

    if not re.fullmatch(r"[0-9a-f-]{36}", run_id):
        raise BadInput(f"{run_id!r} is not the id of a run.")
    source, store = remixes_folder() / run_id, shared()
    if not any(source.glob("*/manifest.json")) and store:
        waiting = store.keys(f"remixes/{run_id}")
        while waiting:
            key = waiting.pop()
            if "." in Path(key).name:
                store.pull(key, home() / key)
            else:
                waiting += store.keys(key)
    folders = [path.parent for path in source.glob("*/manifest.json")]
    if not folders:
        raise BadInput(f"The run {run_id} has left no remix.")
    return [Path(shutil.copytree(folder, out / folder.name, dirs_exist_ok=True)) for folder in folders]
