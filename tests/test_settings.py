import pytest

from flows.cli.playing import playing
from flows.settings import StageSettings, with_options
from models.errors import BadInput
from models.rendering import shipped_soundfont


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
        ("separate.overlap.more=1", "has no more"),
    ],
)
def test_a_wrong_option_is_one_sentence_that_helps(option, says):
    with pytest.raises(BadInput, match=says):
        with_options(StageSettings(), [option])
