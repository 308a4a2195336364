"""The tasks of a run laid out as a graph: where each box stands and which way the lines go."""

from dataclasses import dataclass

from models.report.records import StageRun


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


def layers(stages: tuple[StageRun, ...]) -> list[list[StageRun]]:
    """The tasks by the longest way to them; within a layer in the order of what they come after, then as given.

    Names in `after` that are no task's are passed over.

    >>> a, b, c = StageRun("a", 1, False, ()), StageRun("b", 1, False, ("a",)), StageRun("c", 1, True, ("a", "b"))
    >>> [[run.name for run in layer] for layer in layers((c, b, a))]
    [['a'], ['b'], ['c']]
    """
    depth = {run.name: 0 for run in stages}
    for _ in stages:
        for run in stages:
            depth[run.name] = max([depth[run.name], *(depth[name] + 1 for name in run.after if name in depth)])
            depth[run.name] = min(depth[run.name], len(stages) - 1)
    found: list[list[StageRun]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    place: dict[str, float] = {}
    for level, layer in enumerate(found):
        here = [run for run in stages if depth[run.name] == level]
        layer.extend(sorted(here, key=lambda run: _mean([place[name] for name in run.after if name in place])))
        place.update({run.name: index - (len(layer) - 1) / 2 for index, run in enumerate(layer)})
    return [layer for layer in found if layer]


def draw(stages: tuple[StageRun, ...], across: bool) -> Drawing:
    """The graph with its layers from left to right (`across`) or from top to bottom."""
    rows = layers(stages)
    widest = max((len(row) for row in rows), default=1)
    if across:
        box_width, box_height, along, beside = 124.0, 54.0, 156.0, 68.0
        width, height = along * len(rows) - 30, beside * widest
    else:
        box_width, box_height, along = min(150.0, 344.0 / widest - 8), 54.0, 82.0
        beside = 344.0 / widest
        width, height = 344.0, along * len(rows) - 26
    boxes = {}
    for level, row in enumerate(rows):
        for index, run in enumerate(row):
            off = (index - (len(row) - 1) / 2) * beside
            x = along * level + 1 if across else width / 2 + off - box_width / 2
            y = height / 2 + off - box_height / 2 if across else along * level + 1
            boxes[run.name] = Box(run, round(x, 1), round(y, 1))
    lines = [
        _line(boxes[name], box, box_width, box_height, across)
        for box in boxes.values()
        for name in box.run.after
        if name in boxes
    ]
    return Drawing(tuple(boxes.values()), tuple(lines), width, height + 2, box_width, box_height)


def _line(start: Box, end: Box, width: float, height: float, across: bool) -> str:
    if across:
        x1, y1, x2, y2 = start.x + width, start.y + height / 2, end.x, end.y + height / 2
        middle = x2 - 16
        return f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
    x1, y1, x2, y2 = start.x + width / 2, start.y + height, end.x + width / 2, end.y
    middle = y2 - 14
    return f"M{x1} {y1} C{x1} {middle} {x2} {middle} {x2} {y2}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
