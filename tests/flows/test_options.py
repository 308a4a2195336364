from dataclasses import fields

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.instruments import render_settings
from flows.options import RemixOptions
from flows.parameters import checked
from flows.stage_settings import StageSettings, all_settings, with_settings
from models.core.errors import BadInput
from models.core.validation import MAX_SEED
from models.synthesis.soundfont import shipped_soundfont


def test_options_are_put_where_they_belong_with_their_types():
    settings = with_settings(
        ["separate.overlap=0.5", "transcribe.bass.lowest=30", "render.soundfont=/a/b=c.sf2", "convert.key_shift=-3"],
    )
    assert settings.separate.overlap == 0.5
    assert settings.transcribe.bass.lowest == 30
    assert settings.render.soundfont == "/a/b=c.sf2"
    assert settings.convert.key_shift == -3
    assert settings.analyse == StageSettings().analyse


def test_a_list_of_pairs_can_be_given_as_json():
    settings = with_settings(['render.instruments=[["other", "electric_piano"]]'])
    assert settings.render.instruments == (("other", "electric_piano"),)


def test_instruments_and_a_soundfont_are_options_of_the_rendering():
    font = shipped_soundfont()
    options = render_settings(["other=electric piano", "drums=brush", "bass=auto"], str(font))
    render = with_settings(options).render
    assert render.instruments == (("other", "electric piano"), ("drums", "brush"), ("bass", "auto"))
    assert render.soundfont == str(font.resolve())
    assert render_settings([], "built-in") == []


@pytest.mark.parametrize(
    ("instrument", "says"),
    [
        ("other", "wants part=program"),
        ("other=electric_pano", "did you mean 'electric_piano'"),
        ("drums=brash", "drum kit named 'brash'; did you mean 'brush_kit'"),
    ],
)
def test_a_wrong_instrument_is_answered_with_the_nearest(instrument, says):
    with pytest.raises(BadInput, match=says):
        render_settings([instrument], "built-in")


def test_a_file_that_is_no_soundfont_is_refused_at_once(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        render_settings([], str(tmp_path / "none.sf2"))
    (tmp_path / "song.sf2").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    with pytest.raises(BadInput, match="not a SoundFont"):
        render_settings([], str(tmp_path / "song.sf2"))


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("separate.overlop=0.5", "overlap"),
        ("seperate.overlap=0.5", "separate"),
        ("separate.overlap", "no '='"),
        ("separate=1", "overlap"),
        ("separate.overlap=wide", "wide"),
        ("separate.overlap=0.99999999", "between 0 and 0.95"),
        ("split_vocals.shifts=1000000", "between 0 and 32"),
        ("separate.precision=int4", "known: float32, bfloat16, float16, auto"),
        ("separate.overlap.more=1", "has no more"),
    ],
)
def test_a_wrong_option_is_one_sentence_that_helps(option, says):
    with pytest.raises(BadInput, match=says):
        with_settings([option])


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("master.release_s=0", "release_s is 0.0; it must lie between 0.001 and 10"),
        ("master.target_lufs=nan", "finite"),
        ("master.target_lufs=-Infinity", "finite"),
        ("mix.compressor_ratio=0", "compressor_ratio is 0.0; it must lie between 1 and 100"),
        ("mix.room_s=-1", "room_s is -1.0; it must lie between 0.05 and 20"),
        ("render.voices=-1", "voices is -1; it must lie between 1 and 4096"),
        ('render.pans=[["bass", 2]]', "pans is 2.0; it must lie between -1 and 1"),
        ('render.track_gains_db=[["bass", NaN]]', "cannot be set"),
        ("track_f0.hop_s=0", "hop_s is 0.0"),
        ("track_f0.ceiling_hz=55", "must lie below"),
        ("analyse.metres=[0]", "metres is 0"),
        ("analyse.metres=[]", "metres is empty"),
        ("analyse.slowest_bpm=300", "must lie below"),
        ("transcribe.bass.batch=0", "batch is 0"),
        ("transcribe.drums.share=2", "share is 2.0"),
        ("transcribe.vocals.near_s=-1", "near_s is -1.0"),
        ("transcribe.vocals.sung.dip_db=-1", "dip_db is -1.0"),
        ("extend.top_p=7", "top_p is 7.0"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_option_and_the_range(option, says):
    with pytest.raises(BadInput, match=says) as refused:
        with_settings([option])
    assert option in str(refused.value)


def test_every_option_is_named_with_a_default_that_can_be_set():
    known = list(all_settings())
    assert with_settings([f"{option.name}={option.default}" for option in known]) == StageSettings()
    by_name = {option.name: option for option in known}
    assert {name.split(".")[0] for name in by_name} == {f.name for f in fields(StageSettings)}
    assert by_name["master.target_lufs"].default == "-14.0"
    assert by_name["master.target_lufs"].unit == "LUFS"
    assert by_name["split_vocals.overlap"].range == (0, 0.95), "said where the record builds on another"
    assert not [option.name for option in known if not option.about.endswith(".")]
    sentences = [option.about for option in known if option.name.count(".") == 1 and option.name[:8] != "extend.t"]
    assert len(set(sentences)) > 0.8 * len(sentences), "a setting has a sentence of its own"


def test_the_largest_seed_has_room_for_what_is_made_of_it_and_a_larger_one_is_refused():
    import torch

    from flows.cli.commands import app
    from models.conversion.training.settings import VoiceTrainingSettings
    from models.conversion.training.voice import draw
    from models.conversion.training.voice_dataset import Utterance

    settings = VoiceTrainingSettings(seed=MAX_SEED, batch=1, context=24, window=16)
    piece = Utterance(np.zeros(30 * 256, np.float32), np.full(30, 220, np.float32), (torch.zeros(30, 4),))
    assert draw([piece], settings, 8, 10**6, 256)[0].noise.isfinite().all()
    torch.Generator().manual_seed(MAX_SEED + 10**6)
    for command in (["convert", "none.wav"], ["submit", "none.wav"], ["voices", "train", "ada", "none"]):
        told = CliRunner().invoke(app, [*command, "--seed", str(MAX_SEED + 1)])
        assert told.exit_code == 2
        assert "--seed" in told.output
    with pytest.raises(BadInput, match="The option seed is"):
        checked(RemixOptions, seed=MAX_SEED + 1)
