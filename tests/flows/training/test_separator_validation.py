import numpy as np
import torch

from flows.training.separator_validation import dereverberation_sdrs, reference_sources, reference_voices
from models.separation.training.multitracks import SAMPLE_RATE, VOICES, Library, Multitrack


class AllIsLead(torch.nn.Module):
    """Leaves everything to the first source."""

    sources, samplerate, audio_channels, segment = list(VOICES), SAMPLE_RATE, 2, 4.0

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        return torch.stack([mix, 0 * mix, 0 * mix], dim=1)


def stem(seed: int, seconds: float = 2.0) -> np.ndarray:
    return (3000 * np.random.default_rng(seed).standard_normal((1, int(seconds * SAMPLE_RATE)))).astype(np.int16)


def test_doing_nothing_dries_nothing():
    singer = Multitrack("a", {"lead_vocals": stem(1, 9.0)})
    wet = Multitrack("b", {"lead_vocals": stem(2, 9.0)}, wet=True)
    found = dereverberation_sdrs(AllIsLead(), Library([], [], [wet, singer], []))
    assert abs(found["reverberant"] - found["dried"]) < 0.01
    assert 2 < found["reverberant"] < 10


def test_a_songs_truth_in_the_networks_own_sources():
    song = Multitrack("a", {name: stem(i) for i, name in enumerate(("drums", "bass", "other", "lead_vocals"))})
    four = reference_sources(song, ["drums", "bass", "other", "vocals"])
    two = reference_sources(song, ["other", "vocals"])
    np.testing.assert_allclose(two[0], four[:3].sum(axis=0), atol=1e-6)
    np.testing.assert_array_equal(two[1], four[3])
    voices = reference_voices(song)
    np.testing.assert_array_equal(voices[0], four[3])
    assert not voices[1:].any()
