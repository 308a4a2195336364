"""A batch on a Dask or a Ray cluster of this machine instead of the work pool; both are optional extras."""

from typing import Any, Literal

from prefect.task_runners import TaskRunner

from models.errors import BadInput

Engine = Literal["pool", "dask", "ray"]


def task_runner(engine: Engine, at_once: int) -> TaskRunner[Any]:
    """A local cluster of `at_once` workers; raises `BadInput` where its package is not installed."""
    try:
        if engine == "dask":
            from prefect_dask import DaskTaskRunner

            return DaskTaskRunner(cluster_kwargs={"n_workers": at_once, "threads_per_worker": 1, "processes": True})
        from prefect_ray import RayTaskRunner

        return RayTaskRunner(init_kwargs={"num_cpus": at_once, "include_dashboard": False})
    except ImportError:
        raise BadInput(
            f"The engine {engine} is not installed: pip install --no-deps prefect-{engine} {engine}"
        ) from None
