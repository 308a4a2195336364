from functools import partial

import numpy as np
import pytest
import torch

from flows.training import separator
from models.core.curve import CURVE_FILE, read_rows
from models.core.progress import Watch
from models.core.solver import CHECKPOINT_FILE, TrainingRun, ema_weights
from models.separation.networks.band_mask import BandMask
from models.separation.training import losses as learning
from models.separation.training.mixtures import Example, mixture, vocal_mixture
from models.separation.training.multitracks import SOURCES, Library, Multitrack
from models.separation.training.separator import Learner, TrainSettings, train

RATE = 44100
JUDGING = learning.LossSettings((1, 2), (1.0, 1.0, 1.0, 2.0))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)  # as trainings are; and as before by `threads_as_before`


def tone(hertz: float, seconds: float = 3.0) -> np.ndarray:
    wave = 8000 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    return np.stack([wave, 0.7 * wave]).astype(np.int16)


def library() -> Library:
    stems = {"drums": tone(6000), "bass": tone(60), "other": tone(700)}
    song = Multitrack("song", stems | {"lead_vocals": tone(1500), "backing_vocals": tone(1900)})
    fused = Multitrack("fused", {"drums": tone(6500), "other": tone(300), "lead_vocals": tone(1400)}, bass_hidden=True)
    voices = [
        Multitrack("voice", {"lead_vocals": tone(1600)[:1]}),
        Multitrack("wet", {"lead_vocals": tone(1700)[:1]}, wet=True),
    ]
    return Library([song, fused], [Multitrack("band", stems)], voices, voices[:1])


def network() -> BandMask:
    torch.manual_seed(0)
    return BandMask(SOURCES, width=16, depth=2)


def learner(net: BandMask) -> Learner:
    draw = partial(mixture, library(), frames=RATE // 4)
    return Learner(net, draw, partial(learning.spectral_powers, net), partial(learning.loss, net, JUDGING))


@pytest.mark.parametrize("draw", [mixture, vocal_mixture])
def test_mixes_are_seeded_and_below_full_scale(draw):
    one, two, other = (draw(library(), np.random.default_rng(seed), 20000).sources for seed in (1, 1, 2))
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()
    assert one.dtype == np.float32
    for seed in range(20):
        assert np.abs(draw(library(), np.random.default_rng(seed), 20000).sources.sum(axis=0)).max() <= 1.0


def test_where_the_bass_is_hidden_its_row_is_empty():
    examples = [mixture(library(), np.random.default_rng(seed), 9000) for seed in range(40)]
    assert {e.hidden for e in examples} == {True, False}
    assert all(not e.sources[1].any() for e in examples if e.hidden)


def test_the_room_is_known_only_of_dry_voices():
    examples = [vocal_mixture(library(), np.random.default_rng(seed), 9000) for seed in range(40)]
    assert any(e.sources[2].any() for e in examples)
    assert all(not e.sources[2].any() for e in examples if e.hidden)


def test_the_loss_is_that_of_the_complex_spectra():
    net = network().eval()
    example = mixture(library(), np.random.default_rng(3), 20000)
    spectrum = net.stft(torch.from_numpy(example.sources))
    powers = learning.spectral_powers(net, [example])
    masks = net.group_masks(powers.views)
    wide = net.widen(masks)[0]
    direct = (wide * spectrum.sum(dim=0) - spectrum).abs().square()[..., :-1, :].sum(dim=(1, 2, 3))
    error = masks.square() * powers.views[:, None, :2] - 2 * masks * powers.cross + powers.own
    sizes = torch.tensor([s for count, s in ((400, 1), (200, 2), (156, 8)) for _ in range(count)])
    torch.testing.assert_close((error[0] * sizes[:, None]).sum(dim=(1, 2, 3)), direct, rtol=1e-3, atol=1e-2)


def test_silence_teaches_nothing():
    net = network()
    silent = learning.spectral_powers(net, [Example(np.zeros((4, 2, 9000), np.float32), False)])
    assert learning.loss(net, JUDGING, silent).item() == 0


def test_training_learns_what_lies_where(tmp_path):
    net = network()
    settings = TrainSettings(steps=24, batch=2, rate=5e-3, warm=2, fresh=2, echo=3)
    train(learner(net), settings, 1, TrainingRun(tmp_path))
    rows = read_rows(tmp_path / CURVE_FILE)
    assert [row["step"] for row in rows] == [6, 12, 18, 24]
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert not net.training


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path):
    settings = TrainSettings(steps=7, batch=1, fresh=2, echo=2, warm=1)

    class Killed(Exception):
        pass

    def kill(fraction):
        if fraction >= 6 / 8:
            raise Killed

    train(learner(network()), settings, 1, TrainingRun(tmp_path / "whole"))
    with pytest.raises(Killed):
        train(learner(network()), settings, 1, TrainingRun(tmp_path / "killed", Watch(kill)))
    made = []
    train(learner(network()), settings, 1, TrainingRun(tmp_path / "killed", Watch(lambda done: made.append(8 * done))))
    assert made == [4, 5, 6, 7], "it resumes with a whole round, and the last round is a whole one"
    losses = [[row["loss"] for row in read_rows(tmp_path / run / CURVE_FILE)] for run in ("whole", "killed")]
    assert losses[0] == losses[1]
    for key, value in ema_weights(tmp_path / "killed" / CHECKPOINT_FILE).items():
        assert torch.equal(value, ema_weights(tmp_path / "whole" / CHECKPOINT_FILE)[key])


@pytest.mark.parametrize(
    ("name", "kind", "decay"), [("mask-cnn", "Adam", 0), ("band-mask", "AdamW", 1e-3), ("lead-backing", "AdamW", 1e-3)]
)
def test_each_network_learns_by_its_own_optimizer(tmp_path, monkeypatch, name, kind, decay):
    made = []
    plain = torch.optim.Optimizer.__init__

    def noted(self, *args, **kwargs):
        plain(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(torch.optim.Optimizer, "__init__", noted)
    monkeypatch.setattr(separator, "CROP_S", 1.5)
    monkeypatch.setattr(separator, "VALIDATION_BATCHES", 1)
    result = separator.learner_for(name, library(), library(), seed=0)
    train(result, TrainSettings(steps=1, batch=1, fresh=1, echo=1), 0, TrainingRun(tmp_path))
    assert len(read_rows(tmp_path / CURVE_FILE)[-1]) > 3, "the last step is validated"
    assert [type(one).__name__ for one in made] == [kind]
    assert {group["weight_decay"] for group in made[0].param_groups} == {decay}
