"""What is freed of the memory: kept for the next tensors while a stage computes, given back to the system after it.

By itself glibc gives each large block back as soon as it is freed, and the kernel clears it anew for the next one. A
network frees and asks for hundreds of megabytes a second; that takes it a sixth of its time on a CPU.
"""

import ctypes
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8  # malloc.h
_LARGEST = 1 << 30
"""Blocks from this size on, in bytes, are mapped and given back one by one all the same."""
_MARGIN = 64 << 20


def keep_freed() -> None:
    """From now on this process keeps what it frees until `give_back`; to be called before it starts threads.

    Threads share one heap then, since those of their own hold no large blocks. Without glibc nothing happens.
    """
    libc = _glibc()
    if libc is not None:
        values = {_ARENA_MAX: 1, _MMAP_THRESHOLD: _LARGEST, _TRIM_THRESHOLD: 2 * _LARGEST - 1, _TOP_PAD: _MARGIN}
        for name, value in values.items():
            libc.mallopt(name, value)


def give_back() -> None:
    """Give the system all that is freed, wherever it lies in the heap."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
