"""What is shown while stages work, and that nothing goes on listening afterwards."""

import io
from contextlib import suppress

import pytest
from rich.console import Console

from flows.cli.live import shown
from tasks.runs import progress


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_that_is_over_hears_nothing_of_the_next_one(terminal):
    before = list(progress._listeners)
    first, second = (Console(file=io.StringIO(), force_terminal=terminal, width=80) for _ in range(2))
    with shown(first):
        progress.tell("separate", 0.5)
    told = first.file.getvalue()
    assert "separate" in told
    with suppress(KeyError), shown(second):
        progress.tell("mix", 0.5)
        raise KeyError
    assert "mix" in second.file.getvalue()
    assert first.file.getvalue() == told
    assert progress._listeners == before
