"""The so-vits-svc engine: content features and F0 of a phrase to audio in the voice."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from models.conversion.content import (
    CONTENT_RATE,
    Encoder,
    content,
    content_size,
    frame_geometry,
    interpolate_content,
    load_encoder,
)
from models.conversion.engines import so_vits_network
from models.conversion.engines.unvoiced_noise import replace_unvoiced
from models.conversion.voices.registry import Card
from models.core import registry
from models.core.device import to_device
from models.core.dtypes import FloatArray
from models.core.errors import BadInput


class SovitsVoice:
    """The generator and its content encoder on a device."""

    def __init__(
        self, network: so_vits_network.Network, config: dict[str, Any], encoder: Encoder, card: Card, device: str
    ):
        self.card, self.device = card, device
        self.sample_rate = int(config["data"]["sampling_rate"])
        self.hop = int(config["data"]["hop_length"])
        self.network = to_device(network, device)
        self.encoder, self.projected = encoder, so_vits_network.uses_projection(config)

    @classmethod
    def load(cls, folder: Path, card: Card, device: str) -> "SovitsVoice":
        """The voice in a folder; raises `BadInput` for files that do not fit each other or have no F0 input."""
        config = so_vits_network.read_config(folder / "config.json")
        network = generator(folder, card, config)
        weights = registry.verified(registry.find("content_encoder", card.content_encoder))
        encoder = load_encoder(weights.parent, device)
        wanted, given = network.pre.in_channels, content_size(encoder, so_vits_network.uses_projection(config))
        if given != wanted:
            raise BadInput(
                f"The voice {folder.name!r} wants content of {wanted} numbers a frame, "
                f"and {card.content_encoder} gives {given}."
            )
        return cls(network, config, encoder, card, device)

    @torch.inference_mode()
    def resynthesise(
        self, audio: FloatArray, f0_hz: FloatArray, target_hz: FloatArray, noise_scale: float, seed: int
    ) -> FloatArray:
        """See `VoiceEngine`; equal seeds give equal samples. Shape: (n,) -> (n,)."""
        frames = len(target_hz)
        rng = torch.Generator().manual_seed(seed)
        f0 = torch.from_numpy(target_hz)
        voiced = f0 > 0
        if self.card.unvoiced_f0 == "interpolated":
            f0 = torch.from_numpy(interpolate_unvoiced(target_hz))
        states = self._content(audio, frames)
        noise = torch.randn(1, self.network.inter_channels, frames, generator=rng) * noise_scale
        speaker = torch.tensor([[self.card.speaker]], device=self.device)
        z = so_vits_network.latents(
            self.network,
            states.T[None],
            f0[None].to(self.device),
            voiced[None].to(self.device),
            speaker,
            noise.to(self.device),
        )
        harmonics = self.network.dec.m_source.l_linear.in_features
        source_rate = int(self.network.sampling_rate)  # 44,100 where the config's model states none, as in the fork
        sines = so_vits_network.excitation(f0[None], self.hop, source_rate, harmonics, rng).to(self.device)
        timbre = self.network.emb_g(speaker).transpose(1, 2)
        output = so_vits_network.decode_in_windows(self.network.dec, z, sines, timbre)[0].cpu().numpy()
        if self.card.unvoiced_f0 == "zero":
            output = replace_unvoiced(output, target_hz > 0, self.hop, self.sample_rate, seed)
        return np.asarray(np.pad(output, (0, max(len(audio) - len(output), 0)))[: len(audio)], np.float32)

    def _content(self, audio: FloatArray, frames: int) -> torch.Tensor:
        """Content features at the centres of `frames` frames. Shape: (frames, d)."""
        resampled = soxr.resample(audio, self.sample_rate, CONTENT_RATE)
        _, step = frame_geometry(self.encoder.config)
        resampled = np.pad(resampled, (0, max(2 * step - len(resampled), 0)))
        states = content(self.encoder, torch.from_numpy(resampled)[None].to(self.device), self.projected)[0]
        times = (torch.arange(frames, device=self.device) + 0.5) * self.hop / self.sample_rate
        return interpolate_content(states, times, step)


def generator(folder: Path, card: Card, config: dict[str, Any]) -> so_vits_network.Network:
    """The network of the voice in a folder; raises `BadInput` if it does not fit its config or card."""
    if config["model"].get("type_", "hifi-gan") != "hifi-gan":
        raise BadInput(f"The voice {folder.name!r} has a decoder for speech, without pitch: it cannot sing.")
    network = so_vits_network.load(folder / card.weights, config)
    speakers, hop = network.emb_g.num_embeddings, math.prod(network.dec.h["upsample_rates"])
    if card.speaker >= speakers:
        raise BadInput(f"The voice {folder.name!r} has speakers 0 to {speakers - 1}; its card names {card.speaker}.")
    if config["data"]["hop_length"] != hop:
        raise BadInput(f"The voice {folder.name!r} makes {hop} samples a frame, not the hop_length of its config.json.")
    if not isinstance(config["data"].get("sampling_rate"), int):
        raise BadInput(f"The config.json of the voice {folder.name!r} does not say its sampling_rate.")
    return network


def interpolate_unvoiced(f0_hz: FloatArray) -> FloatArray:
    """F0 interpolated linearly over unvoiced frames, and constant before the first and after the last voiced one."""
    voiced = np.flatnonzero(f0_hz > 0)
    if not len(voiced):
        return f0_hz
    return np.interp(np.arange(len(f0_hz)), voiced, f0_hz[voiced]).astype(np.float32)
