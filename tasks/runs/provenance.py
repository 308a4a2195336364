"""The provenance of a remix: voices and their consent, settings and weights, for manifest, tags and report."""

from dataclasses import dataclass
from typing import Any

CONVERTED = "AI-converted voice"
"""How the tags of files that hold a new voice begin."""


@dataclass(frozen=True)
class Singer:
    """A voice that sings in a remix: its `part` is "lead" or "backing", `ground` is that of its record of consent."""

    part: str
    voice: str
    ground: str


@dataclass(frozen=True)
class Provenance:
    """What the manifest, the tags and the report say of how a remix was made."""

    singers: tuple[Singer, ...]
    separator: str
    settings: dict[str, Any]
    weights: dict[str, str]
    notes: tuple[str, ...]

    @property
    def voice(self) -> str:
        """The voices that sing, each once; "" where the singers are the song's own."""
        return " and ".join(self._grounds())

    @property
    def voice_ground(self) -> str:
        """On what ground each of them may be used."""
        grounds = self._grounds()
        named = (f"{voice}: {ground}" for voice, ground in grounds.items())
        return "; ".join(named if len(grounds) > 1 else grounds.values())

    @property
    def comment(self) -> str:
        """What the files that hold their singing say in their tags."""
        named = ", ".join(f"{voice} ({ground})" for voice, ground in self._grounds().items())
        return f"{CONVERTED}: {named}" if named else ""

    def _grounds(self) -> dict[str, str]:
        return {singer.voice: singer.ground for singer in self.singers}
