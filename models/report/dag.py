"""Layered layout of the run's task graph: positions of the boxes and paths of the lines."""

from dataclasses import dataclass, replace
from itertools import pairwise

from models.report.types import StageRun

Place = tuple[str, int]
"""A task's name and a layer: the task itself in its own layer, a line from it in a later one."""

_GAP, _LANE, _SWEEPS = 14.0, 10.0, 6


@dataclass(frozen=True)
class Box:
    """A task's box; `x` and `y` are of its upper left corner, in the picture's units."""

    run: StageRun
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """A graph ready to draw: `lines` are SVG path data; all boxes are `box_width` by `box_height`."""

    boxes: tuple[Box, ...]
    lines: tuple[str, ...]
    width: float
    height: float
    box_width: float
    box_height: float


def merge_runs(stages: tuple[StageRun, ...]) -> tuple[StageRun, ...]:
    """One box a name: the seconds of repeated tasks are summed; reused where all of them were."""
    one: dict[str, StageRun] = {}
    for run in stages:
        known = one.get(run.name, StageRun(run.name, 0, True, run.after))
        one[run.name] = replace(known, seconds=known.seconds + run.seconds, reused=known.reused and run.reused)
    return tuple(one.values())


def layers(stages: tuple[StageRun, ...]) -> dict[str, int]:
    """The layer of each task: the length of the longest path to it. Names in `after` that are no task's are ignored."""
    depth = {run.name: 0 for run in stages}
    for _ in stages:
        for run in stages:
            deepest = max([depth[run.name], *(depth[name] + 1 for name in run.after if name in depth)])
            depth[run.name] = min(deepest, len(stages) - 1)
    return depth


def draw(stages: tuple[StageRun, ...], across: bool) -> Drawing:
    """The graph with its layers from left to right (`across`) or from top to bottom, edges routed around the boxes."""
    depth = layers(stages)
    hops = _edges_by_layer(stages, depth)
    rows = _ordered_layers(depth, hops)
    width, height, between = 124.0, 54.0, 32.0
    if not across:
        most_boxes = max((sum(depth[name] == level for name, level in row) for row in rows), default=1)
        width, between = min(150.0, 344.0 / most_boxes - _GAP), 28.0
    thick, long = (height, width) if across else (width, height)
    spread = [sum(_size(place, depth, thick) for place in row) + _GAP * (len(row) - 1) for row in rows]
    breadth = max([*spread, thick if across else 344.0])
    middle: dict[Place, float] = {}
    for row, extent in zip(rows, spread, strict=True):
        at = (breadth - extent) / 2 + 1
        for place in row:
            middle[place] = round(at + _size(place, depth, thick) / 2, 1)
            at += _size(place, depth, thick) + _GAP
    start = {level: level * (long + between) + 1 for level in range(len(rows))}
    lines = [_path(start[a[1]] + long, middle[a], start[b[1]], middle[b], across) for a, b in hops]
    lines += [
        _path(start[place[1]], at, start[place[1]] + long, at, across)
        for place, at in middle.items()
        if depth[place[0]] != place[1]
    ]
    boxes = []
    for run in stages:
        x, y = start[depth[run.name]], middle[run.name, depth[run.name]] - thick / 2
        boxes.append(Box(run, x, y) if across else Box(run, y, x))
    length = len(rows) * (long + between) - between + 2
    size = (length, breadth + 2) if across else (breadth, length)
    return Drawing(tuple(boxes), tuple(lines), *size, width, height)


def _edges_by_layer(stages: tuple[StageRun, ...], depth: dict[str, int]) -> list[tuple[Place, Place]]:
    """The edges split at the layers; edges from one task share their path as long as they can."""
    hops: dict[tuple[Place, Place], None] = {}
    for run in stages:
        for name in run.after:
            if name in depth and depth[name] < depth[run.name]:
                way = [(name, level) for level in range(depth[name], depth[run.name])]
                way.append((run.name, depth[run.name]))
                hops.update(dict.fromkeys(pairwise(way)))
    return list(hops)


def _ordered_layers(depth: dict[str, int], hops: list[tuple[Place, Place]]) -> list[list[Place]]:
    """The places of each layer, ordered by the mean position of their neighbours to reduce crossings (Sugiyama)."""
    places = dict.fromkeys([*depth.items(), *(place for hop in hops for place in hop)])
    rows = [[place for place in places if place[1] == level] for level in range(max(depth.values(), default=-1) + 1)]
    before: dict[Place, list[Place]] = {place: [] for place in places}
    behind: dict[Place, list[Place]] = {place: [] for place in places}
    for a, b in hops:
        before[b].append(a)
        behind[a].append(b)
    for sweep in range(_SWEEPS):
        near = behind if sweep % 2 else before
        at = {place: index - (len(row) - 1) / 2 for row in rows for index, place in enumerate(row)}
        for row in reversed(rows) if sweep % 2 else rows:
            means = {p: sum(at[q] for q in near[p]) / len(near[p]) if near[p] else at[p] for p in row}
            row.sort(key=means.__getitem__)
            at.update({place: index - (len(row) - 1) / 2 for index, place in enumerate(row)})
    return rows


def _size(place: Place, depth: dict[str, int], thick: float) -> float:
    return thick if depth[place[0]] == place[1] else _LANE


def _path(a: float, a_beside: float, b: float, b_beside: float, across: bool) -> str:
    """A curve from `a` to `b` along the layers."""
    if a_beside == b_beside:
        return f"M{a} {a_beside}H{b}" if across else f"M{a_beside} {a}V{b}"
    bend = (a + b) / 2
    points = [(a, a_beside), (bend, a_beside), (bend, b_beside), (b, b_beside)]
    one, two, three, four = (f"{x} {y}" if across else f"{y} {x}" for x, y in points)
    return f"M{one}C{two} {three} {four}"
