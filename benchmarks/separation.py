"""Ours against `python -m demucs`, in turn, on the same file, weights and settings: seconds, peak memory, difference.

    python benchmarks/separation.py [--seconds 30] [--turns 2] [--precision bfloat16] [--device cuda]

Both load a random-weight htdemucs of the official size (speed does not depend on the weights) and write its stems.
Each runs in its own process, so that the peak memory is its own. Prints JSON.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RATE = 44100


def ours(folder: Path, precision: str, batch: int, device: str) -> dict[str, float]:
    import soundfile
    import torch

    from models.core.malloc import keep_freed_memory
    from models.core.types import Wave
    from models.separation.checkpoints import load
    from models.separation.separate import split
    from models.separation.settings import SeparateSettings

    keep_freed_memory()  # as the command line and the engine do
    torch.set_num_threads(os.cpu_count() or 1)
    samples, _ = soundfile.read(folder / "song.wav", dtype="float32", always_2d=True)
    network = load(folder / "net.th", device)
    start = time.perf_counter()
    blocks = split(Wave(samples.T, RATE), network, SeparateSettings(0.25, 0, batch, precision), 0, device)
    files = [soundfile.SoundFile(folder / f"{s}.wav", "w", RATE, 2, "PCM_16") for s in network.sources]
    for block in blocks:
        for file, part in zip(files, block, strict=True):
            file.write(part.T)
    for file in files:
        file.close()
    return {"separating_s": round(time.perf_counter() - start, 2)}


def theirs(folder: Path, device: str) -> None:
    from demucs.separate import main

    main(
        [
            "-n",
            "net",
            "--repo",
            str(folder),
            "--shifts",
            "0",
            "-d",
            device,
            "-o",
            str(folder / "out"),
            str(folder / "song.wav"),
        ]
    )


def measured(folder: Path, who: str, options: argparse.Namespace) -> dict[str, float | str]:
    """Seconds and peak memory of one run in a process of its own."""
    command = [sys.executable, __file__, "--child", who, "--folder", str(folder), "--precision", options.precision]
    command += ["--batch", str(options.batch), "--device", options.device]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"who": who, "error": done.stderr.strip().splitlines()[-1]}
    own = json.loads(done.stdout.strip().splitlines()[-1])
    return {"who": who, "wall_s": round(time.perf_counter() - start, 2)} | own


def prepare(folder: Path, seconds: float) -> None:
    import soundfile
    import torch
    from demucs.htdemucs import HTDemucs

    rng = np.random.default_rng(0)
    noise = np.cumsum(rng.standard_normal((int(seconds * RATE), 2)), axis=0)
    soundfile.write(folder / "song.wav", 0.3 * noise / np.abs(noise).max(), RATE, "PCM_16")
    torch.manual_seed(0)
    kwargs = {"sources": ["drums", "bass", "other", "vocals"], "bottom_channels": 512}
    state = HTDemucs(**kwargs).state_dict()
    torch.save({"klass": HTDemucs, "args": [], "kwargs": kwargs, "state": state}, folder / "net.th")


def child(options: argparse.Namespace) -> None:
    begun = time.process_time()
    if options.child == "demucs":
        theirs(options.folder, options.device)
        found = {}
    else:
        precision = "float32" if options.child == "ours" else options.precision
        found = ours(options.folder, precision, options.batch, options.device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found | {"cpu_s": round(time.process_time() - begun, 2), "peak_mb": round(peak)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the song")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--precision", default="bfloat16", help="the reduced precision to compare as well")
    parser.add_argument("--batch", type=int, default=1, help="segments at once; 0 asks the GPU's memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
    else:
        with tempfile.TemporaryDirectory() as name:
            prepare(Path(name), options.seconds)
            for _ in range(options.turns):
                for who in ("demucs", "ours", "ours reduced"):
                    print(json.dumps(measured(Path(name), who, options)), flush=True)
