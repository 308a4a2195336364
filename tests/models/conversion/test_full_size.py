"""The full-size voice: the fork's own configuration and recipe, its base checkpoints, and stopping and going on."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import so_vits_svc_fork
import torch
from safetensors.torch import save_file

from flows.training.voice import FULL
from models.conversion.content import debug_config, init_encoder
from models.conversion.engines import so_vits_network
from models.conversion.engines.so_vits import SovitsVoice
from models.conversion.training import full_size, full_size_voice
from models.conversion.training.settings import FullTrainingSettings
from models.conversion.training.voice_dataset import Utterance
from models.conversion.voices.registry import Card, VocalRange
from models.core.errors import BadInput
from models.core.progress import Watch
from models.core.solver import TrainingRun

TINY = FullTrainingSettings(
    epochs=6, batch_size=2, segment_size=2048, learning_rate=1e-3, checkpoint_every=5, check_every=2, patience=2
)


def utterances(pieces: int = 3, rate: int = 22_050, hop: int = 256, width: int = 16) -> list[Utterance]:
    """Short harmonic tones of different pitch, unvoiced at both ends."""
    found = []
    for index in range(pieces):
        frames = 24 + 4 * index
        time = np.arange(frames * hop) / rate
        hz = 180.0 + 30 * index
        audio = sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 12)) * 0.1
        f0 = np.full(frames, hz, np.float32)
        f0[:5], f0[-5:] = 0, 0
        states = torch.randn(frames, width, generator=torch.Generator().manual_seed(index)).half()
        found.append(Utterance(audio.astype(np.float32), f0, (states,)))
    return found


class OneDiscriminator(torch.nn.Module):
    """One of the fork's six, of two layers, so that a step takes a tenth of a second."""

    def __init__(self, use_spectral_norm: bool) -> None:
        super().__init__()
        from so_vits_svc_fork.modules.descriminators import DiscriminatorP, MultiPeriodDiscriminator

        one = DiscriminatorP(2)
        one.convs = one.convs[:2]
        one.conv_post = torch.nn.Conv2d(128, 1, (3, 1), padding=(1, 0))
        self.discriminators = torch.nn.ModuleList([one])
        self.compare = MultiPeriodDiscriminator.forward

    def forward(self, real: torch.Tensor, synthesis: torch.Tensor) -> Any:
        return self.compare(self, real, synthesis)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """The bits are promised for one thread, and two that wait for each other take many times as long."""
    torch.set_num_threads(1)  # and as before by `threads_as_before`


@pytest.fixture(scope="module", autouse=True)
def small_discriminators() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(full_size_voice, "MultiPeriodDiscriminator", OneDiscriminator)
        yield


def config_of(settings: FullTrainingSettings = TINY) -> dict[str, Any]:
    return full_size_voice.debug_config(16, settings)


class Killed(Exception):
    pass


def run(
    folder: Path,
    settings: FullTrainingSettings = TINY,
    kill_at: int = -1,
    should_stop: Callable[[so_vits_network.Network, int], bool] = lambda network, step: False,
) -> tuple[full_size.Networks, list[dict[str, float]], list[int]]:
    """Train tiny networks; killed before the step `kill_at`. Returns them, what was reported, and the steps made."""
    networks = full_size.Networks(*full_size_voice.init_networks(config_of(settings), 0))
    rows: list[dict[str, float]] = []
    made: list[int] = []
    last = settings.epochs * full_size.steps_per_epoch(3, settings)

    def watched(fraction: float) -> None:
        step = round(fraction * last)
        if step == kill_at:
            raise Killed
        made.append(step)

    of = TrainingRun(folder, Watch(watched), rows.append)
    full_size.train(networks, utterances(), config_of(settings), settings, of, should_stop)
    return networks, rows, made


def test_the_configuration_is_the_forks_own_template() -> None:
    package = Path(so_vits_svc_fork.__file__).parent
    template = json.loads((package / "preprocessing/config_templates/so-vits-svc-4.0v1.json").read_text())
    ours = full_size_voice.full_config("ada")
    lists, addresses = {"training_files", "validation_files"}, {"pretrained"}
    assert ours["model"] == {key: value for key, value in template["model"].items() if key not in addresses}
    assert ours["data"] == {key: value for key, value in template["data"].items() if key not in lists}
    own = {"seed", "epochs"}
    assert {k: v for k, v in ours["train"].items() if k not in own} == {
        key: template["train"][key] for key in ours["train"] if key not in own
    }
    assert (FULL.rate, FULL.hop) == (ours["data"]["sampling_rate"], ours["data"]["hop_length"])


def test_settings_reach_the_configuration() -> None:
    settings = replace(TINY, batch_size=3, segment_size=8192, learning_rate=2e-4, beta1=0.7, epochs=9)
    section = full_size_voice.full_config("ada", settings=settings)["train"]
    assert (section["batch_size"], section["segment_size"], section["epochs"]) == (3, 8192, 9)
    assert (section["learning_rate"], section["betas"]) == (2e-4, [0.7, 0.99])
    assert so_vits_network.build(full_size_voice.debug_config(16, settings)).segment_size == 8192 // 256


def test_an_epoch_has_every_utterance_once_in_an_order_of_its_own() -> None:
    material, settings = utterances(5), replace(TINY, batch_size=2)
    epochs = []
    for epoch in range(2):
        batches = [full_size.draw(material, settings, 3 * epoch + place, 256) for place in range(3)]
        epochs.append([int(n) for batch in batches for n in batch.frames])
    assert [sorted(order) for order in epochs] == [[24, 28, 32, 36, 40]] * 2
    assert epochs[0] != epochs[1]
    batch = full_size.draw(material, settings, 0, 256)
    assert batch.content.shape == (2, 16, int(batch.frames.max()))
    assert batch.audio.shape == (2, int(batch.frames.max()) * 256)
    assert (batch.f0[0, : batch.frames[0]] > 0).all()
    assert batch.voiced[0, :5].sum() == 0


def test_the_recipe_learns_and_reports_every_loss(tmp_path: Path) -> None:
    _, rows, _ = run(tmp_path, replace(TINY, epochs=16, checkpoint_every=100, check_every=4, learning_rate=3e-3))
    assert [row["step"] for row in rows] == [8, 16, 24, 25, 32]
    losses = {"mel", "kl", "pitch", "adversarial", "feature_matching", "discriminator", "total"}
    assert set(rows[0]) == {"step", "seconds"} | losses
    assert rows[-1]["mel"] < 0.8 * rows[0]["mel"]
    assert rows[-1]["total"] < rows[0]["total"]


def test_it_goes_on_from_a_checkpoint_as_if_never_stopped(tmp_path: Path) -> None:
    whole, _, _ = run(tmp_path / "whole")
    for kill_at in (7, 11):
        with pytest.raises(Killed):
            run(tmp_path / "cut", kill_at=kill_at)
        torch.manual_seed(kill_at)  # what was drawn in between does not matter
    parts, _, _ = run(tmp_path / "cut")
    for one, other in zip(whole, parts, strict=True):
        state = other.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("kill_at", [3, 7, 10])
def test_a_kill_loses_at_most_one_interval(tmp_path: Path, kill_at: int) -> None:
    with pytest.raises(Killed):
        run(tmp_path, kill_at=kill_at)
    _, _, made = run(tmp_path)
    assert kill_at - TINY.checkpoint_every <= made[0] <= kill_at
    assert made == list(range(made[0], 12))


def test_a_kill_while_writing_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(TINY, checkpoint_every=100)
    with pytest.raises(Killed):
        run(tmp_path, settings, kill_at=5)

    def half(state: Any, file: Any) -> None:
        file.write(b"half of it")
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(torch, "save", half)
        with pytest.raises(Killed):
            run(tmp_path, settings)
    _, _, made = run(tmp_path, settings)
    assert made[0] == 4  # the validation after two epochs wrote it


def test_it_stops_when_it_gets_no_better_and_stays_stopped(tmp_path: Path) -> None:
    asked: list[int] = []

    def should_stop(network: so_vits_network.Network, step: int) -> bool:
        asked.append(step)
        return step >= 8

    run(tmp_path, should_stop=should_stop)
    assert asked == [4, 8]
    _, _, made = run(tmp_path, should_stop=should_stop)
    assert (made, asked) == ([], [4, 8, 8])


def test_training_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    run(tmp_path, replace(TINY, epochs=1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_loss_that_is_no_number_is_a_clear_sentence(tmp_path: Path) -> None:
    networks = full_size.Networks(*full_size_voice.init_networks(config_of(), 0))
    networks.generator.pre.weight.data.fill_(float("nan"))
    with pytest.raises(BadInput, match="diverged at step 0"):
        full_size.train(networks, utterances(), config_of(), TINY, TrainingRun(tmp_path))


def test_what_was_trained_sings_by_the_usual_path(tmp_path: Path) -> None:
    (generator, _), _, _ = run(tmp_path, replace(TINY, epochs=1))
    state = {
        k: v.half().contiguous() for k, v in generator.state_dict().items() if not k.startswith(so_vits_network.UNUSED)
    }
    save_file(state, tmp_path / "model.safetensors")
    card = Card("ada", "so-vits-svc", "MIT", VocalRange(60, (1.0,)), unvoiced_f0="interpolated")
    loaded = so_vits_network.load(tmp_path / "model.safetensors", config_of())
    voice = SovitsVoice(loaded, config_of(), init_encoder(debug_config(), 0).eval(), card, "cpu")
    hz = np.full(40, 220, np.float32)
    sung = voice.resynthesise(np.zeros(40 * 256, np.float32), hz, hz, 0.3, 0)
    assert sung.shape == (40 * 256,)
    assert np.isfinite(sung).all()


def test_the_losses_are_those_of_the_forks_own_step() -> None:
    """Mel frames of a segment cut from a whole recording's, times 45, as its trainer computes them."""
    networks = full_size.Networks(*full_size_voice.init_networks(config_of(), 0))
    from so_vits_svc_fork.hparams import HParams
    from so_vits_svc_fork.modules import mel_processing

    shape, batch = HParams(**config_of()), full_size.draw(utterances(), TINY, 0, 256)
    training = full_size.FullSizeTraining(networks, utterances(), config_of(), TINY)
    found, sung, wanted = training.losses(batch, 0)
    parts = {name: float(value.detach()) for name, value in found.items()}
    assert parts["total"] == pytest.approx(sum(value for name, value in parts.items() if name != "total"), rel=1e-5)
    ours, theirs = (mel_processing.mel_spectrogram_torch(audio[:, 0], shape) for audio in (sung, wanted))
    inside = slice(2, -2)  # at a segment's edges the whole recording's frames see beyond it
    near = float((ours - theirs)[..., inside].detach().abs().mean()) * 45
    assert parts["mel"] == pytest.approx(near, rel=0.3)
    assert sung.shape == wanted.shape == (2, 1, TINY.segment_size)


@pytest.mark.slow
def test_one_step_of_the_true_size_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from so_vits_svc_fork.modules.descriminators import MultiPeriodDiscriminator

    monkeypatch.setattr(full_size_voice, "MultiPeriodDiscriminator", MultiPeriodDiscriminator)
    settings = FullTrainingSettings(epochs=1, batch_size=1, checkpoint_every=10)
    config = full_size_voice.full_config("ada", settings=settings)
    nets = full_size.Networks(*full_size_voice.init_networks(config, 0))
    sizes = [sum(p.numel() for p in net.parameters()) / 1e6 for net in nets]
    assert sizes == pytest.approx([45.6, 46.7], abs=0.1)
    before = nets[0].dec.conv_post.weight_v.detach().clone()
    rows: list[dict[str, float]] = []
    material = utterances(1, FULL.rate, FULL.hop, full_size_voice.CONTENT_WIDTH)
    full_size.train(nets, material, config, settings, TrainingRun(tmp_path, report=rows.append))
    assert all(np.isfinite(value) for value in rows[0].values())
    assert not torch.equal(before, nets[0].dec.conv_post.weight_v)
