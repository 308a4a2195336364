"""The form of a remix by the service: what may be chosen, written once for every flow that remixes."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field

from flows.options import Backing, Choices, Device, StageSettings, with_options
from flows.remix import singers_of
from flows.vocal_parts import KEEP_SINGER, SAME
from models.conversion import DEFAULT_VOICE
from models.conversion.voices.registry import consent, find_voice, voices
from models.core import registry
from models.core.errors import BadInput, unknown_name
from models.core.registry import home
from models.core.validation import MAX_SEED
from tasks.stages.separate import ALL_LEAD

BUILT_IN = "built-in"
"""The SoundFont that comes with the project."""


def _names(kind: str, *more: str) -> dict[str, Any]:
    """Makes a form offer the registered names of a kind."""
    return {"enum": [*(w.name for w in registry.manifest() if w.kind == kind), *more]}


VoiceName = Annotated[str, Field(json_schema_extra={"enum": [*voices(), KEEP_SINGER]})]
BackingVoiceName = Annotated[str, Field(json_schema_extra={"enum": [*voices(), SAME, KEEP_SINGER]})]
Outro = Annotated[int, Field(ge=0, le=64)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
SeparatorName = Annotated[str, Field(json_schema_extra=_names("separator"))]
SplitterName = Annotated[str, Field(json_schema_extra=_names("vocal_splitter", ALL_LEAD))]
TransformerName = Annotated[str, Field(json_schema_extra=_names("music_transformer"))]


@dataclass(frozen=True)
class Form:
    """What may be chosen for a remix, by names of what is installed: no path and no URL.

    Args:
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
        options: Any other option as stage.option=value, one a line (master.target_lufs=-16 is in LUFS);
            the command `remix settings` names them.
    """

    voice: VoiceName = DEFAULT_VOICE
    backing: Backing = "generated"
    outro_bars: Outro = 8
    seed: Seed = 0
    device: Device = "auto"
    separator: SeparatorName = "band-mask"
    splitter: SplitterName = "lead-backing"
    transformer: TransformerName = "small"
    soundfont: str = BUILT_IN
    backing_voice: BackingVoiceName = KEEP_SINGER
    transpose_backing: bool = False
    options: list[str] = field(default_factory=list)

    def choices(self) -> Choices:
        """What was chosen; raises `BadInput` for what is not installed or no option."""
        chosen = Choices(
            voice=self.voice,
            seed=self.seed,
            device=self.device,
            backing=self.backing,
            outro_bars=self.outro_bars,
            separator=self.separator,
            splitter=self.splitter,
            transformer=self.transformer,
            settings=settings_of(self.soundfont, self.options),
            backing_voice=self.backing_voice,
            transpose_backing=self.transpose_backing,
        )
        check_names(chosen)
        return chosen


DEFAULTS = Form()


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
    for singer in singers_of(choices):
        consent(find_voice(singer))
    registry.find("separator", choices.separator)
    if choices.splitter != ALL_LEAD:
        registry.find("vocal_splitter", choices.splitter)
    registry.find("music_transformer", choices.transformer)
