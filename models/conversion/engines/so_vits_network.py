"""so-vits-svc-fork's generator: safe loading, and seeded inference with windowed decoding.

The fork's own inference draws from torch's global random state and decodes a phrase at once. Here noise comes from a
given generator, and the decoder runs in windows padded by its receptive field, so that memory does not grow with the
phrase and the result is the same.
"""

import json
import logging
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.weight_norm import WeightNorm

from models.conversion import torchaudio_shim as _torchaudio_on_cpu  # noqa: F401  (before the fork)
from models.core.errors import BadInput

_handlers, _level = logging.root.handlers[:], logging.root.level
from so_vits_svc_fork.f0 import f0_to_coarse  # noqa: E402
from so_vits_svc_fork.modules.synthesizers import SynthesizerTrn  # noqa: E402

# importing the fork configures the root logger and captures warnings; both are undone
logging.root.handlers[:] = _handlers
logging.root.setLevel(_level)
logging.captureWarnings(False)
# the fork uses torch's deprecated weight_norm, whose parameter names its checkpoints have
warnings.filterwarnings("ignore", r".*torch\.nn\.utils\.weight_norm.* is deprecated", FutureWarning)

Network = Any
"""The fork's modules, which have no type annotations."""
UNUSED = ("enc_q.", "f0_decoder.")
"""Modules not used in conversion; a voice's weights may lack them."""
_DISCRIMINATOR_KEYS = ("pretrained", "n_layers_q", "use_spectral_norm")
"""Entries of a config's `model` that are not arguments of the generator."""
_SINE_AMPLITUDE, _VOICED_NOISE = 0.1, 0.003


def build(config: dict[str, Any]) -> Network:
    """The untrained generator of a fork's config."""
    model = {key: value for key, value in config["model"].items() if key not in _DISCRIMINATOR_KEYS}
    data, train = config["data"], config["train"]
    return SynthesizerTrn(data["filter_length"] // 2 + 1, train["segment_size"] // data["hop_length"], **model)


def load(path: Path, config: dict[str, Any]) -> Network:
    """The generator with weights from safetensors or a fork's `G_*.pth`, ready for inference on the CPU, in float32.

    Raises `BadInput` for a file that could run code, is not a generator, or does not fit the config.
    """
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        if any(not bool(torch.isfinite(tensor).all()) for tensor in state.values()):
            raise BadInput(f"The voice file {path.name} is damaged: it holds weights that are not finite numbers.")
        return build_with_weights(state, config, path.name)
    except pickle.UnpicklingError as error:
        raise BadInput(f"The voice file {path.name} is refused: loading it could run code.") from error
    except (
        SafetensorError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, AssertionError,
        ArithmeticError, EOFError, OSError,
    ) as error:  # fmt: skip
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"The voice file {path.name} does not fit its config.json: {first}.") from error


def build_with_weights(state: Mapping[str, Tensor], config: dict[str, Any], name: str) -> Network:
    """A generator with these weights in eval mode; raises `BadInput` for missing and unexpected keys."""
    network = build(config)
    missing, unknown = network.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    absent = [key for key in missing if not key.startswith(UNUSED)]
    if absent or unknown:
        raise BadInput(f"The voice file {name} does not fit its config.json at {(absent + unknown)[0]!r}.")
    for module in network.modules():
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                nn.utils.remove_weight_norm(module, hook.name)
    return network.eval()


def read_config(path: Path) -> dict[str, Any]:
    """A fork's config.json; raises `BadInput` for an invalid one."""
    try:
        config: dict[str, Any] = json.loads(path.read_text())
        if not isinstance(config, dict) or not {"model", "data", "train"} <= set(config):
            raise ValueError("it lacks one of model, data, train")
        if not all(isinstance(config[part], dict) for part in ("model", "data", "train")):
            raise ValueError("its model, data and train must each hold entries")
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"The voice's {path.name} cannot be used: {error}.") from error
    return config


def uses_projection(config: dict[str, Any]) -> bool:
    """Whether a voice was trained on projected content features (`content.content`).

    The fork's configs state it; in those of so-vits-svc 4.0, which do not, `ssl_dim` is 256 if it was.
    """
    projected = config["data"].get("contentvec_final_proj")
    return bool(projected) if projected is not None else config["model"].get("ssl_dim") == 256


def latents(network: Network, content: Tensor, f0: Tensor, voiced: Tensor, speaker: Tensor, noise: Tensor) -> Tensor:
    """Prior latents through the flow. Shapes: content (B, d, T), f0, voiced (B, T), speaker (B, 1), noise (B, d', T).

    `noise` is standard normal times the noise scale. The network's own `infer`, with the noise as an argument.
    """
    mask = torch.ones_like(f0)[:, None]
    x = network.pre(content) + network.emb_uv(voiced.long()).transpose(1, 2)
    prior = network.enc_p
    x = x + prior.f0_emb(f0_to_coarse(f0)).transpose(1, 2)
    mean, log_scale = (prior.proj(prior.enc_(x, mask))).split(prior.out_channels, dim=1)
    z = mean + noise * log_scale.exp()
    out: Tensor = network.flow(z, mask, g=network.emb_g(speaker).transpose(1, 2), reverse=True)
    return out  # (B, d', T)


def excitation(f0: Tensor, hop: int, rate: int, harmonics: int, rng: torch.Generator) -> Tensor:
    """Sines at F0 and its harmonics where voiced, noise elsewhere, as the fork's SineGen but with interpolated F0.

    Shape: f0 (B, T) hertz, 0 where unvoiced -> (B, T * hop, harmonics). The phase is kept in double precision.
    """
    voiced = (f0 > 0).repeat_interleave(hop, dim=1)[:, :, None]  # (B, N, 1)
    smooth = _upsample_f0(f0, hop)
    phase = torch.cumsum(smooth.double() / rate, dim=1)[:, :, None] * torch.arange(1, harmonics + 1)
    start = torch.rand(f0.shape[0], 1, harmonics, generator=rng)
    start[:, :, 0] = 0
    sines = torch.sin(2 * np.pi * ((phase + start) % 1)).float() * _SINE_AMPLITUDE
    noise = torch.randn(sines.shape, generator=rng)
    return torch.where(voiced, sines + _VOICED_NOISE * noise, _SINE_AMPLITUDE / 3 * noise)


def _upsample_f0(f0: Tensor, hop: int) -> Tensor:
    """F0 at each sample, linear between frame centres inside voiced runs. Shape: (B, T) -> (B, T * hop)."""
    left = torch.where(torch.roll(f0, 1, 1) > 0, torch.roll(f0, 1, 1), f0)
    left[:, 0] = f0[:, 0]
    right = torch.where(torch.roll(f0, -1, 1) > 0, torch.roll(f0, -1, 1), f0)
    right[:, -1] = f0[:, -1]
    offset = (torch.arange(hop) + 0.5) / hop - 0.5  # of each sample from its frame's centre, in frames
    before = f0[:, :, None] + (f0 - left)[:, :, None] * offset
    after = f0[:, :, None] + (right - f0)[:, :, None] * offset
    return torch.where(f0[:, :, None] > 0, torch.where(offset < 0, before, after), 0.0).flatten(1)


def decode(decoder: Network, z: Tensor, sines: Tensor, speaker: Tensor) -> Tensor:
    """The NSF HiFi-GAN decoder with its excitation as an argument.

    Shapes: z (B, d', T), sines (B, N, harmonics), speaker (B, gin, 1) -> (B, N), N = T * hop.
    """
    source = torch.tanh(decoder.m_source.l_linear(sines)).transpose(1, 2)  # (B, 1, N)
    x = decoder.conv_pre(z) + decoder.cond(speaker)
    kernels = decoder.num_kernels
    for i in range(decoder.num_upsamples):
        x = decoder.ups[i](functional.leaky_relu(x, 0.1)) + decoder.noise_convs[i](source)
        x = sum(block(x) for block in decoder.resblocks[i * kernels : (i + 1) * kernels]) / kernels
    out: Tensor = torch.tanh(decoder.conv_post(functional.leaky_relu(x)))[:, 0]
    return out


def decode_in_windows(decoder: Network, z: Tensor, sines: Tensor, speaker: Tensor, window: int = 256) -> Tensor:
    """`decode`, `window` frames at a time. Equal to decoding the whole within 1e-6; same shapes."""
    frames, hop, halo = z.shape[2], sines.shape[1] // z.shape[2], halo_frames(decoder)
    out = []
    for start in range(0, frames, window):
        low, stop = max(start - halo, 0), min(start + window, frames)
        high = min(stop + halo, frames)
        piece = decode(decoder, z[:, :, low:high], sines[:, low * hop : high * hop], speaker)
        out.append(piece[:, (start - low) * hop : (stop - low) * hop])
    return torch.cat(out, dim=1)


def halo_frames(decoder: Network) -> int:
    """The decoder's receptive field to either side of a sample, in frames, rounded up."""
    h = decoder.h
    field, samples = 3.0, 1
    second = 1 if h["resblock"] == "1" else 0
    for rate, kernel in zip(h["upsample_rates"], h["upsample_kernel_sizes"], strict=True):
        field += kernel / rate / 2 / samples
        samples *= rate
        widest = max(
            sum((k - 1) // 2 * (d + second) for d in dilations)
            for k, dilations in zip(h["resblock_kernel_sizes"], h["resblock_dilation_sizes"], strict=True)
        )
        field += (widest + 2) / samples
    return int(np.ceil(field + 3 / samples)) + 1
