"""Synthetic speech with known phone times, for training the content encoder.

It uses espeak-ng's library and flite's command, which only training needs (Debian: `apt-get install espeak-ng flite`).
"""

import ctypes
import ctypes.util
import pydoc_data.topics
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from models.conversion.training.phones import ARPABET, Segment
from models.core.dtypes import FloatArray, Int16Array
from models.core.errors import BadInput

ESPEAK_LANGUAGES = ("en-us", "en", "es", "it", "de", "fr", "pt-br", "nl", "ko", "hi", "pl", "tr", "sv", "fi")
ESPEAK_VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+f5", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7")
FLITE_VOICES = ("slt", "rms", "awb", "kal16")


@dataclass(frozen=True)
class Speech:
    """`samples` is mono float32 in ±1 at `sample_rate` hertz; `segments` are its phones in order."""

    samples: FloatArray
    sample_rate: int
    segments: list[Segment]


def speak(rng: np.random.Generator) -> Speech:
    """A sentence by a random synthesiser, voice, language, pitch, and speed."""
    if rng.random() < 0.4:
        voice = str(rng.choice(FLITE_VOICES))
        return flite(english(rng, 8), voice, float(rng.uniform(0.7, 2.0)), float(rng.uniform(90, 330)))
    language = "en-us" if rng.random() < 0.35 else str(rng.choice(ESPEAK_LANGUAGES))
    text = english(rng, 8) if language.startswith("en") else invented_words(rng, language, 8)
    voice = language + str(rng.choice(ESPEAK_VARIANTS))
    return espeak(text, voice, int(rng.integers(80, 200)), int(rng.integers(0, 100)))


@cache
def _english_words() -> tuple[str, ...]:
    text = " ".join(pydoc_data.topics.topics.values())
    words = {w.strip(".,:;()'\"`").lower() for w in text.split()}
    return tuple(sorted(w for w in words if w.isascii() and w.isalpha() and (2 < len(w) < 13 or w in ("a", "i"))))


def english(rng: np.random.Generator, words: int) -> str:
    """English words from the Python manual, a third replaced by random syllables to balance the phones."""
    known = _english_words()
    return " ".join(
        _syllables(rng, "bcdfghjklmnprstvwyz", "aeiouy", 2)
        if rng.random() < 0.33
        else known[int(rng.integers(len(known)))]
        for _ in range(words)
    )


def _syllables(rng: np.random.Generator, consonants: str, vowels: str, count: int) -> str:
    return "".join(
        str(rng.choice(list(consonants))) + str(rng.choice(list(vowels)))
        for _ in range(int(rng.integers(1, count + 2)))
    )


def invented_words(rng: np.random.Generator, language: str, words: int) -> str:
    """Random syllables that the language's spelling rules can pronounce."""
    if language == "ko":
        spoken = [
            "".join(chr(0xAC00 + int(rng.integers(11172))) for _ in range(rng.integers(1, 4))) for _ in range(words)
        ]
        return " ".join(spoken)
    if language == "hi":
        return " ".join(_syllables(rng, "कखगघचछजझटठडढतथदधनपफबभमयरलवशसह", "ािीुूेैोौ", 2) for _ in range(words))
    accents = {"es": "ñ", "de": "äöü", "fr": "éèôu", "pt-br": "ãõç", "tr": "öüış", "sv": "åäö", "fi": "äö", "pl": "ąęł"}
    extra = accents.get(language, "")
    vowels = "aeiou" + "".join(c for c in extra if c not in "ñçşł")
    consonants = "bdfgklmnprstvz" + "".join(c for c in extra if c in "ñçşł") + ("h" if language != "it" else "")
    return " ".join(_syllables(rng, consonants, vowels, 2) for _ in range(words))


def flite(text: str, voice: str, stretch: float, f0_hz: float) -> Speech:
    """Text by one of flite's voices, `stretch` times its usual duration, about a mean pitch."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        settings = ["--setf", f"duration_stretch={stretch}", "--setf", f"int_f0_target_mean={f0_hz}"]
        command = ["flite", "-voice", voice, "-psdur", *settings, "-t", text, "-o", str(path)]
        try:
            timing = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        except FileNotFoundError as error:
            raise BadInput("flite is not installed; training needs it (Debian: apt-get install flite).") from error
        samples, rate = soundfile.read(path, dtype="float32")
    pairs = [entry.rsplit(":", 1) for entry in timing.split()]
    return Speech(samples, rate, [Segment(ARPABET[phone], float(end)) for phone, end in pairs])


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_PHONEME_EVENT = 7


@cache
def _espeak_library() -> tuple[ctypes.CDLL, int]:
    """espeak-ng's library and its sample rate, set to return audio at once and to report phonemes in IPA."""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
    except OSError as error:
        raise BadInput("espeak-ng is not installed; training needs it (Debian: apt-get install espeak-ng).") from error
    return library, int(library.espeak_Initialize(2, 0, None, 1 | 2))


def espeak(text: str, voice: str, words_a_minute: int, pitch: int) -> Speech:
    """Text by one of espeak-ng's voices ("ko+f3": language and variant); `pitch` is 0 to 99."""
    library, rate = _espeak_library()
    audio: list[Int16Array] = []
    starts: list[tuple[float, str]] = []

    def collect(samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if samples and count > 0:
            audio.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type:
            if events[index].type == _PHONEME_EVENT:
                starts.append((events[index].sample / rate, events[index].id.string.decode("utf-8", "ignore")))
            index += 1
        return 0

    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()):
        raise BadInput(f"espeak-ng has no voice named {voice!r}.")
    library.espeak_SetParameter(1, words_a_minute, 0)
    library.espeak_SetParameter(3, pitch, 0)
    data = text.encode()
    library.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
    library.espeak_Synchronize()
    samples = np.asarray(np.concatenate(audio) / 32768 if audio else np.zeros(1), np.float32)
    ends = [start for start, _ in starts[1:]] + [len(samples) / rate]
    lead = [Segment("", starts[0][0])] if starts else []
    return Speech(samples, rate, lead + [Segment(ipa, end) for (_, ipa), end in zip(starts, ends, strict=True)])
