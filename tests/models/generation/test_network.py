import numpy as np
import pytest
import torch

from models.core.errors import BadInput
from models.generation import (
    network,
    tokenizer,
)
from models.generation.network import Batch, load
from tests.models.generation.test_generate import untrained


def random_events(length: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    token = rng.integers(1, tokenizer.VOCABULARY, length)
    time = np.cumsum(rng.integers(0, 9, length))
    columns = (token, rng.integers(0, len(tokenizer.DURATIONS), length), time % 48, time, np.full(length, 48))
    return Batch(*(torch.from_numpy(c)[None] for c in columns))


def part(batch: Batch, start: int, stop: int) -> Batch:
    return Batch(*(getattr(batch, f)[:, start:stop] for f in Batch.__dataclass_fields__))


@pytest.mark.parametrize("positions", ["rotary", "relative"])
def test_the_future_cannot_change_the_past(positions):
    made = untrained(positions=positions)
    one, other = random_events(40, 0), random_events(40, 1)
    for field in Batch.__dataclass_fields__:
        getattr(other, field)[:, :25] = getattr(one, field)[:, :25]
    first, second = made(one), made(other)
    torch.testing.assert_close(first[:, :25], second[:, :25])
    assert not torch.allclose(first[:, 25:], second[:, 25:], atol=1e-2)


@pytest.mark.parametrize("positions", ["rotary", "relative"])
def test_cached_equals_uncached(positions):
    made, events = untrained(positions=positions), random_events(50)
    cache = made.new_cache(50)
    steps = [part(events, 0, 30), part(events, 30, 37), *(part(events, i, i + 1) for i in range(37, 50))]
    cached = torch.cat([made(step, cache) for step in steps], 1)
    torch.testing.assert_close(cached, made(events), atol=1e-4, rtol=1e-4)


def test_the_network_equals_a_naive_loop():
    made, events = untrained(), random_events(12)
    config, hidden = made.config, made(events)
    table = made.table()
    width, half = config.width, config.width // config.heads // 2
    known = {f: getattr(events, f)[0].tolist() for f in Batch.__dataclass_fields__}
    x = []
    for token, length, tick, bar_ticks in zip(
        known["token"], known["duration"], known["tick"], known["bar_ticks"], strict=True
    ):
        sounding = made.length.weight[length + 1 if token >= tokenizer.NOTE else 0]
        x.append(
            (table[token] + sounding + made.place.weight[tick] + made.bar_length.weight[bar_ticks // 12]) * width**0.5
        )

    def norm(v, weight=1.0):
        return v / torch.sqrt((v * v).mean() + torch.finfo(torch.float32).eps) * weight

    def turned(v, index):
        out = v.clone()
        waves = network.WAVELENGTHS[: half // 2]
        for i in range(half):
            n = half - len(waves)
            angle = index * 1e-4 ** (i / n) if i < n else 2 * np.pi * known["time"][index] / waves[i - n]
            c, s = float(np.cos(angle)), float(np.sin(angle))
            out[i], out[i + half] = v[i] * c - v[i + half] * s, v[i + half] * c + v[i] * s
        return out

    for layer in made.layers:
        raw = [layer.query_key_value.weight @ norm(v, layer.norm_attention.weight) for v in x]
        taps = range(network.TAPS)
        seen = [
            sum(raw[i - (network.TAPS - 1) + j] * layer.taps[j] for j in taps if i - (network.TAPS - 1) + j >= 0)
            for i in range(len(x))
        ]
        heads = [v.view(3, config.heads, -1) for v in seen]
        added = []
        for i in range(len(x)):
            mix = []
            for h in range(config.heads):
                q = turned(norm(heads[i][0, h]), i)
                scores = torch.stack([q @ turned(norm(heads[j][1, h]), j) for j in range(i + 1)]) / (2 * half) ** 0.5
                mix.append(sum(w * heads[j][2, h] for j, w in enumerate(scores.softmax(0))))
            added.append(x[i] + layer.out.weight @ torch.cat(mix))
        x = [
            v + layer.down.weight @ torch.relu(layer.up.weight @ norm(v, layer.norm_forward.weight)) ** 2 for v in added
        ]
    naive = torch.stack([norm(v, made.norm.weight) for v in x])
    torch.testing.assert_close(hidden[0], naive, atol=1e-4, rtol=1e-4)


def test_saving_and_loading_keeps_the_network(tmp_path):
    made = untrained(event_trust=(0.9, 0.8, 0.7, 0.6, 0.5))
    network.save(made, tmp_path / "n.safetensors")
    again = load(tmp_path / "n.safetensors")
    assert again.config == made.config
    events = random_events(20)
    torch.testing.assert_close(again(events), made(events), atol=0.05, rtol=0.05)


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors", {"config": "{}"})
    with pytest.raises(BadInput, match="does not hold"):
        load(tmp_path / "other.safetensors")
