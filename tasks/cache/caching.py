"""Stages: Prefect tasks whose results are kept by content and reused across runs and processes.

A stage's key is the digest of its inputs (audio by content, settings, seed), of the weights and consent records it
depends on, of the code it executes and of the packages that compute. Under the key's lock, before Prefect looks for a
result, the record is loaded as its declared type and every clip it names is checked; what fails is removed, made anew.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, wraps
from inspect import signature
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast, get_type_hints

from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.filesystems import LocalFileSystem
from prefect.futures import PrefectFuture
from prefect.results import ResultStore
from prefect.transactions import IsolationLevel
from prefect.utilities.annotations import opaque

from models.core.errors import ran_out_of_memory
from models.core.malloc import release_freed_memory
from models.core.registry import home
from models.core.types import Clip
from models.core.vanishing_files import stat_or_none
from tasks.cache import voice_results
from tasks.cache.fingerprint import code_digest, digest_of, versions
from tasks.cache.leases import Leases
from tasks.cache.locking import Flocks, LockManager
from tasks.cache.remote_store import StoreUnreachable, shared
from tasks.cache.store import Damaged, Store
from tasks.engine.resident import EngineLost, computed
from tasks.runs.progress import stage_watch
from tasks.runs.stage_log import StageRun, note

P = ParamSpec("P")
R = TypeVar("R")

NOT_IN_KEY = frozenset({"device"})
"""Parameters that say where to compute, not what."""

USED_AGAIN_S = 3600.0
"""How often at most one machine notes in the shared store that a result was used, which decides what is kept there."""

_log = logging.getLogger(__name__)

_RETRY_AFTER_S = [2.0, 15.0, 60.0]


def results_folder() -> Path:
    """Where the records of finished stages lie, one file a key."""
    return home() / "results"


def kept_record(key: str) -> Any:
    """The kept result under a key as its stage's declared type; raises `Damaged` if it does not load as that."""
    try:
        folder = LocalFileSystem(basepath=str(results_folder()))
        value: Any = ResultStore(result_storage=folder, cache_result_in_memory=False).read(key).result
    except Exception as error:  # any way of failing to load is the same: the record cannot be used
        raise Damaged(f"{key} does not load: {error}") from error
    of = STAGES.get(key.partition("-")[0])
    if of is None or not isinstance(value, of.returns):
        raise Damaged(f"{key} is a {type(value).__name__}")
    return value


def check_record(key: str) -> None:
    """Raise `Damaged` unless the record loads and every clip it names is whole."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Store().check, set(clips_in(kept_record(key)))))


def forget_if_damaged(key: str) -> None:
    """Mark a kept result as used now, or remove it if it, or a clip it names, is damaged."""
    path, store = results_folder() / key, shared()
    used_before = stat.st_mtime if (stat := stat_or_none(path)) else 0.0
    if not used_before and not (store and store.pull(f"results/{key}", path)):
        return
    try:
        check_record(key)
        os.utime(path)
        if store and time.time() - used_before > USED_AGAIN_S and store.has(f"results/{key}"):
            store.push(path, f"results/{key}")  # written anew it counts as used there, too
    except FileNotFoundError:  # thrown out by a collector meanwhile
        return
    except Damaged as damage:
        _log.warning("a kept result is made anew: %s", damage)
        path.unlink(missing_ok=True)
        if store:
            store.remove(f"results/{key}")


def share(key: str) -> None:
    """Put a result that the store which machines share lacks into it, its clips first: it is new, or was collected."""
    path, store = results_folder() / key, shared()
    if not store or not path.exists() or store.has(f"results/{key}"):
        return
    for clip in set(clips_in(kept_record(key))):
        if not store.has(Store().key(clip)):
            store.push(Store().path(clip), Store().key(clip))
    store.push(path, f"results/{key}")


def _locks() -> LockManager:
    """The kernel's locks for one machine; leases in the shared store where there are several."""
    locks = Leases() if shared() else Flocks(lambda: home() / "locks")
    return LockManager(locks, on_acquired=forget_if_damaged, on_release=share)


def can_pass(task: Any, run: Any, state: Any) -> bool:
    """Whether a stage that failed may well work later: memory ran out, the engine or the shared store went away."""
    try:
        state.result()
    except (EngineLost, StoreUnreachable, ConnectionError, TimeoutError):
        return True
    except Exception as error:
        return ran_out_of_memory(error)
    return False


def clips_in(value: Any) -> Iterator[Clip]:
    """Every clip that a record names, at any depth."""
    if isinstance(value, Clip):
        yield value
    elif is_dataclass(value):
        for f in fields(value):
            yield from clips_in(getattr(value, f.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from clips_in(item)


def unsearched(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """A task's arguments such that Prefect does not search them for futures note by note, which took seconds a run.

    The parts of a record are named beside it: the results they are draw the same edges in the run's graph as before.
    """
    records = [value for value in (*args, *kwargs.values()) if is_dataclass(value)]
    parts = [opaque(getattr(record, f.name)) for record in records for f in fields(record)]
    named: dict[str, Any] = {name: opaque(value) for name, value in kwargs.items()}
    return [opaque(value) for value in args], named | {"wait_for": parts}


class ContentKey(CachePolicy):
    """The cache policy of every stage: the key says everything that the result depends on, and nothing else."""

    isolation_level = IsolationLevel.SERIALIZABLE

    def __init__(self, stage: "Stage[Any, Any]") -> None:
        self.stage = stage
        self.lock_manager = _locks()

    def __deepcopy__(self, memo: dict[int, object]) -> "ContentKey":
        return self

    def compute_key(self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any) -> str:
        key = self.stage.key(inputs)
        note(StageRun(self.stage.name, key, _seconds_kept(key), reused=True))
        return key


@dataclass(frozen=True, eq=False)
class Stage(Generic[P, R]):
    """A pure function as a Prefect task with a content key; call it or `submit` it inside a flow."""

    fn: Callable[P, R]
    computes: tuple[str, ...]
    depends: Callable[..., Any]
    loads: Callable[..., tuple[str, ...]]
    resident: bool = False

    @property
    def name(self) -> str:
        return self.fn.__name__

    @cached_property
    def returns(self) -> type:
        return cast(type, get_type_hints(self.fn)["return"])

    def key(self, inputs: dict[str, Any]) -> str:
        """The content key of a call; raises what `depends` raises (a voice without consent, weights not there)."""
        material = {
            "inputs": {k: v for k, v in inputs.items() if k not in NOT_IN_KEY},
            "depends": self.depends(**inputs),
            "code": code_digest(self.fn.__module__, *self.loads(**inputs)),
            "versions": versions(self.computes),
        }
        return f"{self.name}-{digest_of(material)}"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        given, options = unsearched(args, kwargs)
        return cast(R, self._task()(*given, **options))

    def submit(self, *args: Any, **kwargs: Any) -> PrefectFuture[R]:
        """Start it beside others; futures of other stages may be given in place of their results."""
        given, options = unsearched(args, kwargs)
        return cast(PrefectFuture[R], self._task().submit(*given, **options))

    def _task(self) -> Task[P, R]:
        return self._prefect_task.with_options(result_storage=results_folder(), task_run_name=self.name)

    @cached_property
    def _prefect_task(self) -> Task[P, R]:
        return Task(
            _timed(self),
            name=self.name,
            cache_policy=ContentKey(self),
            persist_result=True,
            result_serializer="json",
            cache_result_in_memory=False,
            retries=len(_RETRY_AFTER_S),
            retry_delay_seconds=_RETRY_AFTER_S,
            retry_condition_fn=can_pass,
        )


STAGES: dict[str, Stage[Any, Any]] = {}


def stage_modules() -> list[str]:
    """The module of each stage."""
    return sorted({known.fn.__module__ for known in STAGES.values()})


def read_code() -> None:
    """Parse the code that the stages' keys depend on now, rather than at each stage's first lookup."""
    code_digest(*stage_modules())


def stage(
    *computes: str,
    depends: Callable[..., Any] = lambda **inputs: None,
    loads: Callable[..., tuple[str, ...]] = lambda **inputs: (),
    resident: bool = False,
) -> Callable[[Callable[P, R]], Stage[P, R]]:
    """Make a function a stage.

    `computes` names the distributions whose version matters to its result; `depends(**inputs)` gives what else does:
    digests of weights and of consent records; `loads(**inputs)` the modules of ours that it loads by name. A `resident`
    stage uses networks, and is computed by this machine's resident engine where there is one.
    """

    def make(fn: Callable[P, R]) -> Stage[P, R]:
        made = Stage(fn, computes, depends, loads, resident)
        STAGES[made.name] = made
        return made

    return make


def _timed(of: Stage[P, R]) -> Callable[P, R]:
    """The stage's function, noting that it ran and how long it took."""

    @wraps(of.fn)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        started = time.monotonic()
        inputs = signature(of.fn).bind(*args, **kwargs).arguments
        value: R = computed(of.name, of.fn, inputs, stage_watch) if of.resident else of.fn(*args, **kwargs)
        release_freed_memory()
        key, seconds = of.key(inputs), time.monotonic() - started
        _keep_seconds(key, seconds)
        voice_results.mark(key, inputs, clips_in(tuple(inputs.values())), clips_in(value))
        note(StageRun(of.name, key, seconds, reused=False))
        return value

    return run


def _seconds_path(key: str) -> Path:
    return home() / "seconds" / key


def _keep_seconds(key: str, seconds: float) -> None:
    """Note what a stage cost; where there is no room for the note, the stage is none the worse."""
    path = _seconds_path(key)
    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(seconds))
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)


def _seconds_kept(key: str) -> float:
    try:
        return float(json.loads(_seconds_path(key).read_text()))
    except (OSError, ValueError, TypeError):
        return 0.0
