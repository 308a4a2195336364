"""What `remix submit` and `remix batch add` may be given for the remixes: the service's form as options."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from flows.cli.instruments import Instruments, playing
from flows.cli.run import (
    Along,
    Backing,
    Behind,
    Device,
    Key,
    On,
    Options,
    Outro,
    Seed,
    Splitter,
    Transformer,
    Under,
    Voice,
)
from models.conversion import DEFAULT_VOICE

Separator = Annotated[str, typer.Option(help="The network that takes songs apart.")]
Soundfont = Annotated[str, typer.Option(help="`built-in`, or the name of a file in the service's folder soundfonts.")]


@dataclass(frozen=True)
class Wanted:
    """The choices for remixes by the service, as the command line has them."""

    voice: Voice = DEFAULT_VOICE
    seed: Seed = 0
    device: On = Device.auto
    backing: Under = Backing.generated
    outro_bars: Outro = 8
    separator: Separator = "band-mask"
    splitter: Splitter = "lead-backing"
    transformer: Transformer = "small"
    instrument: Instruments = None
    soundfont: Soundfont = "built-in"
    backing_voice: Behind = "none"
    key_shift: Key = None
    transpose_backing: Along = False
    options: Options = None

    def parameters(self) -> dict[str, Any]:
        """The same as parameters of a run; raises `BadInput` for what is not installed here or no option."""
        from dataclasses import asdict

        from flows.deployments.forms import Form

        moved = [] if self.key_shift is None else [f"revoice.key_shift={self.key_shift}"]
        form = Form(
            voice=self.voice,
            backing=self.backing.value,
            outro_bars=self.outro_bars,
            seed=self.seed,
            device=self.device.value,
            separator=self.separator,
            splitter=self.splitter,
            transformer=self.transformer,
            soundfont=self.soundfont,
            backing_voice=self.backing_voice,
            transpose_backing=self.transpose_backing,
            options=[*playing(self.instrument, None), *moved, *(self.options or [])],
        )
        form.choices()
        return asdict(form)
