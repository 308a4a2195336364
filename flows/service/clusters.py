"""A batch on a Dask or a Ray cluster of this machine instead of the work pool; both are optional extras."""

from typing import Any, Literal, cast

from prefect.task_runners import TaskRunner

from models.core.errors import BadInput

Engine = Literal["pool", "dask", "ray"]
PACKAGES = {
    "dask": "prefect-dask==0.3.7 dask==2026.8.0 distributed==2026.8.0 partd locket toolz tblib zict sortedcontainers "
    "tornado importlib-metadata==8.7.0 zipp",
    "ray": "prefect-ray==0.6.0 ray==2.60.0",
}
"""What an engine needs beside this project, as pip takes it without the dependencies that these name."""


def task_runner(engine: Engine, at_once: int) -> TaskRunner[Any]:
    """A local cluster of `at_once` workers; raises `BadInput` where its package is not installed."""
    try:
        if engine == "dask":
            from prefect_dask import DaskTaskRunner as Dask

            of_dask = {"n_workers": at_once, "threads_per_worker": 1, "processes": True}
            return cast(TaskRunner[Any], Dask(cluster_kwargs=of_dask))
        from prefect_ray import RayTaskRunner as Ray

        return cast(TaskRunner[Any], Ray(init_kwargs={"num_cpus": at_once, "include_dashboard": False}))
    except ImportError:
        words = f"The engine {engine} is not installed: pip install --no-deps {PACKAGES[engine]}"
        raise BadInput(words) from None
