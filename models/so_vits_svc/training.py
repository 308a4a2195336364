"""The settings of both trainings, apart from what computes, so that a flow can name them cheaply."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderTraining:
    """`span_s` is the length of a view in seconds; `labelled_share` the part of a batch that has phones."""

    steps: int = 4000
    batch: int = 8
    span_s: float = 2.0
    learning_rate: float = 1.5e-3
    warmup: int = 150
    labelled_share: float = 0.55
    agreement_weight: float = 0.4
    spectrum_weight: float = 1.0
    seed: int = 0
    checkpoint_every: int = 200


@dataclass(frozen=True)
class VoiceTraining:
    """`context` frames go through prior and flow, `window` of them through the decoder.

    The decoder takes part from step `decoded_from` on, and the judge from `judged_from` on. The voice is examined every
    `examine_every` steps, a multiple of `checkpoint_every`, and training stops when `patience` of them in a row are no
    better than the best before.
    """

    steps: int = 2000
    batch: int = 6
    context: int = 80
    window: int = 32
    learning_rate: float = 1e-3
    warmup: int = 100
    noise_scale: float = 0.3
    decoded_from: int = 300
    judged_from: int = 1500
    seed: int = 0
    checkpoint_every: int = 100
    examine_every: int = 500
    patience: int = 4
