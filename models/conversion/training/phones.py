"""A multilingual phone inventory, and the frame labels that a content encoder is trained with.

Diphthongs and affricates are split into their two phones, long and nasal vowels are mapped to plain ones, and other
phones to the nearest in the inventory.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LABEL_HOP_S = 0.01
"""Label hop in seconds; frame i covers [i, i + 1) hops."""

PHONES = (
    "_", "p", "b", "t", "d", "k", "ɡ", "f", "v", "θ", "ð", "s", "z", "ʃ", "ʒ", "x", "h", "m", "n", "ɲ", "ŋ", "l", "ɹ",
    "ɾ", "j", "w", "i", "ɪ", "y", "e", "ø", "ɛ", "æ", "a", "ɑ", "ɔ", "o", "ʊ", "u", "ʌ", "ə", "ɜ",
)  # fmt: skip
"""Class i is PHONES[i]; class 0, "_", is silence."""

_INDEX = {phone: i for i, phone in enumerate(PHONES)}

_FOLDED = {
    "g": "ɡ", "q": "k", "c": "k", "ɟ": "ɡ", "ʈ": "t", "ɖ": "d", "ɕ": "ʃ", "ʂ": "ʃ", "ʑ": "ʒ", "ʐ": "ʒ", "ç": "x",
    "χ": "x", "ɣ": "x", "ɦ": "h", "ħ": "h", "β": "v", "ʋ": "v", "ɸ": "f", "ɱ": "m", "ɳ": "n", "ɴ": "ŋ", "ɫ": "l",
    "ʎ": "j", "ɭ": "l", "r": "ɾ", "ɽ": "ɾ", "ʀ": "x", "ʁ": "x", "ɻ": "ɹ", "ɥ": "j", "ɰ": "w", "ʍ": "w", "œ": "ø",
    "ɵ": "ø", "ɐ": "a", "ɒ": "ɑ", "ɤ": "ʌ", "ɯ": "u", "ɨ": "ɪ", "ʉ": "u", "ɚ": "ɜ", "ɝ": "ɜ", "ɘ": "ə", "ɞ": "ɜ",
    "ᵻ": "ɪ", "ʔ": "_", "ʏ": "y", "ɬ": "ʃ",
}  # fmt: skip

ARPABET = {
    "pau": "_", "sil": "_", "p": "p", "b": "b", "t": "t", "d": "d", "k": "k", "g": "ɡ", "f": "f", "v": "v", "th": "θ",
    "dh": "ð", "s": "s", "z": "z", "sh": "ʃ", "zh": "ʒ", "hh": "h", "m": "m", "n": "n", "ng": "ŋ", "l": "l", "r": "ɹ",
    "y": "j", "w": "w", "ch": "tʃ", "jh": "dʒ", "iy": "i", "ih": "ɪ", "ey": "eɪ", "eh": "ɛ", "ae": "æ", "aa": "ɑ",
    "ao": "ɔ", "ow": "oʊ", "uh": "ʊ", "uw": "u", "ah": "ʌ", "ax": "ə", "er": "ɜ", "ay": "aɪ", "aw": "aʊ", "oy": "ɔɪ",
    "nx": "ɾ", "dx": "ɾ", "el": "əl", "em": "m", "en": "n", "axr": "ɜ", "ix": "ɪ", "ux": "u", "hv": "h",
}  # fmt: skip
"""Festival's and flite's phone names as IPA."""


@dataclass(frozen=True)
class Segment:
    """A phone in IPA and its end in seconds."""

    ipa: str
    end_s: float


def classes(ipa: str) -> tuple[int, ...]:
    """The classes of an IPA string's phones, in order; silence for an empty one.

    >>> [PHONES[i] for i in classes("tʃ")], [PHONES[i] for i in classes("ɑː")], [PHONES[i] for i in classes("")]
    (['t', 'ʃ'], ['ɑ'], ['_'])
    """
    letters = [_FOLDED.get(letter, letter) for letter in ipa]
    return tuple(_INDEX[letter] for letter in letters if letter in _INDEX) or (0,)


def frame_labels(segments: list[Segment], frames: int) -> NDArray[np.int8]:
    """One class a frame of `LABEL_HOP_S`; silence after the last segment. Shape: (frames,)."""
    labels = np.zeros(frames, np.int8)
    start = 0.0
    for segment in segments:
        parts = classes(segment.ipa)
        bounds = np.round(np.linspace(start, segment.end_s, len(parts) + 1) / LABEL_HOP_S).astype(int)
        for part, low, high in zip(parts, bounds[:-1], bounds[1:], strict=True):
            labels[low:high] = part
        start = segment.end_s
    return labels
