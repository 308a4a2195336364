"""Corpus of the content encoder: synthetic speech with phone labels, and recordings without."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from models.conversion.content import CONTENT_RATE
from models.conversion.training.content_encoder import Corpus
from models.conversion.training.phones import LABEL_HOP_S, frame_labels
from models.conversion.training.synthetic_speech import speak
from models.core.dtypes import FloatArray, Int16Array
from models.core.progress import UNWATCHED, Watch

_LABEL = int(LABEL_HOP_S * CONTENT_RATE)
HELD_OUT_EVERY = 50


@dataclass(frozen=True)
class Recording:
    """Mono `samples` at `sample_rate` hertz."""

    samples: FloatArray
    sample_rate: int


def synthetic_utterances(
    seconds: float, seed: int, watch: Watch = UNWATCHED
) -> Iterator[tuple[Int16Array, NDArray[np.int8]]]:
    """Synthetic sentences, `seconds` in all, each as samples at `CONTENT_RATE` and labels."""
    rng = np.random.default_rng(seed)
    done = 0.0
    while done < seconds:
        watch.at(done / seconds)
        speech = speak(rng)
        samples = soxr.resample(speech.samples, speech.sample_rate, CONTENT_RATE)
        frames = len(samples) // _LABEL
        if frames < 50:
            continue
        done += frames * LABEL_HOP_S
        yield _int16(samples[: frames * _LABEL]), frame_labels(speech.segments, frames)


def active_segments(recording: Recording, gate_db: float = 45.0) -> Iterator[Int16Array]:
    """Active segments of a recording, 1 to 20 s long, at `CONTENT_RATE`; split at pauses over 0.5 s."""
    samples = soxr.resample(recording.samples, recording.sample_rate, CONTENT_RATE)
    hop = CONTENT_RATE // 20
    blocks = samples[: len(samples) // hop * hop].reshape(-1, hop)
    if not len(blocks):
        return
    level = 10 * np.log10(np.mean(blocks**2, axis=1) + 1e-10)
    loud = np.flatnonzero(level > max(np.percentile(level, 98) - gate_db, -60))
    for run in np.split(loud, np.flatnonzero(np.diff(loud) > 10) + 1):
        for low in range(int(run[0]), int(run[-1]) + 1, 400) if len(run) else ():
            high = min(low + 400, int(run[-1]) + 1)
            if high - low >= 20:
                yield _int16(samples[low * hop : high * hop // _LABEL * _LABEL])


def _int16(samples: FloatArray) -> Int16Array:
    peak = float(np.abs(samples).max(initial=1e-4))
    return np.asarray(samples / peak * 0.9 * 32767, np.int16)


def write(folder: Path, labelled: Iterable[tuple[Int16Array, NDArray[np.int8]]], plain: Iterable[Int16Array]) -> None:
    """Write a corpus as raw arrays below `folder`, clip by clip."""
    folder.mkdir(parents=True, exist_ok=True)
    bounds: list[tuple[int, int]] = []
    labelled_flags: list[bool] = []
    position = 0
    with open(folder / "audio.i16", "wb") as audio, open(folder / "labels.i8", "wb") as classes:
        for samples, labels in labelled:
            audio.write(samples.tobytes())
            classes.write(labels.tobytes())
            bounds.append((position, position := position + len(samples)))
            labelled_flags.append(True)
        for samples in plain:
            audio.write(samples.tobytes())
            classes.write(np.full(len(samples) // _LABEL, -1, np.int8).tobytes())
            bounds.append((position, position := position + len(samples)))
            labelled_flags.append(False)
    (folder / "clips.json").write_text(json.dumps({"bounds": bounds, "labelled": labelled_flags}))


def read(folder: Path) -> Corpus:
    """The corpus that `write` wrote to a folder; every `HELD_OUT_EVERY`th clip is held out."""
    clips = json.loads((folder / "clips.json").read_text())
    bounds = np.array(clips["bounds"], np.int64)
    return Corpus(
        np.memmap(folder / "audio.i16", np.int16, "r"),
        np.fromfile(folder / "labels.i8", np.int8),
        bounds,
        np.array(clips["labelled"], bool),
        np.arange(len(bounds)) % HELD_OUT_EVERY == 0,
    )
