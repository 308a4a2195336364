import pytest

from models.core.errors import BadInput
from models.symbolic.general_midi import PROGRAMS, SHORT_NAMES, program_named


def test_all_of_general_midi_is_known_by_name():
    assert sorted(PROGRAMS.values()) == list(range(128))
    assert program_named("Acoustic Grand Piano") == 0
    assert program_named("strings") == 48
    assert program_named("Lead 2 (sawtooth)") == 81
    assert set(SHORT_NAMES.values()) <= set(PROGRAMS)


@pytest.mark.parametrize("name", ["electric pano", "", "999", "-1"])
def test_unknown_names_are_refused(name):
    with pytest.raises(BadInput, match="There is no instrument named"):
        program_named(name)
