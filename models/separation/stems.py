"""The four stems of a song, from whatever sources a separator parts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.core.errors import BadInput
from models.core.types import Samples

STEMS = ("drums", "bass", "other", "vocals")


def check_sources(separator: str, sources: Sequence[str]) -> None:
    """Raise `BadInput` unless a network parts the vocals from the rest of the song.

    Its sources are `vocals` and at least one that is, or belongs to, the stem `other`; drums and bass that it does not
    part are in there, too.

    >>> check_sources("mine.th", ["accompaniment", "vocals"])
    >>> check_sources("mine.th", ["lead_vocals", "backing_vocals", "room"])
    Traceback (most recent call last):
    models.core.errors.BadInput: mine.th parts lead_vocals, backing_vocals, room; a separator has to part vocals and other.
    """
    named, names = Path(separator).name, list(sources)
    if len(set(names)) < len(names):
        raise BadInput(f"{named} parts {', '.join(names)}; each source of a separator needs a name of its own.")
    if "vocals" not in names or not parts_of_other(names):
        raise BadInput(f"{named} parts {', '.join(names)}; a separator has to part vocals and other.")


def parts_of_other(sources: Sequence[str]) -> list[str]:
    """The sources that make up the stem `other`: itself, and all that are no stem (guitar, piano, accompaniment)."""
    return [name for name in sources if name == "other" or name not in STEMS]


def four_stems(sources: Sequence[str], parts: Samples) -> Samples:
    """Drums, bass, other and vocals from a network's own sources. Shape: (sources, 2, n) -> (4, 2, n)."""
    stems = np.zeros((len(STEMS), *parts.shape[1:]), np.float32)
    for name, part in zip(sources, parts, strict=True):
        stems[STEMS.index(name if name in STEMS else "other")] += part
    return stems
