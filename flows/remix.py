"""The remix: a song goes in, a new track comes out.

song -- ingest -- separate -+- split_vocals -- track_f0 -- convert ----------------+
                            +- analyse ------+                                     +- mix -- measure -- publish
                            +- transcribe ---+- accompany -- extend -- render -----+
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from flows.devices import in_precision, resolved
from flows.options import RemixOptions
from flows.parameters import spread
from flows.separators import known, usable
from flows.stage_settings import StageSettings
from flows.vocal_parts import VocalParts, backing_vocals, notes_on_voice, transposed_band, vocal_parts
from models.audio.decode import decode
from models.conversion.convert import engine_module
from models.conversion.voices.registry import consent, find_voice, voice_digest
from models.core import registry
from models.core.types import Band, Clip, Grid, Prompt, Remixed, Score, Song, Stems, Take
from models.core.writable import check_writable
from models.generation import sparse_input_warnings
from models.separation.checkpoints import network_modules, separator_digest, separator_path
from models.separation.settings import ALL_LEAD
from models.symbolic.score_ops import merge_scores, with_track, without_track
from tasks.cache.in_use import in_use
from tasks.runs.provenance import Provenance
from tasks.runs.publish import FinishedRemix, Remix, publish
from tasks.runs.stage_log import stage_log
from tasks.stages.accompany import accompany
from tasks.stages.analyse import analyse
from tasks.stages.convert import convert
from tasks.stages.extend import extend
from tasks.stages.ingest import ingest
from tasks.stages.measure import measure
from tasks.stages.mix import mix
from tasks.stages.render import render
from tasks.stages.separate import separate
from tasks.stages.split_vocals import split_vocals
from tasks.stages.track_f0 import track_f0
from tasks.stages.transcribe import transcribe

LEAST_SUNG_S, LEAST_SUNG = 3.0, 0.1
"""A song with less singing than so many seconds, and than that share of it, counts as instrumental."""


@flow(name="remix", flow_run_name="{song} ({voice})", persist_result=False)
@spread(RemixOptions)
def remix(song: Path, options: RemixOptions, out: Path = Path("remixes")) -> Remix:
    """Remix a song: its voice converted, its band transcribed, continued and rendered anew.

    Args:
        song: The audio file.
        out: The folder that gets a folder for the song.
    """
    check(song, out, options)
    with in_use():
        return remix_of(ingest(song), song, out, options)


@dataclass(frozen=True)
class Context:
    """What a remix's stages share: the options, every stage's settings, and the device that was resolved."""

    options: RemixOptions
    settings: StageSettings
    device: str

    @classmethod
    def of(cls, options: RemixOptions) -> "Context":
        device = resolved(options.device)
        return cls(options, in_precision(options.stage_settings(), device), device)


def remix_of(taken: Song, song: Path, out: Path, options: RemixOptions) -> Remix:
    """All that follows once a song is in the store: the body of every flow that remixes.

    `song` is the file it came from, for its name and tags; `out` gets a folder for it.
    """
    context = Context.of(options)
    settings, seed, device = context.settings, options.seed, context.device
    chosen = usable(options.separator)
    used = weights_used(options.model_copy(update={"separator": chosen.separator}), settings)
    stems = separate(taken.audio, chosen.separator, settings.separate, seed, device)
    analysing = analyse.submit(stems.drums, stems.bass, stems.other, settings.analyse, device)
    voices = split_vocals(stems.vocals, options.splitter, settings.split_vocals, seed, device)
    f0 = track_f0(voices.lead_vocals, taken.audio, settings.track_f0)
    sings = f0.sung_s >= min(LEAST_SUNG_S, LEAST_SUNG * taken.audio.duration_s)
    parts = vocal_parts(f0, sings, options, settings)
    to_voice = replace(settings.convert, key_shift=parts.shift)
    converting = convert.submit(voices.lead_vocals, parts.lead, to_voice, seed, device) if parts.converted else None
    score = transcribe(stems.drums, stems.bass, stems.other, voices.lead_vocals, f0, settings.transcribe, stems.parts)
    moved, score, grid = transposed_band(
        stems, score, analysing.result(), parts.band_shift, options.backing == "original"
    )
    band = backing_band(taken.audio, moved, score, grid, context)
    lead = converting.result() if converting else voices.lead_vocals
    behind = backing_vocals(voices, parts, to_voice, seed, device)
    mixed = mix(lead, behind, voices, moved, band, settings.mix, settings.master)
    new_f0 = track_f0(lead, taken.audio, settings.track_f0)
    made = Remixed(taken.audio, stems, voices, grid, score, f0, lead, new_f0, band, mixed)
    measurements = measure(made, parts.lead if parts.converted else "")
    provenance = Provenance(
        singers=parts.singers,
        separator=chosen.separator,
        settings=provenance_settings(context, parts),
        weights=used,
        notes=chosen.notes + notes_on_voice(f0, parts) + notes_on(made, sings, context),
    )
    return publish(FinishedRemix(song, made, measurements, provenance, stage_log(str(flow_run.id))), out)


def provenance_settings(context: Context, parts: VocalParts) -> dict[str, object]:
    """What the manifest says was chosen, and what it came to for this song."""
    options = context.options
    return {
        "voice": options.voice,
        "backing_voice": parts.behind,
        "key_shift": parts.shift,
        "transpose_backing": parts.band_shift,
        "seed": options.seed,
        "device": context.device,
        "backing": options.backing,
        "outro_bars": options.outro_bars,
        "stages": asdict(context.settings),
    }


def notes_on(made: Remixed, sings: bool, context: Context) -> tuple[str, ...]:
    """What the listener should know of this remix, a sentence each."""
    master = context.settings.master
    quiet = (
        f"The mix is at {made.mix.loudness_lufs:.1f} LUFS, not {master.target_lufs:g}: that would have taken more "
        f"than {master.max_limiting_db:g} dB of limiting."
    )
    return (
        *(() if sings else ("No vocals were found; the remix goes on without a voice.",)),
        *sparse_input_warnings(made.score, made.grid, made.audio.duration_s, context.options.backing == "generated"),
        *(() if made.mix.target_reached else (quiet,)),
    )


def check(song: Path, out: Path, options: RemixOptions) -> None:
    """Raise `BadInput` for all that can be known to be wrong before anything is computed."""
    for singer in options.singers():
        consent(find_voice(singer))
    known(options.separator)
    if options.splitter != ALL_LEAD:
        registry.find("vocal_splitter", options.splitter)
    registry.find("music_transformer", options.transformer)
    in_precision(options.stage_settings(), resolved(options.device))
    decode(song)
    check_writable(out, f"The output folder {out}")


def backing_band(audio: Clip, stems: Stems, score: Score, grid: Grid, context: Context) -> Band:
    """The second branch: what plays under the voice, and what continues after the song."""
    options, settings = context.options, context.settings
    where = (options.transformer, settings.accompany, options.seed, context.device)
    generated = options.backing == "generated"
    accompaniment = accompany(score, grid, audio.duration_s, *where) if generated else Score(())
    notes = with_track(accompaniment, score.track("melody")) if accompaniment.tracks else score
    prompt = Prompt(notes, grid, audio.duration_s, transcribed=not accompaniment.tracks)
    more = extend(prompt, options.outro_bars, options.transformer, settings.extend, options.seed, context.device)
    length_s = max(audio.duration_s + more.end_s - more.start_s, more.end_s)
    frames = round(length_s * audio.sample_rate)
    band = merge_scores(accompaniment, more.score)
    if options.backing == "original":
        takes = [Take(stem, 0.0, 0.0) for stem in (stems.drums, stems.bass, stems.other)]
        takes.append(Take(render(more.score, frames, settings.render), 0.0, 0.0))
    else:
        played = band if generated else merge_scores(without_track(score, "melody"), more.score)
        takes = [Take(render(played, frames, settings.render), 0.0, 0.0)]
    return Band(band, more, tuple(takes))


def weights_used(options: RemixOptions, settings: StageSettings) -> dict[str, str]:
    """The SHA-256 of each network that a remix uses; its separator has to be here."""
    tracker, transformer = settings.analyse.tracker, options.transformer
    used = {
        f"separator {options.separator}": separator_digest(options.separator),
        f"music_transformer {transformer}": registry.find("music_transformer", transformer).sha256,
        f"beat_tracker {tracker}": registry.find("beat_tracker", tracker).sha256,
    }
    if options.splitter != ALL_LEAD:
        used[f"vocal_splitter {options.splitter}"] = registry.find("vocal_splitter", options.splitter).sha256
    return used | {f"voice {name}": voice_digest(find_voice(name)) for name in options.singers()}


def modules_by_name(options: RemixOptions) -> tuple[str, ...]:
    """The modules that a remix loads by name: those of its separators' networks and of its voices' engines."""
    networks = [separator_path(options.separator)]
    if options.splitter != ALL_LEAD:
        networks.append(registry.verified(registry.find("vocal_splitter", options.splitter)))
    engines = {engine_module(find_voice(name)) for name in options.singers()}
    return tuple(sorted(engines.union(*map(network_modules, networks))))
