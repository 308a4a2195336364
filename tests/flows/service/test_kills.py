"""A little of what `make soak` does at length: three SIGKILLs at random moments while songs are made."""

from random import Random

import pytest

from benchmarks.kills import kills


@pytest.mark.service
@pytest.mark.timeout(1200)
def test_after_three_kills_every_song_is_remixed_once_and_no_finished_stage_done_again(tmp_path):
    figures = kills(tmp_path, 3, real=False, seconds=10.0, chance=Random(4), most_minutes=10, pause_s=(4, 12))
    print(figures)
    assert sum(figures["kills"].values()) == 3
    assert figures["ended"] == {"Completed": figures["songs"]}, figures["why_not_completed"]
    assert figures["songs_remixed_once"] == figures["songs"]
    assert figures["stages_finished_twice"] == 0
