"""What is to be written and how: the orders that sampling carries out, without the network it takes."""

from collections.abc import Collection
from dataclasses import dataclass

from models.generation.tokenizer import Piece


@dataclass(frozen=True)
class Manner:
    """How events are drawn: see `models.generation.PlaySettings`, whose fields these are."""

    temperature: float
    top_p: float
    follow: float
    density: float
    harmony: float = 0.0


@dataclass(frozen=True)
class Task:
    """What to write: bars [start, stop) of `piece` in the families `write`, beside those `given`."""

    piece: Piece
    start: int
    stop: int
    write: Collection[int]
    given: Collection[int] = ()
    chords: bool = False
