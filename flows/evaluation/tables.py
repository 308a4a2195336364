"""Nested figures as tables, for a terminal or as Markdown: how every evaluation shows its results to people."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

DETAIL = ("by_song", "by_clip", "clips")
"""The parts of figures that only JSON shows where there are means beside them."""


@dataclass(frozen=True)
class FigureTable:
    """A table of figures: `rows` are a name and a cell for each of the `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(figures: dict[str, Any], title: str = "") -> Iterator[FigureTable]:
    """The tables in nested figures: a dict of dicts of numbers is one, with a row for each of the outer names.

    A cell is a number, a text, a mean with its 95 % interval, or a value with its unit.

    >>> next(tables({"means": {"ours": {"f1": 0.5}, "librosa": {"f1": [0.25, 0.2, 0.3]}}})).rows
    (('ours', '0.50'), ('librosa', '0.25 [0.20, 0.30]'))
    """
    if {"means", "rows"} & figures.keys():
        figures = {name: value for name, value in figures.items() if name not in DETAIL}
    cells = {name: value for name, value in figures.items() if _is_cell(value)}
    if cells:
        yield FigureTable(title, ("",), tuple((name, cell(value)) for name, value in cells.items()))
    rows = {name: value for name, value in figures.items() if name not in cells and _is_row(value)}
    for columns in dict.fromkeys(tuple(value) for value in rows.values()):
        alike = {name: value for name, value in rows.items() if tuple(value) == columns}
        yield FigureTable(title, columns, tuple((n, *(cell(v[c]) for c in columns)) for n, v in alike.items()))
    for name, value in figures.items():
        if name in cells or name in rows:
            continue
        named = f"{title}, {name}" if title else name
        if isinstance(value, dict):
            yield from tables(value, named)
        elif isinstance(value, list | tuple):
            for place, one in enumerate(value):
                if isinstance(one, dict):
                    yield from tables(one, f"{named}: {one.get('song', place)}")


def _is_cell(value: Any) -> bool:
    interval = isinstance(value, list | tuple) and len(value) == 3 and all(_is_number(one) for one in value)
    measured = isinstance(value, dict) and (
        {"mean", "low", "high"} <= value.keys() or {"value", "unit"} <= value.keys()
    )
    return value is None or isinstance(value, str) or _is_number(value) or interval or measured


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(_is_cell(one) for one in value.values())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def cell(value: Any) -> str:
    """A figure as text.

    >>> cell(3), cell(0.123), cell({"value": -14.0, "unit": "LUFS", "word": "good"}), cell(None)
    ('3', '0.12', '-14.00 LUFS (good)', '-')
    """
    if isinstance(value, dict) and "unit" in value:
        word = f" ({value['word']})" if value.get("word") else ""
        return f"{cell(value['value'])} {value['unit']}".rstrip() + word
    if isinstance(value, dict):
        value = [value["mean"], value["low"], value["high"]]
    if isinstance(value, list | tuple):
        mean, low, high = map(cell, value)
        return mean if mean == "-" else f"{mean} [{low}, {high}]"
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def markdown(all_tables: Sequence[FigureTable]) -> str:
    """The tables as Markdown."""
    parts = []
    for table in all_tables:
        lines = [f"| {' | '.join(('', *table.columns))} |", f"| --- |{' --: |' * len(table.columns)}"]
        lines += [f"| {' | '.join(row)} |" for row in table.rows]
        parts.append("\n".join(([f"**{table.title}**", ""] if table.title else []) + lines))
    return "\n\n".join(parts)


def plain(figures: Any) -> Any:
    """Figures with null for those that are none, since JSON knows no NaN."""
    if isinstance(figures, dict):
        return {name: plain(value) for name, value in figures.items()}
    if isinstance(figures, list | tuple):
        return [plain(value) for value in figures]
    return None if isinstance(figures, float) and not math.isfinite(figures) else figures
