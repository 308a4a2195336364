"""The fork's generator, driven by our own inference: seeded, in windows, safely loaded."""

import json
import logging
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.conversion.content import (
    debug_config,
    init_encoder,
)
from models.conversion.engines import so_vits_network
from models.conversion.engines.so_vits import SovitsVoice, interpolate_unvoiced
from models.conversion.training import voice as voice_training
from models.conversion.training.small_voice import debug_config as debug_voice_config
from models.conversion.training.small_voice import init_network, small_config
from models.conversion.voices.registry import Card, VocalRange
from models.core.errors import BadInput


@pytest.fixture(scope="module")
def network() -> so_vits_network.Network:
    network = init_network(debug_voice_config(), 0)
    for name, parameter in network.named_parameters():
        if name.endswith("weight_g"):
            parameter.data.fill_(1.0)  # the fork starts them so small that the output is nearly silent
    return network.eval()


def voice(network: so_vits_network.Network, unvoiced: str = "zero") -> SovitsVoice:
    card = Card("nobody", "so-vits-svc", "MIT", VocalRange(60, (1.0,)), unvoiced_f0=unvoiced)
    return SovitsVoice(network, debug_voice_config(), init_encoder(debug_config(), 0).eval(), card, "cpu")


def a_phrase(frames: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    hz = np.where(np.arange(frames) % 40 < 30, 220.0, 0.0).astype(np.float32)
    return rng.normal(0, 0.1, frames * 256).astype(np.float32), hz


def test_decoding_in_windows_equals_decoding_the_whole(network: so_vits_network.Network) -> None:
    rng = torch.Generator().manual_seed(0)
    frames = 300
    z = torch.randn(1, 8, frames, generator=rng)
    f0 = torch.where(torch.arange(frames) % 50 < 40, 180.0 + torch.arange(frames), 0.0)[None]
    sines = so_vits_network.excitation(f0, 256, 22050, 9, rng)
    timbre = network.emb_g(torch.tensor([[0]])).transpose(1, 2)
    with torch.inference_mode():
        whole = so_vits_network.decode(network.dec, z, sines, timbre)
        parts = so_vits_network.decode_in_windows(network.dec, z, sines, timbre, window=64)
        narrow = torch.cat(
            [
                so_vits_network.decode(network.dec, z[:, :, i : i + 60], sines[:, i * 256 : (i + 60) * 256], timbre)
                for i in range(0, frames, 60)
            ],
            dim=1,
        )
    assert whole.std() > 1e-3
    assert (whole - parts).abs().max() < 1e-6
    assert (whole - narrow).abs().max() > 1e-4


def test_the_halo_covers_what_the_decoder_sees(network: so_vits_network.Network) -> None:
    halo, frames = so_vits_network.halo_frames(network.dec), 64
    z = torch.zeros(1, 8, frames)
    z[0, :, 32] = 1.0
    sines = torch.zeros(1, frames * 256, 9)
    timbre = network.emb_g(torch.tensor([[0]])).transpose(1, 2)
    with torch.inference_mode():
        change = so_vits_network.decode(network.dec, z, sines, timbre) - so_vits_network.decode(
            network.dec, torch.zeros_like(z), sines, timbre
        )
    touched = np.flatnonzero(change[0].abs().numpy() > 0)
    assert touched.min() >= (32 - halo) * 256
    assert touched.max() < (33 + halo) * 256


def test_our_path_is_the_forks_own(network: so_vits_network.Network) -> None:
    """With the same noise, the fork's `infer` and ours give the same latents and the same audio."""
    frames = 40
    rng = torch.Generator().manual_seed(0)
    states, f0 = torch.randn(1, 16, frames, generator=rng), torch.full((1, frames), 200.0)
    speaker = torch.tensor([[0]])
    caught: list[torch.Tensor] = []
    hook = network.dec.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
    with torch.inference_mode():
        network.infer(states, f0, torch.ones(1, frames), g=speaker, noice_scale=0)
        hook.remove()
        z = so_vits_network.latents(network, states, f0, f0 > 0, speaker, torch.zeros(1, 8, frames))
    assert z.std() > 1e-3
    torch.testing.assert_close(z, caught[0])


def test_equal_seeds_give_equal_bytes_whatever_the_global_state_is(network: so_vits_network.Network) -> None:
    engine, (audio, hz) = voice(network), a_phrase(60)
    torch.manual_seed(1)
    first = engine.resynthesise(audio, hz, hz, 0.4, 7)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    second = engine.resynthesise(audio, hz, hz, 0.4, 7)
    assert first.tobytes() == second.tobytes()
    assert torch.equal(before, torch.random.get_rng_state())
    assert engine.resynthesise(audio, hz, hz, 0.4, 8).tobytes() != first.tobytes()


def test_two_threads_singing_at_once_do_not_disturb_each_other(network: so_vits_network.Network) -> None:
    engine, (audio, hz) = voice(network), a_phrase(60)
    alone = [engine.resynthesise(audio, hz, hz, 0.4, seed) for seed in range(2)]
    together: dict[int, np.ndarray] = {}

    def resynthesise(seed: int) -> None:
        together[seed] = engine.resynthesise(audio, hz, hz, 0.4, seed)

    threads = [threading.Thread(target=resynthesise, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(alone[seed].tobytes() == together[seed].tobytes() for seed in range(2))


@pytest.mark.parametrize("samples", [255, 256, 1000, 256 * 31 + 17])
def test_as_many_samples_come_out_as_go_in(network: so_vits_network.Network, samples: int) -> None:
    frames = -(-samples // 256)
    audio, hz = a_phrase(frames)
    assert voice(network).resynthesise(audio[:samples], hz, hz, 0.3, 0).shape == (samples,)


def test_the_source_is_a_pulse_with_harmonics_and_silent_pitch_is_noise() -> None:
    network = init_network(small_config("nobody"), 0)
    f0 = torch.cat([torch.full((1, 100), 200.0), torch.zeros(1, 100)], dim=1)
    sines = so_vits_network.excitation(f0, 256, 22050, 9, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        source = torch.tanh(network.dec.m_source.l_linear(sines))[0, :, 0].numpy()
    spectrum = np.abs(np.fft.rfft(source[4096:16384] * np.hanning(12288)))
    at = [round(200 * k * 12288 / 22050) for k in range(1, 12)]
    peaks = [spectrum[i - 3 : i + 4].max() for i in at]
    between = [spectrum[i + 30 : i + 80].max() for i in at]
    assert min(peaks[:3]) > 10 * max(between)
    assert sum(p > 3 * max(between) for p in peaks) >= 8
    voiced, unvoiced = sines[0, :20000, 0].numpy(), sines[0, -20000:, 0].numpy()
    assert np.corrcoef(voiced[:-110], voiced[110:])[0, 1] > 0.95
    assert abs(np.corrcoef(unvoiced[:-110], unvoiced[110:])[0, 1]) < 0.05


def test_the_phase_of_a_long_note_does_not_drift() -> None:
    frames = 4000
    sines = so_vits_network.excitation(torch.full((1, frames), 440.0), 256, 22050, 1, torch.Generator().manual_seed(0))
    time = np.arange(1, frames * 256 + 1) / 22050
    ideal = 0.1 * np.sin(2 * np.pi * 440 * time)
    assert np.abs(sines[0, -5000:, 0].numpy() - ideal[-5000:]).max() < 0.02


def test_unvoiced_pitch_is_zero_or_interpolated_as_the_card_says(network: so_vits_network.Network) -> None:
    audio, hz = a_phrase(60)
    ours, forks = (voice(network, kind).resynthesise(audio, hz, hz, 0.0, 0) for kind in ("zero", "interpolated"))
    assert np.abs(ours - forks).max() > 1e-4
    np.testing.assert_allclose(
        interpolate_unvoiced(np.array([0, 100, 0, 0, 400, 0], np.float32)), [100, 100, 200, 300, 400, 400]
    )


def test_a_voice_file_that_could_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (print, ("ran",))

    (tmp_path / "G_1.pth").write_bytes(pickle.dumps({"model": Trap()}))
    with pytest.raises(BadInput):
        so_vits_network.load(tmp_path / "G_1.pth", debug_voice_config())
    torch.save({"model": {}, "trap": Trap()}, tmp_path / "G_2.pth")
    with pytest.raises(BadInput, match="run code"):
        so_vits_network.load(tmp_path / "G_2.pth", debug_voice_config())


def test_a_users_checkpoint_and_safetensors_load_alike(network: so_vits_network.Network, tmp_path: Path) -> None:
    config = debug_voice_config()
    fork = {"model": network.state_dict(), "iteration": 1, "optimizer": None, "learning_rate": 1e-4}
    torch.save(fork, tmp_path / "G_1.pth")
    save_file(
        {k: v.contiguous() for k, v in network.state_dict().items() if not k.startswith(so_vits_network.UNUSED)},
        tmp_path / "model.safetensors",
    )
    audio, hz = a_phrase(30)
    sung = [
        voice(so_vits_network.load(tmp_path / name, config)).resynthesise(audio, hz, hz, 0.3, 0)
        for name in ("G_1.pth", "model.safetensors")
    ]
    assert sung[0].std() > 1e-4
    np.testing.assert_allclose(sung[0], sung[1], atol=1e-6)
    np.testing.assert_allclose(sung[0], voice(network).resynthesise(audio, hz, hz, 0.3, 0), atol=1e-5)


def test_weights_that_do_not_fit_their_config_are_refused(network: so_vits_network.Network, tmp_path: Path) -> None:
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "model.safetensors")
    with pytest.raises(BadInput, match=r"does not fit its config\.json"):
        so_vits_network.load(tmp_path / "model.safetensors", small_config("nobody", 16))
    (tmp_path / "config.json").write_text(json.dumps({"model": {}}))
    with pytest.raises(BadInput, match="lacks one of"):
        so_vits_network.read_config(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("said", "width", "wanted"), [(None, 256, True), (None, 768, False), (True, 256, True), (False, 128, False)]
)
def test_a_config_that_is_silent_wants_the_projection_where_it_wants_256_numbers(
    said: bool | None, width: int, wanted: bool
) -> None:
    data = {} if said is None else {"contentvec_final_proj": said}
    assert so_vits_network.uses_projection({"data": data, "model": {"ssl_dim": width}}) is wanted


def test_weights_that_are_no_numbers_are_refused(network: so_vits_network.Network, tmp_path: Path) -> None:
    state = {k: v.clone() for k, v in network.state_dict().items()}
    state["pre.bias"][0] = float("nan")
    torch.save({"model": state}, tmp_path / "G_1.pth")
    save_file(state, tmp_path / "model.safetensors")
    for name in ("G_1.pth", "model.safetensors"):
        with pytest.raises(BadInput, match="not finite"):
            so_vits_network.load(tmp_path / name, debug_voice_config())


def test_importing_the_fork_leaves_logging_as_it_was() -> None:
    assert not any("rich" in type(handler).__module__.lower() for handler in logging.root.handlers)


def test_conversion_uses_the_excitation_of_training(
    network: so_vits_network.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained from a source an octave off, the decoder doubles every pitch, and all is sung an octave too high."""
    audio, _ = a_phrase(64)
    excitations: list[torch.Tensor] = []
    before = so_vits_network.excitation

    def listened(f0: torch.Tensor, hop: int, rate: int, harmonics: int, rng: torch.Generator) -> torch.Tensor:
        excitations.append(before(f0, hop, rate, harmonics, rng)[0, :, 0])
        return excitations[-1][None, :, None].expand(1, -1, harmonics)

    monkeypatch.setattr(so_vits_network, "excitation", listened)
    engine = voice(network)
    engine.resynthesise(audio, np.full(64, 220, np.float32), np.full(64, 220, np.float32), 0.0, 0)
    voice_training.synthesise(
        network, torch.zeros(1, 8, 64), torch.full((1, 64), 220.0), torch.Generator().manual_seed(0)
    )
    assert len(excitations) == 2
    for source in excitations:
        peak = int(torch.fft.rfft(source).abs().argmax()) * engine.sample_rate / len(source)
        assert abs(peak - 220) < 2 * engine.sample_rate / len(source)
