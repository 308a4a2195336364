"""The shared store kept under a size limit: the least recently used results are removed first.

Nothing here can spoil a run: what is missing there is computed anew. What is being looked up or computed is under a
lease and left alone, and so is what was made or used in the last `SPARED_S`, since a song under way may want it.
"""

import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks.cache.collecting import Collected
from tasks.cache.leases import Leases
from tasks.cache.remote_store import Object, RemoteStore, shared

SPARED_S = 6 * 3600.0
"""Longer than a song takes; and hits are noted in the store once an hour (`tasks.cache.caching.USED_AGAIN_S`)."""

_DIGEST = re.compile(rb"[0-9a-f]{64}")


def collect_shared(limit_bytes: int) -> Collected | None:
    """Throw out results, oldest use first, with the clips only they name, until all fits; None without such a store.

    Clips that no result names, the songs as they were decoded, go first.
    """
    store = shared()
    if store is None:
        return None
    results, blobs = store.objects("results"), {_digest(one.key): one for one in store.objects("blobs")}
    over = sum(one.bytes for one in (*results, *blobs.values())) - limit_bytes
    if over <= 0:
        return Collected(0, 0, 0)
    results.sort(key=lambda one: one.written_at)
    named = {one.key: _named(store, one) & blobs.keys() for one in results}
    work = _Collection(store, over, blobs, Counter(digest for digests in named.values() for digest in digests))
    work.remove_unnamed(sorted(blobs, key=lambda digest: blobs[digest].written_at))
    for one in results:
        if not work.over or not work.is_old(one):
            break
        if work.remove_result(one):
            work.uses.subtract(named[one.key])
            work.remove_unnamed(named[one.key])
    return Collected(work.results, work.clips, work.bytes)


@dataclass
class _Collection:
    """One collection under way: `over` is how many bytes have to go yet, `uses` how many results name a clip."""

    store: RemoteStore
    over: int
    blobs: dict[str, Object]
    uses: "Counter[str]"
    results: int = 0
    clips: int = 0
    bytes: int = 0
    before: float = field(default_factory=lambda: time.time() - SPARED_S)

    def is_old(self, one: Object) -> bool:
        return one.written_at < self.before

    def remove_unnamed(self, digests: Iterable[str]) -> None:
        """Remove those of the clips that no result names, as far as it is needed."""
        for digest in digests:
            one = self.blobs.get(digest)
            if not self.over:
                return
            if one and not self.uses[digest] and self.is_old(one) and self._is_unchanged(one):
                self._remove(self.blobs.pop(digest))
                self.clips += 1

    def remove_result(self, one: Object) -> bool:
        """Remove a result, unless somebody holds its lease, or has used it since it was listed."""
        release = Leases().taken(one.key.rpartition("/")[2], 0.0)
        if release is None:
            return False
        try:
            if not self._is_unchanged(one):
                return False
            self._remove(one)
            self.results += 1
            return True
        finally:
            release()

    def _is_unchanged(self, one: Object) -> bool:
        return one in self.store.objects(one.key)

    def _remove(self, one: Object) -> None:
        self.store.remove(one.key)
        self.over = max(0, self.over - one.bytes)
        self.bytes += one.bytes


def _named(store: RemoteStore, result: Object) -> set[str]:
    """The digests in a result's record, of which some are clips'."""
    return {match.decode() for match in _DIGEST.findall(store.read(result.key) or b"")}


def _digest(key: str) -> str:
    return key.rpartition("/")[2].partition(".")[0]
