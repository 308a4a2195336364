"""Basic Pitch's network (in the package as ONNX) over a source of any length, several windows at once.

Bittner et al., "A Lightweight Instrument-Agnostic Model for Polyphonic Note Transcription and Multipitch Estimation",
ICASSP 2022.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime

from models.audio.framing import Mono, frame_windows, mono_blocks
from models.core.dtypes import DoubleArray, FloatArray
from models.core.progress import UNWATCHED, Watch
from models.core.types import Source

RATE = 22_050
"""Sample rate of the network's mono input, in hertz."""
HOP = 256
BASE_PITCH = 21
"""The MIDI pitch of column 0 of the posteriors; there are 88."""
_WINDOW = 2 * RATE - HOP
_OVERLAP = 30
_STEP = _WINDOW - _OVERLAP * HOP
_FRAMES_KEPT = 2 * (RATE // HOP) - _OVERLAP
_OUTPUTS = ("StatefulPartitionedCall:1", "StatefulPartitionedCall:2")
_INPUT = "serving_default_input_2:0"


@dataclass(frozen=True)
class Posteriors:
    """Probability of each of 88 pitches to sound (`frames`) and to start (`onsets`). Shape: (frames, 88)."""

    frames: FloatArray
    onsets: FloatArray

    def times(self) -> DoubleArray:
        """The time of each frame, in seconds. Shape: (frames + 1,), the last one being the end.

        A window holds 142 frames of 256 samples but moves on by 36164 samples only, so time is counted by window.
        """
        index = np.arange(len(self.frames) + 1)
        samples: DoubleArray = (index // _FRAMES_KEPT * _STEP + index % _FRAMES_KEPT * HOP) / RATE
        return samples


@cache
def _session(threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    spec = find_spec("basic_pitch")  # importing it would log three warnings and set up the root logger
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("basic-pitch is not installed")
    path = Path(spec.origin).parent / "saved_models" / "icassp_2022" / "nmp.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def compute_posteriors(source: Source, batch: int, threads: int, watch: Watch = UNWATCHED) -> Posteriors:
    """Run the network over all of `source`, `batch` windows of 2 s at once, on `threads` CPU threads.

    The same as the package's own loop over single windows to within 1e-5. Memory: 704 bytes a frame, 86 frames a
    second (two million frames, 1.4 MB, a minute) beside one batch.
    """
    total = int(np.ceil(source.frames * RATE / source.sample_rate))
    frame_count = int(np.floor(total * ((RATE // HOP) / RATE)))
    windows = frame_windows(mono_blocks(source, RATE), _WINDOW, _STEP, lead=_OVERLAP // 2 * HOP)
    parts: list[tuple[FloatArray, FloatArray]] = []
    for done, group in enumerate(_batches(windows, batch)):
        watch.at(done * batch * _STEP / max(total, 1))
        notes, onsets = _session(threads).run(list(_OUTPUTS), {_INPUT: np.stack(group)[:, :, None]})
        parts.append((_joined(notes), _joined(onsets)))
    empty = np.zeros((0, 88), np.float32)
    frames = np.concatenate([p[0] for p in parts] or [empty])[:frame_count]
    return Posteriors(frames, np.concatenate([p[1] for p in parts] or [empty])[:frame_count])


def max_posteriors(stems: Sequence[Posteriors]) -> Posteriors:
    """The maximum over the posteriors of several stems of one song."""
    frames = [np.maximum.reduce([getattr(one, name) for one in stems]) for name in ("frames", "onsets")]
    return Posteriors(*frames)


def _joined(output: FloatArray) -> FloatArray:
    """The middle of each window's output, concatenated. (B, 172, 88) -> (B * 142, 88)"""
    half = _OVERLAP // 2
    return output[:, half:-half].reshape(-1, output.shape[2])


def _batches(windows: Iterator[Mono], size: int) -> Iterator[list[Mono]]:
    while group := list(islice(windows, size)):
        yield group
