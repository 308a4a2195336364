"""The small voice before training: its configuration, initial weights, or those of another voice."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from models.conversion.engines import so_vits_network
from models.core.errors import BadInput


def small_config(speaker: str, ssl_dim: int = 128) -> dict[str, Any]:
    """A fork's config of the small voice: 22.05 kHz, hop 256, NSF HiFi-GAN of 128 channels, hidden 96."""
    return {
        "train": {"segment_size": 8192},
        "data": {
            "sampling_rate": 22050,
            "filter_length": 1024,
            "hop_length": 256,
            "win_length": 1024,
            "n_mel_channels": 80,
            "mel_fmin": 0.0,
            "mel_fmax": 11025,
            "contentvec_final_proj": False,
        },
        "model": {
            "inter_channels": 96,
            "hidden_channels": 96,
            "filter_channels": 256,
            "n_heads": 2,
            "n_layers": 3,
            "kernel_size": 3,
            "p_dropout": 0.0,
            "resblock": "2",
            "resblock_kernel_sizes": [3, 7],
            "resblock_dilation_sizes": [[1, 3], [1, 3]],
            "upsample_rates": [8, 8, 4],
            "upsample_initial_channel": 128,
            "upsample_kernel_sizes": [16, 16, 8],
            "gin_channels": 64,
            "ssl_dim": ssl_dim,
            "n_speakers": 1,
            "sampling_rate": 22050,
            "type_": "hifi-gan",
        },
        "spk": {speaker: 0},
    }


def debug_config(ssl_dim: int = 16) -> dict[str, Any]:
    """The small voice at a size for tests: its rates and layer types, 8 channels."""
    config = small_config("nobody", ssl_dim)
    config["model"] |= {
        "inter_channels": 8,
        "hidden_channels": 8,
        "filter_channels": 16,
        "n_layers": 1,
        "upsample_initial_channel": 16,
        "gin_channels": 4,
    }
    return config


def init_network(config: dict[str, Any], seed: int) -> so_vits_network.Network:
    """An untrained generator, initialised for a short training.

    The source module turns the sine excitation into a pulse rich in harmonics. The F0 embedding is small and smooth and
    the content projection scaled up, since the fork's unit-variance embedding of 256 pitches dominates content for
    long; the prior's variance starts small, and the decoder's latent input is scaled up to balance the excitation.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = so_vits_network.build(config)
    source, prior = network.dec.m_source.l_linear, network.enc_p
    pitches, width = prior.f0_emb.weight.shape
    phase = torch.linspace(0, np.pi, pitches)[:, None] * torch.arange(width) / 8
    with torch.no_grad():
        source.weight.zero_()
        source.weight[0, 0] = 120.0
        source.bias.fill_(5.0)
        prior.f0_emb.weight.copy_(0.3 * torch.cos(phase))
        network.emb_uv.weight.mul_(0.3)
        network.pre.weight.mul_(2.0)
        prior.proj.bias[prior.out_channels :] = -2.0
        for layer in (network.dec.conv_pre, *network.dec.ups):
            layer.weight_g.mul_(2.0)
    return network


def load_voice_weights(network: so_vits_network.Network, folder: Path) -> None:
    """Load a voice's weights into a network in training; raises `BadInput` if they do not fit."""
    state = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    try:
        missing, unknown = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise BadInput(f"The voice in {folder} is of another size: {str(error).splitlines()[-1].strip()}") from error
    lacking = [name for name in missing if not name.startswith(so_vits_network.UNUSED)]
    if lacking or unknown:
        raise BadInput(f"The voice in {folder} is of another size: it differs at {(lacking + unknown)[0]!r}.")
