"""What a finished run shows on its page in the UI: figures in plain words, pictures, and where the remix lies."""

import io
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

from PIL import Image
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.runtime import deployment, flow_run

from models.report.plots import summary_plots
from models.report.types import Measurements, ReportInput
from tasks.runs.remixes import address_of

_PLAIN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>"})
"""A song's title means itself in Markdown."""
_WIDTH, _QUALITY = 800, 60  # a picture of some 30 kB: it is kept in the server's database


def summarise(folder: Path, title: str, numbers: Measurements, data: ReportInput) -> None:
    """Show a remix; the pictures only where a service runs, since nobody looks at a temporary server."""
    with suppress(Exception):  # a server that does not answer takes nothing from the finished remix
        rows = [
            {"what": f.name, "value": f"{f.value:.2f} {f.unit}", "word": f.word, "meaning": f.meaning}
            for f in numbers.metrics
        ]
        create_table_artifact(rows, description=f"{title}, remixed")
        served = address_of(folder, str(flow_run.id))
        for name, what in (("report.html", "The report"), ("mix.mp3", "The mix")):
            create_link_artifact(f"{served or folder.absolute().as_uri()}/{name}", name, description=what)
        if deployment.id:
            for name, picture in summary_plots(data).items():
                create_image_artifact(inline(picture), description=name.replace("_", " "))
            create_markdown_artifact(_where(folder, title, served), description="Where the remix is")


def inline(picture: bytes) -> str:
    """A picture as a data URL, small."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail((_WIDTH, _WIDTH))
    packed = io.BytesIO()
    image.save(packed, "WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{b64encode(packed.getvalue()).decode()}"


def _where(folder: Path, title: str, served: str | None) -> str:
    named = f"**{title.translate(_PLAIN)}** is remixed"
    if not served:
        return f"{named}. It lies in `{folder.absolute()}`."
    return (
        f"{named}: [the report]({served}/report.html), [mix.mp3]({served}/mix.mp3), [mix.wav]({served}/mix.wav). "
        f"On the service's machine it lies in `{folder.absolute()}`, with the stems and the MIDI. "
        f"Anywhere else: `remix runs fetch {flow_run.id} --out DIR`."
    )
