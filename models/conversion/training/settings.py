"""The settings of all trainings, apart from what computes, so that a flow can name them cheaply."""

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


@dataclass(frozen=True)
class FullTraining:
    """so-vits-svc-fork's recipe at its full size, with the fork's numbers where it has one.

    An epoch hears every piece once, `batch_size` at a time; `segment_size` samples of each go through the decoder and
    the discriminators. AdamW has `learning_rate`, which each epoch multiplies by `lr_decay`, `beta1`, `beta2` and
    `weight_decay`. The voice is checked on held-out pieces every `check_every` epochs, and training stops when
    `patience` checks in a row are no better than the best before. Whatever happens, no more than `checkpoint_every`
    steps are lost.
    """

    epochs: int = 1000
    batch_size: int = 16
    segment_size: int = 10_240
    learning_rate: float = 1e-4
    beta1: float = 0.8
    beta2: float = 0.99
    weight_decay: float = 0.01
    lr_decay: float = 0.999875
    seed: int = 0
    checkpoint_every: int = 200
    check_every: int = 50
    patience: int = 5
