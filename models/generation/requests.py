"""What to generate, apart from the network that does it."""

from collections.abc import Collection
from dataclasses import dataclass

from models.generation.tokenizer import Piece


@dataclass(frozen=True)
class Request:
    """Generate bars [start, stop) of `piece`: notes of the families `write`, conditioned on the families `given`.

    `chords`: whether they are conditioned on the piece's chords, too.
    """

    piece: Piece
    start: int
    stop: int
    write: Collection[int]
    given: Collection[int] = ()
    chords: bool = False
