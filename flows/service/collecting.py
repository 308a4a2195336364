"""The cache collected here and in the shared store and, where it is asked for, old remixes and uploads."""

from typing import Any


def collected(limit_gb: float, remix_days: int, upload_days: int) -> list[dict[str, Any]]:
    """Collect, and tell what was removed and what is left of the cache, a row each."""
    import tasks.stages.registry  # noqa: F401  # the declared types of all stages
    from tasks.cache.collecting import collect, stats
    from tasks.cache.collecting_remote import collect_shared

    limit = round(limit_gb * 1e9)
    steps: list[tuple[str, Any]] = []
    if remix_days or upload_days:
        from prefect.client.orchestration import get_client

        from flows.service.run_data import clear_old

        with get_client(sync_client=True) as client:
            steps.append(("removed of old", clear_old(client, remix_days, upload_days)))
    steps.append(("removed here", collect(limit)))
    if shared := collect_shared(limit):
        steps.append(("removed from the shared store", shared))
    steps.append(("kept here", stats()))
    columns = ("results", "clips", "remixes", "uploads")
    return [
        {"what": what, **{name: getattr(one, name, 0) for name in columns}, "GB": round(one.bytes / 1e9, 3)}
        for what, one in steps
    ]
