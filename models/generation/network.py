"""Music Transformer: a decoder over note events with rotary positions in both sequence index and musical time.

After Huang et al. 2018 ("Music Transformer") with three changes. Half of every head's rotary angles (Su et al. 2021)
turn with the sequence index, half with musical time, at the wavelengths of beats and bars, so that "one bar ago" is one
fixed angle. Queries, keys and values pass a short causal depthwise convolution (Primer, So et al. 2021), so that one
layer can match the last three events. Durations come from a second head that is conditioned on their note.
`positions="relative"` is Huang's skewed relative attention, kept for comparison.

Shapes: B sequences, T events, H heads, d channels a head, D = H * d.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.core.device import to_device
from models.core.errors import BadInput
from models.generation import tokenizer

WAVELENGTHS = (6, 12, 24, 36, 48, 72, 96, 144, 192, 384, 768, 3072)
"""Wavelengths of the rotary angles in musical time, in ticks: half a beat to 64 bars, duple and triple."""
TAPS = 4
"""Kernel size of the causal depthwise convolution."""


@dataclass(frozen=True)
class Config:
    """The size of the network; `context` is the longest sequence in events it was trained on.

    `event_trust` and `length_trust` are interpolation weights of the n-gram cache, by the length of its matching
    context (`ngram_cache.ORDERS`); they are fitted after training.
    """

    width: int = 128
    layers: int = 4
    heads: int = 2
    context: int = 1024
    dropout: float = 0.0
    positions: Literal["rotary", "relative"] = "rotary"
    event_trust: tuple[float, ...] = (0.75, 0.6, 0.4, 0.2, 0.1)
    length_trust: tuple[float, ...] = (0.8, 0.7, 0.6, 0.5, 0.4)

    @classmethod
    def debug(cls) -> "Config":
        """The smallest network that has every part."""
        return cls(width=48, layers=2, heads=1, context=64)


@dataclass
class Batch:
    """Input features of events; each is int64 (B, T): see `tokenizer.Events`."""

    token: Tensor
    duration: Tensor
    tick: Tensor
    time: Tensor
    bar_ticks: Tensor

    @classmethod
    def of(cls, events: tokenizer.Events, device: str = "cpu") -> "Batch":
        """One sequence as a batch."""
        columns = (events.token, events.duration, events.tick, events.time, events.bar_ticks)
        return cls(*(torch.from_numpy(np.asarray(c, np.int64))[None].to(device) for c in columns))


@dataclass
class LayerKVCache:
    """One layer's past keys and values (B, H, capacity, d) and last convolution inputs (B, TAPS-1, 3D)."""

    keys: Tensor
    values: Tensor
    tail: Tensor


@dataclass
class KVCache:
    """Keys and values of the first `length` events of a sequence being sampled; `table` is `MusicTransformer.table`."""

    layers: list[LayerKVCache]
    table: Tensor
    length: int = 0


class MusicTransformer(nn.Module):
    """Events in, a distribution over the next event out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.token = nn.Embedding(tokenizer.VOCABULARY, width)
        self.traits = nn.Embedding(len(tokenizer.FAMILIES) + tokenizer.PITCHES + 12, width)
        self.length = nn.Embedding(len(tokenizer.DURATIONS) + 1, width)
        self.place = nn.Embedding(tokenizer.MAX_BAR_TICKS, width)
        self.bar_length = nn.Embedding(tokenizer.MAX_METRE + 1, width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(width)
        self.length_hidden = nn.Linear(2 * width, width)
        self.length_out = nn.Linear(width, len(tokenizer.DURATIONS))
        self.trait_of: Tensor
        self.register_buffer("trait_of", _trait_indices(), persistent=False)
        for embedding in (self.token, self.traits, self.length, self.place, self.bar_length):
            nn.init.normal_(embedding.weight, std=0.02)
        nn.init.zeros_(self.length_out.weight)

    def table(self) -> Tensor:
        """Token embeddings, tied to the output: a note is its own row + its family + its pitch + its pitch class.

        Shape: (vocabulary, D).
        """
        traits = torch.cat([self.traits.weight, self.traits.weight.new_zeros(1, self.config.width)])
        return self.token.weight + traits[self.trait_of].sum(1)

    def forward(self, batch: Batch, cache: KVCache | None = None) -> Tensor:
        """Hidden states (B, T, D); with a cache, `batch` holds only the events after the cached ones."""
        pitched = (batch.token >= tokenizer.NOTE).long()
        table = cache.table if cache else self.table()
        x = F.embedding(batch.token, table) + self.length((batch.duration + 1) * pitched)
        x = x + self.place(batch.tick) + self.bar_length(batch.bar_ticks // tokenizer.TICKS)
        x = x * self.config.width**0.5
        past = cache.length if cache else 0
        angles = self._angles(batch.time, past) if self.config.positions == "rotary" else None
        for i, layer in enumerate(self.layers):
            x = layer(x, angles, cache.layers[i] if cache else None, past)
        if cache:
            cache.length += batch.token.shape[1]
        return cast(Tensor, self.norm(x))

    def _angles(self, time: Tensor, past: int) -> Tensor:
        """Rotary angles, half by index and half by musical time. Shape: (B, T, d / 2)."""
        half = self.config.width // self.config.heads // 2
        by_time = torch.tensor(WAVELENGTHS, device=time.device)[: half // 2]
        by_index = 1e-4 ** (torch.arange(half - len(by_time), device=time.device) / (half - len(by_time)))
        index = torch.arange(past, past + time.shape[1], device=time.device).expand_as(time)
        # the modulo is taken in integers: late in a long song a float32 would lose the tick
        turns = (time[..., None] % by_time) / by_time
        return torch.cat([index[..., None] * by_index, 2 * torch.pi * turns], dim=-1)

    def token_logits(self, hidden: Tensor, table: Tensor) -> Tensor:
        """(..., D) and `table()` -> (..., vocabulary), before the grammar mask."""
        return hidden @ table.T

    def length_logits(self, hidden: Tensor, token: Tensor, table: Tensor) -> Tensor:
        """Logits of the duration class of the next event, `token` (...), given the hidden state before it.

        Shape: (..., durations).
        """
        token_embedding = F.embedding(token, table) * self.config.width**0.5
        return cast(Tensor, self.length_out(F.silu(self.length_hidden(torch.cat([hidden, token_embedding], -1)))))

    def new_cache(self, capacity: int, device: str = "cpu") -> KVCache:
        """An empty cache for one sequence of at most `capacity` events."""
        heads, width = self.config.heads, self.config.width

        def layer() -> LayerKVCache:
            keys = torch.zeros(1, heads, capacity, width // heads, device=device)
            return LayerKVCache(keys, torch.zeros_like(keys), torch.zeros(1, TAPS - 1, 3 * width, device=device))

        return KVCache([layer() for _ in range(self.config.layers)], self.table().detach())


class Layer(nn.Module):
    """Pre-norm attention and a squared-ReLU feed-forward."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.norm_attention, self.norm_forward = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.taps = nn.Parameter(torch.cat([torch.zeros(TAPS - 1, 3 * width), torch.ones(1, 3 * width)]))
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        if config.positions == "relative":
            self.distance = nn.Parameter(torch.zeros(config.heads, config.context, width // config.heads))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, angles: Tensor | None, cache: LayerKVCache | None, past: int) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self._drop(self._attend(self.norm_attention(x), angles, cache, past))
        return x + self._drop(cast(Tensor, self.down(F.relu(self.up(self.norm_forward(x))).square())))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def _attend(self, x: Tensor, angles: Tensor | None, cache: LayerKVCache | None, past: int) -> Tensor:
        batch, length, width = x.shape
        raw = self.query_key_value(x)  # (B, T, 3D)
        before = cache.tail if cache else raw.new_zeros(batch, TAPS - 1, 3 * width)
        padded = torch.cat([before, raw], 1)  # (B, TAPS-1 + T, 3D)
        interpolate = padded[:, :length] * self.taps[0]
        for i in range(1, TAPS):
            interpolate = interpolate + padded[:, i : i + length] * self.taps[i]
        q, k, v = interpolate.view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, H, T, d)
        q, k = F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])
        if angles is not None:
            q, k = _apply_rotary(q, angles), _apply_rotary(k, angles)
        if cache:
            cache.tail = padded[:, -(TAPS - 1) :]
            cache.keys[:, :, past : past + length], cache.values[:, :, past : past + length] = k, v
            k, v = cache.keys[:, :, : past + length], cache.values[:, :, : past + length]
        bias = self._bias(q, past) if angles is None or (past and length > 1) else None
        interpolate = F.scaled_dot_product_attention(q, k, v, bias, is_causal=bias is None and length > 1)
        return cast(Tensor, self.out(interpolate.transpose(1, 2).reshape(batch, length, width)))

    def _bias(self, q: Tensor, past: int) -> Tensor:
        """The attention bias: -inf for future events, and the relative term q . distance, skewed.

        Shape: (B, H, T, past + T); distances beyond the context count as the longest known.
        """
        length = q.shape[2]
        back = torch.arange(past, past + length, device=q.device)[:, None] - torch.arange(
            past + length, device=q.device
        )
        future = torch.zeros(back.shape, device=q.device).masked_fill(back < 0, float("-inf"))
        if not hasattr(self, "distance"):
            return future.expand(q.shape[0], q.shape[1], *back.shape)
        scores = q @ self.distance.transpose(1, 2) * q.shape[-1] ** -0.5  # (B, H, T, context), by distance
        index = back.clamp(0, scores.shape[-1] - 1).expand(*scores.shape[:2], *back.shape)
        return torch.add(scores.gather(3, index), future)


def _apply_rotary(x: Tensor, angles: Tensor) -> Tensor:
    """Rotary embedding: pairs (x_i, x_{i + d/2}) rotated by `angles` (B, T, d / 2). Shape: (B, H, T, d)."""
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def _trait_indices() -> Tensor:
    """For each token three rows of the trait table: family, pitch, pitch class; the last row + 1 is "none"."""
    none = len(tokenizer.FAMILIES) + tokenizer.PITCHES + 12
    traits = torch.full((tokenizer.VOCABULARY, 3), none)
    sounding = torch.arange(tokenizer.DRUM, tokenizer.VOCABULARY)
    traits[sounding, 0] = torch.from_numpy(tokenizer.FAMILY_OF[tokenizer.DRUM :])
    pitch = (sounding[tokenizer.DRUM_SOUNDS :] - tokenizer.NOTE) % tokenizer.PITCHES
    traits[tokenizer.NOTE :, 1] = len(tokenizer.FAMILIES) + pitch
    traits[tokenizer.NOTE :, 2] = len(tokenizer.FAMILIES) + tokenizer.PITCHES + (pitch + tokenizer.LOWEST_PITCH) % 12
    return traits


def save(network: MusicTransformer, path: Path, extra: dict[str, str] | None = None) -> None:
    """Write the network in half precision as safetensors, its config and `extra` in the metadata."""
    half = {name: value.detach().half().contiguous().cpu() for name, value in network.state_dict().items()}
    save_file(half, path, {"config": json.dumps(asdict(network.config)), **(extra or {})})


def load(path: Path, device: str = "cpu") -> MusicTransformer:
    """The network in a safetensors file, in evaluation mode; raises `BadInput` where the file holds another one."""
    try:
        with safe_open(path, "pt") as file:
            fields: dict[str, Any] = json.loads(file.metadata()["config"])
        fields |= {name: tuple(fields[name]) for name in ("event_trust", "length_trust")}
        config = Config(**fields)
        network = MusicTransformer(config)
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path} does not hold a music transformer this version can load: {error}") from error
    return to_device(network, device)
