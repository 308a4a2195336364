"""The full-size voice before training: so-vits-svc-fork's configuration, its networks, and their initial weights.

Generator and discriminators are the fork's classes; the numbers are those of its template `so-vits-svc-4.0v1`, so that
published base checkpoints fit.
"""

from pathlib import Path
from typing import Any

import torch

from models.conversion.engines import so_vits_network
from models.conversion.training import small_voice
from models.conversion.training.base_checkpoints import base_pair, load_base_weights
from models.conversion.training.settings import FullTrainingSettings

from so_vits_svc_fork.modules.descriminators import MultiPeriodDiscriminator  # isort: skip  # after networks

DEFAULTS = FullTrainingSettings()
CONTENT_WIDTH = 768
"""Dimension of ContentVec, which the base checkpoints were trained with."""


def full_config(
    speaker: str, ssl_dim: int = CONTENT_WIDTH, settings: FullTrainingSettings = DEFAULTS
) -> dict[str, Any]:
    """A fork's config of its full-size voice: 44.1 kHz, hop 512, 45.6 M parameters with ContentVec."""
    return {
        "train": training_section(settings),
        "data": {
            "max_wav_value": 32768.0,
            "sampling_rate": 44100,
            "filter_length": 2048,
            "hop_length": 512,
            "win_length": 2048,
            "n_mel_channels": 80,
            "mel_fmin": 0.0,
            "mel_fmax": 22050,
            "contentvec_final_proj": False,
        },
        "model": {
            "inter_channels": 192,
            "hidden_channels": 192,
            "filter_channels": 768,
            "n_heads": 2,
            "n_layers": 6,
            "kernel_size": 3,
            "p_dropout": 0.1,
            "resblock": "1",
            "resblock_kernel_sizes": [3, 7, 11],
            "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
            "upsample_rates": [8, 8, 2, 2, 2],
            "upsample_initial_channel": 512,
            "upsample_kernel_sizes": [16, 16, 4, 4, 4],
            "n_layers_q": 3,
            "use_spectral_norm": False,
            "gin_channels": 256,
            "ssl_dim": ssl_dim,
            "n_speakers": 200,
            "type_": "hifi-gan",
        },
        "spk": {speaker: 0},
    }


def debug_config(ssl_dim: int = 16, settings: FullTrainingSettings = DEFAULTS) -> dict[str, Any]:
    """The same recipe at a size for tests: the small voice's rates and layer types, 8 channels."""
    config = small_voice.debug_config(ssl_dim)
    config["train"] = training_section(settings)
    return config


def training_section(settings: FullTrainingSettings) -> dict[str, Any]:
    """The `train` section of a fork's config."""
    return {
        "seed": settings.seed,
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "betas": [settings.beta1, settings.beta2],
        "eps": 1e-9,
        "batch_size": settings.batch_size,
        "fp16_run": False,
        "bf16_run": False,
        "lr_decay": settings.lr_decay,
        "segment_size": settings.segment_size,
        "c_mel": 45,
        "c_kl": 1.0,
    }


def init_networks(config: dict[str, Any], seed: int) -> tuple[so_vits_network.Network, so_vits_network.Network]:
    """An untrained generator and its discriminators (46.7 M parameters at any size of the generator)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return so_vits_network.build(config), MultiPeriodDiscriminator(False)


def load_base_pair(generator: so_vits_network.Network, discriminators: so_vits_network.Network, folder: Path) -> None:
    """Load the base checkpoints in a folder; raises `BadInput` if they do not fit."""
    pair = base_pair(folder)
    load_base_weights(generator, pair.generator)
    load_base_weights(discriminators, pair.discriminators)
