"""A voice of so-vits-svc, loaded and ready: content and pitch of a phrase in, the phrase sung by the voice out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from models.conversion.content import (
    CONTENT_RATE,
    Encoder,
    content,
    content_at,
    content_width,
    frame_geometry,
    load_encoder,
)
from models.conversion.engines import so_vits_network
from models.conversion.engines.unvoiced_noise import breathed
from models.conversion.voices.registry import Card
from models.core import registry
from models.core.device import placed
from models.core.errors import BadInput


class SovitsVoice:
    """The generator and its content encoder on a device."""

    def __init__(
        self, network: so_vits_network.Network, config: dict[str, Any], encoder: Encoder, card: Card, device: str
    ):
        self.card, self.device = card, device
        self.sample_rate = int(config["data"]["sampling_rate"])
        self.hop = int(config["data"]["hop_length"])
        self.network = placed(network, device)
        self.encoder, self.projected = encoder, so_vits_network.wants_projection(config)

    @classmethod
    def load(cls, folder: Path, card: Card, device: str) -> "SovitsVoice":
        """The voice in a folder; raises `BadInput` when its files do not fit each other or cannot sing."""
        config = so_vits_network.read_config(folder / "config.json")
        network = generator(folder, card, config)
        weights = registry.verified(registry.find("content_encoder", card.content_encoder))
        encoder = load_encoder(weights.parent, device)
        wanted, given = network.pre.in_channels, content_width(encoder, so_vits_network.wants_projection(config))
        if given != wanted:
            raise BadInput(
                f"The voice {folder.name!r} wants content of {wanted} numbers a frame, "
                f"and {card.content_encoder} gives {given}."
            )
        return cls(network, config, encoder, card, device)

    @torch.inference_mode()
    def sing(
        self,
        audio: NDArray[np.float32],
        f0_hz: NDArray[np.float32],
        sung_hz: NDArray[np.float32],
        noise_scale: float,
        seed: int,
    ) -> NDArray[np.float32]:
        """A `Singer`'s: mono audio on the pitch `sung_hz`; equal seeds give equal samples. Shape: (n,) -> (n,)."""
        frames = len(sung_hz)
        rng = torch.Generator().manual_seed(seed)
        f0 = torch.from_numpy(sung_hz)
        voiced = f0 > 0
        if self.card.unvoiced_f0 == "interpolated":
            f0 = torch.from_numpy(interpolated(sung_hz))
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
        sung = so_vits_network.decode_in_windows(self.network.dec, z, sines, timbre)[0].cpu().numpy()
        if self.card.unvoiced_f0 == "zero":
            sung = breathed(sung, sung_hz > 0, self.hop, self.sample_rate, seed)
        return np.asarray(np.pad(sung, (0, max(len(audio) - len(sung), 0)))[: len(audio)], np.float32)

    def _content(self, audio: NDArray[np.float32], frames: int) -> torch.Tensor:
        """The content at the centres of `frames` frames. Shape: (frames, d)."""
        heard = soxr.resample(audio, self.sample_rate, CONTENT_RATE)
        _, step = frame_geometry(self.encoder.config)
        heard = np.pad(heard, (0, max(2 * step - len(heard), 0)))
        states = content(self.encoder, torch.from_numpy(heard)[None].to(self.device), self.projected)[0]
        times = (torch.arange(frames, device=self.device) + 0.5) * self.hop / self.sample_rate
        return content_at(states, times, step)


def generator(folder: Path, card: Card, config: dict[str, Any]) -> so_vits_network.Network:
    """The network of the voice in a folder; raises `BadInput` where it, its config and its card do not fit."""
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


def interpolated(f0_hz: NDArray[np.float32]) -> NDArray[np.float32]:
    """A pitch without gaps: straight lines across unvoiced frames, and held before the first and after the last."""
    voiced = np.flatnonzero(f0_hz > 0)
    if not len(voiced):
        return f0_hz
    return np.interp(np.arange(len(f0_hz)), voiced, f0_hz[voiced]).astype(np.float32)
