"""Content features: a HuBERT encoder's hidden states, 50 a second, aligned to the audio.

Our own small encoder and ContentVec are both plain transformers `HubertModel` folders (config.json and safetensors).
Hsu et al., "HuBERT", 2021; Qian et al., "ContentVec", 2022.
"""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.conversion import torchaudio_shim as _torchaudio_on_cpu  # noqa: F401  (before transformers)
from models.core.device import to_device
from models.core.errors import BadInput

from transformers import HubertConfig, HubertModel  # isort: skip

Encoder = HubertModel
"""A content encoder; import it from here, after the torchaudio shim."""
CONTENT_RATE = 16_000
"""Sample rate of a content encoder's input, in hertz."""
PROJECTED_LAYER = 9
"""The layer whose output voices of so-vits-svc 4.0 take, through ContentVec's `final_proj`."""


def small_config() -> HubertConfig:
    """Configuration of the encoder trained here: 1.0 M parameters, 4 layers of width 128, 50 frames a second."""
    return HubertConfig(
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=512,
        conv_dim=(128, 128, 128),
        conv_kernel=(256, 4, 4),
        conv_stride=(20, 4, 4),
        feat_extract_norm="layer",
        feat_extract_activation="relu",
        conv_bias=True,
        num_conv_pos_embeddings=31,
        num_conv_pos_embedding_groups=16,
        apply_spec_augment=False,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        feat_proj_dropout=0.0,
        activation_dropout=0.0,
        layerdrop=0.0,
    )


def debug_config() -> HubertConfig:
    """The same architecture at a size for tests."""
    small = small_config()
    small.hidden_size, small.num_hidden_layers, small.intermediate_size = 16, 1, 32
    small.conv_dim, small.num_attention_heads, small.num_conv_pos_embedding_groups = (16, 16, 16), 2, 4
    return small


def init_encoder(config: HubertConfig, seed: int) -> HubertModel:
    """An untrained encoder whose first layer is a frozen bank of Gabor filters on the mel scale, cosine and sine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = HubertModel(config)
    first: Any = cast(Any, encoder.feature_extractor).conv_layers[0].conv
    with torch.no_grad():
        first.weight.copy_(gabor_filters(config.conv_dim[0] // 2, config.conv_kernel[0])[:, None])
        first.bias.zero_()
    first.weight.requires_grad_(False)
    first.bias.requires_grad_(False)
    return encoder


def gabor_filters(bands: int, size: int) -> Tensor:
    """Hann-windowed cosines and sines, from 80 Hz to 7.6 kHz evenly on the mel scale. Shape: (2 * bands, size).

    Their gain rises by 6 dB an octave, against the slope of speech.
    """
    mel = np.linspace(2595 * np.log10(1 + 80 / 700), 2595 * np.log10(1 + 7600 / 700), bands)
    hz = 700 * (10 ** (mel / 2595) - 1)
    phase = 2 * np.pi * hz[:, None] * (np.arange(size) - size / 2) / CONTENT_RATE
    gain = (hz / 500)[:, None] * np.hanning(size) * 4 / size
    return torch.tensor(np.concatenate([np.cos(phase) * gain, np.sin(phase) * gain]), dtype=torch.float32)


def load_encoder(folder: Path, device: str) -> HubertModel:
    """The encoder in a folder of config.json and model.safetensors, ready for inference, in float32.

    Without a config.json it has HuBERT's base size, as ContentVec has. It has a `final_proj` if its weights have one.
    Raises `BadInput` for missing files and weights that do not fit.
    """
    path, config = folder / "model.safetensors", folder / "config.json"
    if not path.is_file():
        raise BadInput(f"There is no content encoder in {folder} (model.safetensors is missing).")
    encoder = HubertModel(HubertConfig(**json.loads(config.read_text())) if config.is_file() else HubertConfig())
    try:
        state = _map_keys(load_file(path))
        if (weight := state.get("final_proj.weight")) is not None:
            bias = "final_proj.bias" in state
            encoder.final_proj = nn.Linear(encoder.config.hidden_size, len(weight), bias=bias)
        encoder.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        raise BadInput(f"The content encoder in {folder} cannot be loaded: {str(error).splitlines()[0]}") from error
    return to_device(encoder, device)


def _map_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the current names of transformers, without ContentVec's label embeddings."""
    names = {"conv.weight_g": "conv.parametrizations.weight.original0"}
    names |= {"conv.weight_v": "conv.parametrizations.weight.original1"}
    mapped = {}
    for name, tensor in state.items():
        for old, new in names.items():
            name = name.replace(old, new)
        if not name.startswith("label_embs_concat"):
            mapped[name.removeprefix("hubert.")] = tensor.float()
    return mapped


def frame_geometry(config: HubertConfig) -> tuple[int, int]:
    """Receptive field and hop of a frame in samples at `CONTENT_RATE`."""
    span, step = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        span += (kernel - 1) * step
        step *= stride
    return span, step


def content_size(encoder: HubertModel, projected: bool = False) -> int:
    """Dimension of `content`; raises `BadInput` if `projected` and the encoder has no projection."""
    if not projected:
        return int(encoder.config.hidden_size)
    if not hasattr(encoder, "final_proj") or encoder.config.num_hidden_layers < PROJECTED_LAYER:
        raise BadInput("The content encoder has no final_proj, which voices of so-vits-svc 4.0 were trained with.")
    return int(cast(nn.Linear, encoder.final_proj).out_features)


def content(encoder: HubertModel, audio: Tensor, projected: bool = False) -> Tensor:
    """Hidden states of mono audio at `CONTENT_RATE`, frame i centred at (i + 0.5) * step samples.

    They are the last layer's, or if `projected`, those of `PROJECTED_LAYER` through `final_proj`.
    Shape: (batch, samples) -> (batch, samples // step, d); the audio is padded with zeros to centre the frames.
    """
    span, step = frame_geometry(encoder.config)
    margin = (span - step) // 2
    output = encoder(torch.nn.functional.pad(audio, (margin, span - step - margin)), output_hidden_states=projected)
    states: Tensor = output.last_hidden_state
    if projected:
        states = cast(nn.Linear, encoder.final_proj)(output.hidden_states[PROJECTED_LAYER])
    return states  # (B, T, d)


def interpolate_content(states: Tensor, times_s: Tensor, step: int) -> Tensor:
    """Hidden states at other times, in seconds, by linear interpolation. Shape: (T, d) -> (times, d)."""
    position = (times_s * CONTENT_RATE / step - 0.5).clamp(0, len(states) - 1)
    low = position.floor().long().clamp(max=max(len(states) - 2, 0))
    fraction = (position - low).to(states.dtype)[:, None]
    return states[low] * (1 - fraction) + states[(low + 1).clamp(max=len(states) - 1)] * fraction
