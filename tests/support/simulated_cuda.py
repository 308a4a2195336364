"""A CUDA device in software, so that code for a GPU really runs, and runs into its mistakes, where there is none.

A tensor "on" the device is a `Pretended`: it says that it lies on cuda:0, and holds a tensor of the CPU that every
operation is carried out on. The dispatcher brings each operation with such a tensor here (`__torch_dispatch__`), those
that make new ones through kernels registered for torch's CUDA key; both work in any thread, and autocast for CUDA casts
as it would. What a GPU refuses is refused: mixing with tensors of the CPU (single numbers and copies aside), `numpy()`
without `cpu()`, drawing from a generator of the CPU. It refuses more than a GPU in that random numbers are not drawn on
it at all, since no seed would give the CPU's. It has only so many bytes, and a tensor past them is an
`OutOfMemoryError`; what keeps a tensor alive, say the traceback of a caught error, keeps its bytes. It infers only:
nothing on it has a gradient.

What it cannot show: other kernels' rounding, speed, streams, and drivers.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

aten = torch.ops.aten
_COPIES = {aten._to_copy.default, aten.copy_.default}
_MAKERS = (
    *("empty.memory_format", "empty_strided", "arange", "arange.start", "arange.start_step"),
    *("hann_window", "hann_window.periodic"),
)
"""The operations that make a tensor of none, as far as others do not come down to them."""
_HERE = torch.device("cpu")


class Memory:
    """The device's bytes: so many in all, those that living tensors take, the most there were; a view takes none.

    `emptied` is how many were taken at each call of `empty_cache`.
    """

    def __init__(self, total: int) -> None:
        self.total, self.taken, self.most = total, 0, 0
        self.emptied: list[int] = []
        self._users: dict[int, int] = {}
        self._lock = threading.RLock()

    def hold(self, tensor: "Pretended") -> None:
        storage = tensor.inner.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        with self._lock:
            if place not in self._users and self.taken + size > self.total:
                raise torch.OutOfMemoryError(f"{self.taken + size} bytes of {self.total} (pretended)")
            self.taken += size if place not in self._users else 0
            self.most = max(self.most, self.taken)
            self._users[place] = self._users.get(place, 0) + 1
        weakref.finalize(tensor, self._release, place, size)

    def _release(self, place: int, size: int) -> None:
        with self._lock:
            self._users[place] -= 1
            if not self._users[place]:
                del self._users[place]
                self.taken -= size


_memory = Memory(0)


class Pretended(torch.Tensor):
    """A tensor on the pretended device; `inner` is where its numbers are."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Pretended":
        shape = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        with torch.inference_mode(False):  # else views of parameters, which are no inference tensors, cannot be made
            made = torch.Tensor._make_wrapper_subclass(cls, inner.size(), device="cuda:0", **shape)  # type: ignore[attr-defined]
        made.inner = inner
        _memory.hold(made)
        return made

    def __repr__(self) -> str:
        return f"Pretended({self.inner!r})"

    def requires_grad_(self, requires_grad: bool = True) -> "Pretended":
        return self  # gradients would want torch's own driver

    # what torch's own methods look the driver up for
    def contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> torch.Tensor:
        return self if self.is_contiguous(memory_format=memory_format) else self.clone(memory_format=memory_format)

    def new_tensor(self, data: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype).to(self.device)

    def __getitem__(self, place: Any) -> "Pretended":
        _refuse("indexing", list(_tensors(place)))
        return Pretended(self.inner[_inner(place)])

    def __setitem__(self, place: Any, value: Any) -> None:
        _refuse("indexing", list(_tensors(place)))
        self.inner[_inner(place)] = _inner(value)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func is aten._fused_sdp_choice.default:
            return 0  # plain mathematics: the fused kernels of the two devices are different operations
        tensors = [*_tensors(args), *_tensors(tuple(given.values()))]
        if func not in _COPIES:
            _refuse(func, tensors)
        goes = torch.device(given["device"] or "cuda") if "device" in given else torch.device("cuda")
        if "device" in given:
            given["device"] = _HERE
        known = {id(t.inner): t for t in tensors if isinstance(t, Pretended)}
        state = torch.get_rng_state() if torch.Tag.nondeterministic_seeded in func.tags else None
        found = func(*_inner(args), **{name: _inner(value) for name, value in given.items()})
        if given.get("generator") or (state is not None and not torch.equal(state, torch.get_rng_state())):
            raise RuntimeError(f"{func} draws random numbers on the GPU, which no seed of the CPU gives")
        if goes.type == "cpu":
            return found
        if func is aten.copy_.default and not isinstance(args[0], Pretended):
            return args[0]
        return _outer(found, known)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in an argument, which may be a list of them."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _inner(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_inner, value))
    return value.inner if isinstance(value, Pretended) else value


def _outer(value: Any, known: dict[int, Pretended]) -> Any:
    """What an operation gave, as lying on the device: tensors it worked in place on, or new ones."""
    if isinstance(value, list | tuple):
        return type(value)(_outer(part, known) for part in value)
    if not isinstance(value, torch.Tensor):
        return value
    outer = known.get(id(value))
    if outer is None:
        return Pretended(value)
    if outer.shape != value.shape or outer.stride() != value.stride():
        raise NotImplementedError(f"in place from {tuple(outer.shape)} to {tuple(value.shape)}")
    return outer


def _refuse(what: Any, tensors: list[torch.Tensor]) -> None:
    """Raise as a GPU does where one of these lies on the CPU and is more than a single number."""
    if any(t.dim() for t in tensors if not isinstance(t, Pretended)):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {what} was given cuda:0 and cpu")


def _kernel(name: str) -> Callable[..., Pretended]:
    """One of the `_MAKERS` for the device."""
    packet, _, overload = name.partition(".")
    make = getattr(getattr(aten, packet), overload or "default")
    return lambda *args, **kwargs: Pretended(make(*args, **kwargs | {"device": _HERE}))


@contextmanager
def pretended_cuda(total: int = 16 << 30) -> Iterator[Memory]:
    """Within it torch has a CUDA device of so many bytes; gives its memory. Its tensors must not outlive it."""
    import pytest

    global _memory
    _memory = Memory(total)
    kernels = torch.library.Library("aten", "IMPL")
    for name in _MAKERS:
        kernels.impl(name, _kernel(name), "CUDA")
    to, tensor = torch.Tensor.to, torch.tensor
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _asked_of_torch(_memory).items():
            patch.setattr(torch.cuda, name, value)
        # a device without a number is looked up in torch's own driver, which is not there
        patch.setattr(torch.Tensor, "to", lambda self, *a, **k: to(self, *map(_numbered, a), **_all_numbered(k)))
        patch.setattr(torch, "tensor", lambda data, *, device=None, **k: tensor(data, **k).to(device or "cpu"))
        patch.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True)
        fused = torch._C._jit_can_fuse_on_gpu()
        torch._C._jit_override_can_fuse_on_gpu(False)  # it would compile for a driver that is not there
        try:
            yield _memory
        finally:
            torch._C._jit_override_can_fuse_on_gpu(fused)
            kernels._destroy()


def _asked_of_torch(memory: Memory) -> dict[str, Any]:
    def empty_cache() -> None:
        memory.emptied.append(memory.taken)

    return {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_bf16_supported": lambda *a, **k: True,
        "current_device": lambda: 0,
        "device_count": lambda: 1,
        "get_device_name": lambda *a: "a pretended accelerator",
        "get_device_capability": lambda *a: (9, 0),
        "get_arch_list": lambda: ["sm_90"],
        "mem_get_info": lambda *a: (memory.total - memory.taken, memory.total),
        "memory_reserved": lambda *a: memory.taken,
        "memory_allocated": lambda *a: memory.taken,
        "empty_cache": empty_cache,
    }


def _numbered(value: Any) -> Any:
    return torch.device("cuda:0") if value in ("cuda", torch.device("cuda")) else value


def _all_numbered(given: dict[str, Any]) -> dict[str, Any]:
    return {name: _numbered(value) for name, value in given.items()}
