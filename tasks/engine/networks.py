"""Loaded networks kept for the next stage that wants them: the least recently used go when they are too many bytes."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from models.core.registry import file_digest

T = TypeVar("T")

MOST_BYTES = 4 << 30
Listener = Callable[[str], None]
"""Hears the name of each network that is loaded."""


@dataclass
class Networks:
    """Networks by file, content and device. Before one is loaded it counts as twice its files, which mostly hold half
    precision, and then as what it takes.

    `prepared` makes of a loaded network what is kept.
    """

    most_bytes: int = MOST_BYTES
    on_load: list[Listener] = field(default_factory=list)
    prepared: Callable[[Any], Any] = lambda network: network
    _kept: "OrderedDict[tuple[str, str, str], tuple[Any, int]]" = field(default_factory=OrderedDict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def kept(self, load: Callable[[Path, str], T], path: Path, device: str) -> T:
        """What `load(path, device)` gives, from the last time if the files are unchanged; a path may be a folder."""
        files = sorted(p for p in path.glob("*") if p.is_file()) if path.is_dir() else [path]
        key = (str(path), "".join(file_digest(p) for p in files), device)
        with self._lock:
            if key not in self._kept:
                for listener in self.on_load:
                    listener(path.stem)
                size = 2 * sum(p.stat().st_size for p in files)
                self._make_room(size)
                network = self.prepared(load(path, device))
                size = bytes_in(network) or size
                self._make_room(size)
                self._kept[key] = (network, size)
            self._kept.move_to_end(key)
            return cast(T, self._kept[key][0])

    def _make_room(self, size: int) -> None:
        while self._kept and sum(s for _, s in self._kept.values()) + size > self.most_bytes:
            self._kept.popitem(last=False)


def bytes_in(thing: Any, seen: set[int] | None = None) -> int:
    """What the tensors and arrays in a network or a voice take, each counted once, wherever they hang."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type | ModuleType):
        return 0
    seen.add(id(thing))
    if isinstance(size := getattr(thing, "nbytes", None), int):
        return size
    held = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list | tuple) else ()
    return sum(bytes_in(part, seen) for part in (*held, *getattr(thing, "__dict__", {}).values()))


NETWORKS = Networks(int(os.environ.get("REMIX_NETWORK_BYTES", MOST_BYTES)))
"""The networks of this process."""
