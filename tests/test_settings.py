import pytest

from flows.settings import StageSettings, with_options
from models.errors import BadInput


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
