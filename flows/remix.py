"""The remix: a song goes in, a new track comes out.

song -- ingest -- separate -+- part_voices -- follow_pitch -- revoice -------------------------+
                            +- listen -------+                                                 +- mixdown -- publish
                            +- transcribe ---+- accompany -- extend -- render -----------------+
"""

from dataclasses import asdict, replace
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from flows.devices import in_precision, resolved
from flows.options import DEFAULTS, Backing, Choices, Device, StageSettings
from flows.separators import known, usable
from flows.vocal_parts import KEEP_SINGER, SAME, cast, moved, notes_on_voice, sing_behind
from models.audio.decode import decode
from models.conversion import DEFAULT_VOICE
from models.conversion.convert import engine_module
from models.conversion.voices.registry import consent, find_voice, voice_digest
from models.core import registry
from models.core.errors import BadInput
from models.core.types import Band, Clip, Grid, Remixed, Score, Song, Stems, Take
from models.core.validation import MAX_SEED
from models.core.writable import check_writable
from models.generation import shortcomings
from models.separation.checkpoints import network_modules, separator_digest, separator_path
from models.symbolic.score_ops import joined, with_track, without
from tasks.cache.in_use import in_use
from tasks.runs.provenance import Credits
from tasks.runs.publish import Remix, publish
from tasks.runs.stage_log import ledger
from tasks.stages.analyse import listen
from tasks.stages.convert import revoice
from tasks.stages.extend import accompany, extend
from tasks.stages.ingest import ingest
from tasks.stages.measure import appraise
from tasks.stages.mix import mixdown
from tasks.stages.render import render
from tasks.stages.separate import ALL_LEAD, part_voices, separate
from tasks.stages.track_f0 import follow_pitch
from tasks.stages.transcribe import transcribe

LEAST_SUNG_S, LEAST_SUNG = 3.0, 0.1
"""A song in which nobody sings so many seconds, nor that part of it, has no vocals."""


@flow(
    name="remix",
    flow_run_name="{song} sung by {voice}",
    persist_result=False,
)
def remix(
    song: Path,
    voice: str = DEFAULT_VOICE,
    out: Path = Path("remixes"),
    seed: int = 0,
    device: Device = "auto",
    backing: Backing = "generated",
    outro_bars: int = 8,
    separator: str = "band-mask",
    splitter: str = "lead-backing",
    transformer: str = "small",
    settings: StageSettings = DEFAULTS,
    backing_voice: str = "none",
    transpose_backing: bool = False,
) -> Remix:
    """Remix a song: its voice sung by another, its band transcribed, played on and rendered anew.

    Args:
        song: The audio file.
        voice: Who sings: an installed voice, or "none" to keep the singer.
        out: The folder that gets a folder for the song.
        seed: Where every random choice starts; equal seeds give equal mixes.
        device: Where networks compute.
        backing: What plays under the voice: the original stems, the transcribed score on new instruments, or a band
            written by the Music Transformer.
        outro_bars: How many bars (0 to 64) the transformer plays on after the song.
        separator: Which network takes the song apart.
        splitter: Which network takes lead and backing vocals apart, or "none": all of them are lead.
        transformer: Which Music Transformer plays.
        settings: Every other option, by stage.
        backing_voice: Who sings behind the lead: a voice, "same" as the lead, or "none" to leave them.
        transpose_backing: Whether the band and the backing singers follow the lead into another key.
    """
    choices = Choices(
        voice, seed, device, backing, outro_bars, separator, splitter, transformer, settings, backing_voice,
        transpose_backing,
    )  # fmt: skip
    check(song, out, choices)
    with in_use():
        return remix_of(ingest(song), song, out, choices)


def remix_of(taken: Song, song: Path, out: Path, choices: Choices) -> Remix:
    """All that follows once a song is in the store: the body of every flow that remixes.

    `song` is the file it came from, for its name and tags; `out` gets a folder for it.
    """
    on = resolved(choices.device)
    choices = replace(choices, settings=in_precision(choices.settings, on))
    voice, seed, settings = choices.voice, choices.seed, choices.settings
    splitter = choices.splitter
    chosen = usable(choices.separator)
    separator = chosen.separator
    used = weights_used(replace(choices, separator=separator))
    stems = separate(taken.audio, separator, settings.separate, seed, on)
    hearing = listen.submit(stems.drums, stems.bass, stems.other, settings.listen, on)
    voices = part_voices(stems.vocals, splitter, settings.part_voices, seed, on)
    pitch = follow_pitch(voices.lead_vocals, taken.audio, settings.follow_pitch)
    sings = pitch.sung_s >= min(LEAST_SUNG_S, LEAST_SUNG * taken.audio.duration_s)
    casting = cast(pitch, sings, choices)
    singing = (
        revoice.submit(voices.lead_vocals, voice, replace(settings.revoice, key_shift=casting.shift), seed, on)
        if casting.lead != KEEP_SINGER
        else None
    )
    score = transcribe(
        stems.drums, stems.bass, stems.other, voices.lead_vocals, pitch, settings.transcribe, stems.parts
    )
    heard, score, grid = moved(stems, score, hearing.result(), casting.band_shift, choices.backing == "original")
    band = play_band(taken.audio, heard, score, grid, choices, on)
    lead = singing.result() if singing else voices.lead_vocals
    behind = sing_behind(voices, casting, choices, on)
    mix = mixdown(lead, behind, voices, heard, band, settings.mixdown, settings.master)
    new_pitch = follow_pitch(lead, taken.audio, settings.follow_pitch)
    made = Remixed(taken.audio, stems, voices, grid, score, pitch, lead, new_pitch, band, mix)
    appraisal = appraise(made, casting.lead if singing else "")
    credits = Credits(
        singers=casting.singers,
        separator=separator,
        settings={
            "voice": voice,
            "backing_voice": casting.behind,
            "key_shift": casting.shift,
            "transpose_backing": casting.band_shift,
            "seed": seed,
            "device": on,
            "backing": choices.backing,
            "outro_bars": choices.outro_bars,
            "stages": asdict(settings),
        },
        weights=used,
        notes=chosen.notes + notes_on_voice(pitch, casting) + notes_on(made, sings, choices),
    )
    return publish(song, out, made, appraisal, credits, ledger(str(flow_run.id)))


def notes_on(made: Remixed, sings: bool, choices: Choices) -> tuple[str, ...]:
    """What the listener should know of this remix, a sentence each."""
    master = choices.settings.master
    quiet = (
        f"The mix is at {made.mix.loudness_lufs:.1f} LUFS, not {master.target_lufs:g}: that would have taken more "
        f"than {master.max_limiting_db:g} dB of limiting."
    )
    return (
        *(() if sings else ("No vocals were found; the remix goes on without a voice.",)),
        *shortcomings(made.score, made.grid, made.audio.duration_s, choices.backing == "generated"),
        *(() if made.mix.target_reached else (quiet,)),
    )


def check(song: Path, out: Path, choices: Choices) -> None:
    """Raise `BadInput` for all that can be known to be wrong before anything is computed."""
    if not 0 <= choices.outro_bars <= 64:
        raise BadInput(f"The outro can have 0 to 64 bars, not {choices.outro_bars}.")
    if not 0 <= choices.seed <= MAX_SEED:
        raise BadInput(f"The seed is {choices.seed}; it must be 0 to {MAX_SEED}.")
    for singer in {choices.voice, choices.backing_voice} - {KEEP_SINGER, SAME}:
        consent(find_voice(singer))
    known(choices.separator)
    if choices.splitter != ALL_LEAD:
        registry.find("vocal_splitter", choices.splitter)
    registry.find("music_transformer", choices.transformer)
    in_precision(choices.settings, resolved(choices.device))
    decode(song)
    check_writable(out, f"The output folder {out}")


def play_band(audio: Clip, stems: Stems, score: Score, grid: Grid, choices: Choices, on: str) -> Band:
    """The second branch: what plays under the voice, and what is played on after the song."""
    backing, settings, seed, transformer = choices.backing, choices.settings, choices.seed, choices.transformer
    written = Score(())
    if backing == "generated":
        written = accompany(score, grid, audio.duration_s, transformer, settings.accompany, seed, on)
    prompt = with_track(written, score.track("melody")) if written.tracks else score
    bars, transcribed = choices.outro_bars, not written.tracks
    more = extend(prompt, grid, audio.duration_s, bars, transformer, settings.extend, seed, on, transcribed)
    length_s = max(audio.duration_s + more.end_s - more.start_s, more.end_s)
    frames = round(length_s * audio.sample_rate)
    generated = joined(written, more.score)
    if backing == "original":
        takes = [Take(stem, 0.0, 0.0) for stem in (stems.drums, stems.bass, stems.other)]
        takes.append(Take(render(more.score, frames, settings.render), 0.0, 0.0))
    else:
        played = generated if backing == "generated" else joined(without(score, "melody"), more.score)
        takes = [Take(render(played, frames, settings.render), 0.0, 0.0)]
    return Band(generated, more, tuple(takes))


def weights_used(choices: Choices) -> dict[str, str]:
    """The SHA-256 of each network that a remix uses; its separator has to be here."""
    tracker, transformer = choices.settings.listen.tracker, choices.transformer
    used = {
        f"separator {choices.separator}": separator_digest(choices.separator),
        f"music_transformer {transformer}": registry.find("music_transformer", transformer).sha256,
        f"beat_tracker {tracker}": registry.find("beat_tracker", tracker).sha256,
    }
    if choices.splitter != ALL_LEAD:
        used[f"vocal_splitter {choices.splitter}"] = registry.find("vocal_splitter", choices.splitter).sha256
    return used | {f"voice {name}": voice_digest(find_voice(name)) for name in singers_of(choices)}


def modules_by_name(choices: Choices, separator: str) -> tuple[str, ...]:
    """The modules that a remix loads by name: those of its separators' networks and of its voices' engines."""
    networks = [separator_path(separator)]
    if choices.splitter != ALL_LEAD:
        networks.append(registry.verified(registry.find("vocal_splitter", choices.splitter)))
    engines = {engine_module(find_voice(name)) for name in singers_of(choices)}
    return tuple(sorted(engines.union(*map(network_modules, networks))))


def singers_of(choices: Choices) -> list[str]:
    """The installed voices that a remix uses."""
    return sorted({choices.voice, choices.backing_voice} - {KEEP_SINGER, SAME})
