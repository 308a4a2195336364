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
from numpy.typing import NDArray

from models.audio.framing import Mono, frame_windows, mono_blocks
from models.core.progress import UNWATCHED, Watch
from models.core.types import Source

RATE = 22_050
"""The network hears mono audio at this rate, in hertz."""
HOP = 256
LOWEST_PITCH = 21
"""The MIDI pitch of column 0 of the posteriors; there are 88."""
_WINDOW = 2 * RATE - HOP
_OVERLAP = 30
_STEP = _WINDOW - _OVERLAP * HOP
_KEPT = 2 * (RATE // HOP) - _OVERLAP
_OUTPUTS = ("StatefulPartitionedCall:1", "StatefulPartitionedCall:2")
_INPUT = "serving_default_input_2:0"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Posteriors:
    """How likely each of 88 pitches sounds (`frames`) and starts (`onsets`) in each frame. Shape: (frames, 88)."""

    frames: Floats
    onsets: Floats

    def times(self) -> NDArray[np.float64]:
        """When each frame is, in seconds. Shape: (frames + 1,), the last one being the end.

        A window holds 142 frames of 256 samples but moves on by 36164 samples only, so time is counted by window.
        """
        index = np.arange(len(self.frames) + 1)
        samples: NDArray[np.float64] = (index // _KEPT * _STEP + index % _KEPT * HOP) / RATE
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


def posteriors(source: Source, batch: int, threads: int, watch: Watch = UNWATCHED) -> Posteriors:
    """Run the network over all of `source`, `batch` windows of 2 s at once, on so many CPU threads.

    The same as the package's own loop over single windows to within 1e-5. Memory: 704 bytes a frame, 86 frames a
    second (two million frames, 1.4 MB, a minute) beside one batch.
    """
    total = int(np.ceil(source.frames * RATE / source.sample_rate))
    wanted = int(np.floor(total * ((RATE // HOP) / RATE)))
    windows = frame_windows(mono_blocks(source, RATE), _WINDOW, _STEP, lead=_OVERLAP // 2 * HOP)
    parts: list[tuple[Floats, Floats]] = []
    for done, group in enumerate(_batches(windows, batch)):
        watch.at(done * batch * _STEP / max(total, 1))
        notes, onsets = _session(threads).run(list(_OUTPUTS), {_INPUT: np.stack(group)[:, :, None]})
        parts.append((_joined(notes), _joined(onsets)))
    empty = np.zeros((0, 88), np.float32)
    frames = np.concatenate([p[0] for p in parts] or [empty])[:wanted]
    return Posteriors(frames, np.concatenate([p[1] for p in parts] or [empty])[:wanted])


def together(heard: Sequence[Posteriors]) -> Posteriors:
    """What is heard in any of several stems of one song."""
    frames = [np.maximum.reduce([getattr(one, name) for one in heard]) for name in ("frames", "onsets")]
    return Posteriors(*frames)


def _joined(output: Floats) -> Floats:
    """The middle of each window's output, one after the other. (B, 172, 88) -> (B * 142, 88)"""
    half = _OVERLAP // 2
    return output[:, half:-half].reshape(-1, output.shape[2])


def _batches(windows: Iterator[Mono], size: int) -> Iterator[list[Mono]]:
    while group := list(islice(windows, size)):
        yield group
