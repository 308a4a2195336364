"""The graph of the stages, held against what the stages of a remix are really given."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from models.core.types import Clip, Contour, Grid, Note
from tasks.cache.caching import kept_record
from tasks.cache.fingerprint import ROOT
from tasks.stages import registry
from tasks.stages.graph import AFTER
from tests.conftest import Example

NOT_BY_VALUE = {
    ("track_f0", "convert"),  # the key shift is chosen by the f0
    ("separate", "transpose"),
    ("split_vocals", "transpose"),
    ("transpose", "mix"),
    ("measure", "publish"),  # publish is no stage with a key
}
"""Edges that the default remix does not show: what is chosen by a result, and stages that it has no use for."""

CARRIED_ALONG = {("accompany", "mix"), ("transcribe", "render"), ("transcribe", "mix")}
"""Edges by notes that a record carries along and the stage does not use: the band's score beside its audio."""


def parts(value: Any) -> Iterator[Any]:
    """The audio, grids, f0 tracks and notes in a record, at any depth: scores are merged on their way."""
    if isinstance(value, Clip | Grid | Contour | Note):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from parts(getattr(value, field.name))
    elif isinstance(value, tuple):
        for one in value:
            yield from parts(one)


def edges(example: Example) -> set[tuple[str, str]]:
    """From which stage to which a result went, in the example remix."""
    made_by: dict[Any, str] = {}
    for run in example.made.stages:
        for part in parts(kept_record(run.key)):
            made_by.setdefault(part, run.name)
    made_by[example.inputs["separate"]["audio"]] = "ingest"
    given = [(part, stage) for stage, inputs in example.inputs.items() for part in parts(tuple(inputs.values()))]
    return {(made_by[part], stage) for part, stage in given if made_by.get(part, stage) != stage}


@pytest.mark.weights
def test_the_graph_is_what_the_stages_of_a_remix_are_given(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMIX_HOME", str(example.store))
    drawn = {(before, stage) for stage, all_before in AFTER.items() for before in all_before}
    twice = ("track_f0", "measure")  # one is called for both voices, the other is given all there is
    seen = {edge for edge in edges(example) if edge[1] not in twice}
    assert seen - CARRIED_ALONG <= drawn
    assert {edge for edge in drawn if edge[1] not in twice} - NOT_BY_VALUE <= seen


def test_every_stage_is_in_the_graph_and_in_the_words_about_it() -> None:
    assert set(registry.__all__) - {"mix_takes"} | {"ingest", "publish"} == set(AFTER)
    for text in ("README.md", "docs/how-it-works.md", "flows/remix.py"):
        picture = (ROOT / text).read_text()
        assert not [name for name in AFTER if name not in picture and name != "transpose"], text
