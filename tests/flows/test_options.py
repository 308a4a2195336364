from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli.instruments import playing
from flows.options import StageSettings, options, with_options
from models.core.errors import BadInput
from models.core.validation import MAX_SEED
from models.synthesis.soundfont import shipped_soundfont


def test_options_are_put_where_they_belong_with_their_types():
    settings = with_options(
        StageSettings(),
        ["separate.overlap=0.5", "transcribe.bass.lowest=30", "render.soundfont=/a/b=c.sf2", "revoice.key_shift=-3"],
    )
    assert settings.separate.overlap == 0.5
    assert settings.transcribe.bass.lowest == 30
    assert settings.render.soundfont == "/a/b=c.sf2"
    assert settings.revoice.key_shift == -3
    assert settings.listen == StageSettings().listen


def test_a_list_of_pairs_can_be_given_as_json():
    settings = with_options(StageSettings(), ['render.instruments=[["other", "electric_piano"]]'])
    assert settings.render.instruments == (("other", "electric_piano"),)


def test_instruments_and_a_soundfont_are_options_of_the_rendering():
    font = shipped_soundfont()
    options = playing(["other=electric piano", "drums=brush", "bass=auto"], font)
    render = with_options(StageSettings(), options).render
    assert render.instruments == (("other", "electric piano"), ("drums", "brush"), ("bass", "auto"))
    assert render.soundfont == str(font.resolve())
    assert playing(None, None) == []


@pytest.mark.parametrize(
    ("instrument", "says"),
    [
        ("other", "wants part=name"),
        ("other=electric_pano", "did you mean 'electric_piano'"),
        ("drums=brash", "drum kit named 'brash'; did you mean 'brush_kit'"),
    ],
)
def test_a_wrong_instrument_is_answered_with_the_nearest(instrument, says):
    with pytest.raises(BadInput, match=says):
        playing([instrument], None)


def test_a_file_that_is_no_soundfont_is_refused_at_once(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        playing(None, tmp_path / "none.sf2")
    (tmp_path / "song.wav").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    with pytest.raises(BadInput, match="not a SoundFont"):
        playing(None, tmp_path / "song.wav")


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("separate.overlop=0.5", "overlap"),
        ("seperate.overlap=0.5", "separate"),
        ("separate.overlap", "no '='"),
        ("separate=1", "overlap"),
        ("separate.overlap=wide", "wide"),
        ("separate.overlap=0.99999999", "between 0 and 0.95"),
        ("part_voices.shifts=1000000", "between 0 and 32"),
        ("separate.precision=int4", "known: float32, bfloat16, float16, auto"),
        ("separate.overlap.more=1", "has no more"),
    ],
)
def test_a_wrong_option_is_one_sentence_that_helps(option, says):
    with pytest.raises(BadInput, match=says):
        with_options(StageSettings(), [option])


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("master.release_s=0", "release_s is 0.0; it must lie between 0.001 and 10"),
        ("master.target_lufs=nan", "finite"),
        ("master.target_lufs=-Infinity", "finite"),
        ("mixdown.compressor_ratio=0", "compressor_ratio is 0.0; it must lie between 1 and 100"),
        ("mixdown.room_s=-1", "room_s is -1.0; it must lie between 0.05 and 20"),
        ("render.voices=-1", "voices is -1; it must lie between 1 and 4096"),
        ('render.pans=[["bass", 2]]', "pans is 2.0; it must lie between -1 and 1"),
        ('render.track_gains_db=[["bass", NaN]]', "cannot be set"),
        ("follow_pitch.hop_s=0", "hop_s is 0.0"),
        ("follow_pitch.ceiling_hz=55", "must lie below"),
        ("listen.metres=[0]", "metres is 0"),
        ("listen.metres=[]", "metres is empty"),
        ("listen.slowest_bpm=300", "must lie below"),
        ("transcribe.bass.batch=0", "batch is 0"),
        ("transcribe.drums.share=2", "share is 2.0"),
        ("transcribe.vocals.near_s=-1", "near_s is -1.0"),
        ("transcribe.vocals.sung.dip_db=-1", "dip_db is -1.0"),
        ("extend.top_p=7", "top_p is 7.0"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_option_and_the_range(option, says):
    with pytest.raises(BadInput, match=says) as refused:
        with_options(StageSettings(), [option])
    assert option in str(refused.value)


def test_every_option_is_named_with_a_default_that_can_be_set():
    known = list(options())
    assert with_options(StageSettings(), [f"{option.name}={option.default}" for option in known]) == StageSettings()
    by_name = {option.name: option for option in known}
    assert {name.split(".")[0] for name in by_name} == {f.name for f in fields(StageSettings)}
    assert by_name["master.target_lufs"].default == "-14.0"
    assert "`release_s`" in by_name["master.release_s"].about
    assert "`overlap`" in by_name["part_voices.overlap"].about, "said where the record builds on another"


def test_the_largest_seed_has_room_for_what_is_made_of_it_and_a_larger_one_is_refused():
    import torch

    from flows.cli.commands import app
    from flows.deployments.forms import Form
    from flows.remix import check
    from models.conversion.training.settings import VoiceTraining
    from models.conversion.training.voice import draw
    from models.conversion.training.voice_dataset import Utterance

    settings = VoiceTraining(seed=MAX_SEED, batch=1, context=24, window=16)
    piece = Utterance(np.zeros(30 * 256, np.float32), np.full(30, 220, np.float32), (torch.zeros(30, 4),))
    assert draw([piece], settings, 8, 10**6, 256)[0].noise.isfinite().all()
    torch.Generator().manual_seed(MAX_SEED + 10**6)
    for command in (["revoice", "none.wav"], ["submit", "none.wav"], ["voices", "train", "ada", "none"]):
        told = CliRunner().invoke(app, [*command, "--seed", str(MAX_SEED + 1)])
        assert told.exit_code == 2
        assert "--seed" in told.output
    with pytest.raises(BadInput, match="The seed is"):
        check(Path("none.wav"), Path("out"), Form(seed=MAX_SEED + 1).choices())
