"""Ours against `svc infer`, in turn, on the same singing, voice and settings: seconds, peak memory, lateness.

    python benchmarks/voice.py [--seconds 30] [--turns 2] [--voice lj] [--fork-pitch dio]

Each runs in its own process, so that the peak memory is its own, and is timed as a user waits for it, imports and
loading included; `core_s` is without the imports. Both draw noise at scale 0.3; nothing is transposed. The fork's entry
point is called in place of its command, whose start needs a network. Prints JSON.

With --seconds 60 --turns 1, both on one and the same busy core: theirs 19.7 s and 2.00 GB, 5.0 ms late; ours 9.2 s and
1.01 GB, 0.6 ms late; 2.1 times faster. (With 16 s of singing, of which more is loading, 1.3 times.)
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


def ours(folder: Path, name: str, pitch: str) -> float:
    import numpy as np
    import soundfile

    from models.conversion.convert import convert, load_voice
    from models.conversion.settings import ConvertSettings
    from models.conversion.voices.registry import find_voice
    from models.core.types import Wave

    import models.conversion.engines.so_vits  # isort: skip  # noqa: F401  (its imports are not the core)

    samples, rate = soundfile.read(folder / "sung.wav", dtype="float32", always_2d=True)
    start = time.perf_counter()
    voice = load_voice(find_voice(name), "cpu")
    blocks = convert(Wave(samples.T, rate), voice, ConvertSettings(key_shift=0), 0, "cpu")
    soundfile.write(folder / "ours.wav", np.concatenate(list(blocks), axis=1).T, rate)
    return time.perf_counter() - start


def theirs(folder: Path, name: str, pitch: str) -> float:
    import models.conversion.torchaudio_shim  # noqa: F401  (or the fork's import fails)

    from so_vits_svc_fork.inference.main import infer  # isort: skip

    os.chdir(folder)  # where the content encoder lies under the name that the fork asks a hub for
    start = time.perf_counter()
    infer(
        input_path="sung.wav",
        output_path="theirs.wav",
        model_path="G_0.pth",
        config_path="config.json",
        speaker=0,
        noise_scale=0.3,
        f0_method=pitch,  # type: ignore[arg-type]
        device="cpu",
    )
    return time.perf_counter() - start


def prepare(folder: Path, name: str, seconds: float) -> None:
    """The song's lead, and the voice as the fork wants it: a pickle in full precision."""
    import torch
    from safetensors.torch import load_file, save_file

    from models.audio.encode import write_wav
    from models.conversion.voices.registry import card, find_voice
    from models.core import registry
    from models.synthesis.example_song import example_song

    voice = find_voice(name)
    described = card(voice)
    write_wav(example_song(0, seconds).stems["lead_vocals"], folder / "sung.wav")
    state = {key: tensor.float() for key, tensor in load_file(voice / described.weights).items()}
    torch.save({"model": state, "iteration": 0, "optimizer": None, "learning_rate": 0.0}, folder / "G_0.pth")
    (folder / "config.json").write_text((voice / "config.json").read_text())
    encoder = registry.verified(registry.find("content_encoder", described.content_encoder)).parent
    hub = folder / "lengyue233" / "content-vec-best"
    hub.mkdir(parents=True)
    (hub / "config.json").write_text((encoder / "config.json").read_text())
    full = {key: tensor.float() for key, tensor in load_file(encoder / "model.safetensors").items()}
    save_file(full, hub / "model.safetensors", {"format": "pt"})


def late_ms(folder: Path, file: str) -> float | None:
    import numpy as np
    import soundfile

    from models.core.progress import UNWATCHED
    from models.core.types import Wave
    from models.report.audio_metrics import onset_lags

    def read(path: Path) -> Wave:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return Wave(np.ascontiguousarray(samples.T), rate)

    lags = onset_lags(read(folder / "sung.wav"), read(folder / file), UNWATCHED)[1]
    return round(1000 * float(np.median(lags)), 1) if len(lags) else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--voice", default="lj")
    parser.add_argument("--fork-pitch", default="dio", help="dio, harvest, crepe-tiny or crepe")
    parser.add_argument("--only", choices=("ours", "theirs"), help="run one in this process")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.only:
        core_s = {"ours": ours, "theirs": theirs}[given.only](given.folder, given.voice, given.fork_pitch)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps({"core_s": round(core_s, 2), "peak_gb": round(peak, 3)}))
        return
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, given.voice, given.seconds)
        rows: dict[str, list[dict[str, float]]] = {"theirs": [], "ours": []}
        for _ in range(given.turns):
            for which, found in rows.items():
                again = ["--only", which, "--folder", str(folder), "--voice", given.voice]
                command = [sys.executable, "-W", "ignore", __file__, *again, "--fork-pitch", given.fork_pitch]
                start = time.perf_counter()
                environment = os.environ | {"PYTHONPATH": str(root)}
                done = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, check=True)
                seconds = round(time.perf_counter() - start, 2)
                found.append({"seconds": seconds, **json.loads(done.stdout.splitlines()[-1])})
        late = {which: late_ms(folder, f"{which}.wav") for which in rows}
    best = {which: min(row["core_s"] for row in found) for which, found in rows.items()}
    told = {"seconds_of_audio": given.seconds, **rows, "late_ms": late}
    print(json.dumps({**told, "times_faster": round(best["theirs"] / best["ours"], 2)}, indent=1))


if __name__ == "__main__":
    main()
