"""Settings of all trainings in this room, without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderTrainingSettings:
    """`span_s` is the length of a view in seconds; `labelled_share` the part of a batch with phone labels."""

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
class VoiceTrainingSettings:
    """`context` frames go through prior and flow, `window` of them through the decoder.

    The decoder is trained from step `decoder_from` on, with a discriminator from `discriminator_from` on. The voice is
    validated every `validate_every` steps, a multiple of `checkpoint_every`; training stops after `patience`
    validations in a row without improvement.
    """

    steps: int = 2000
    batch: int = 6
    context: int = 80
    window: int = 32
    learning_rate: float = 1e-3
    warmup: int = 100
    noise_scale: float = 0.3
    decoder_from: int = 300
    discriminator_from: int = 1500
    seed: int = 0
    checkpoint_every: int = 100
    validate_every: int = 500
    patience: int = 4


@dataclass(frozen=True)
class FullTrainingSettings:
    """so-vits-svc-fork's recipe at its full size, with the fork's numbers where it has one.

    An epoch goes through every utterance once, `batch_size` at a time; `segment_size` samples of each go through the
    decoder and the discriminators. AdamW has `learning_rate`, multiplied by `lr_decay` each epoch, `beta1`, `beta2` and
    `weight_decay`. The voice is validated on held-out clips every `check_every` epochs; training stops after `patience`
    validations in a row without improvement. An interruption loses at most `checkpoint_every` steps.
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


@dataclass(frozen=True)
class SelectionSettings:
    """Which segments of recordings are used. They last `min_s` to `max_s` and are split at pauses of `pause_s`.

    `gate_db` below the 95th percentile of level is a pause; `max_clipped` is the share of clipped samples;
    `min_background` and `min_signal` are DNSMOS scores; `min_similarity` is to the main speaker; `loudness_dbfs` is the
    RMS level that each segment is scaled to.
    """

    min_s: float = 1.2
    max_s: float = 10.0
    pause_s: float = 0.35
    gate_db: float = 40.0
    max_clipped: float = 0.002
    min_background: float = 2.0
    min_signal: float = 2.0
    min_similarity: float = 0.68
    loudness_dbfs: float = -24.0
    denoise: bool = False
