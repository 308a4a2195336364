"""A little of what `make soak` does at length: fifty runs in the queue of one worker."""

import pytest

from benchmarks.scale import latencies, queue


@pytest.mark.service
@pytest.mark.timeout(1200)
def test_fifty_runs_that_wait_all_have_their_turn_once():
    figures = queue(50, at_once=4, whole=False)
    print(figures)
    assert figures["songs"] == 50
    assert figures["database_mb"][1] < 50


def test_a_runs_latency_is_counted_from_when_a_place_was_free():
    notes = [{"started": 0, "ended": 4}, {"started": 1, "ended": 3}, {"started": 5, "ended": 6}]
    assert latencies(notes, at_once=2) == [2]
