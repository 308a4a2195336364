"""`remix weights`, `remix cache` and `remix doctor`."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from flows.cli.run import AsJson
from models.core import registry
from models.core.errors import BadInput, unknown_name

console = Console()


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    groups: dict[str, tuple[str, tuple[Callable[..., None], ...]]] = {
        "weights": ("The networks: what is shipped, how good it is, and what can be fetched.", WEIGHTS),
        "cache": ("What earlier runs left to be reused.", CACHE),
    }
    for name, (about, commands) in groups.items():
        group = typer.Typer(help=about, no_args_is_help=True)
        for command in commands:
            group.command(command.__name__.partition("_")[2])(command)
        app.add_typer(group, name=name)
    app.command()(doctor)


def show_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows as JSON for programs, or as a table for people."""
    if as_json:
        print(json.dumps(rows, default=str))
        return
    if not rows:
        console.print("none")
        return
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def weights_list(as_json: AsJson = False) -> None:
    """Name every network, how good it is, and what to fetch instead where there is a network."""
    rows = [
        {
            "name": weights.name,
            "kind": weights.kind,
            "here": _here(weights),
            "MB": round(sum(one.bytes for one in _files(weights)) / 1e6, 1) or "",
            "licence": weights.licence,
            "quality": weights.quality,
        }
        for weights in registry.manifest()
    ]
    if as_json:
        show_rows(rows, as_json)
        return
    for row in rows:
        size = f"{row['MB']} MB, " if row["MB"] else ""
        about = f"{str(row['kind']).replace('_', ' ')}, {row['here']}, {size}{row['licence']}"
        console.print(f"[bold]{row['name']}[/bold]: {about}", highlight=False)
        console.print(Padding(str(row["quality"]), (0, 0, 0, 4)), highlight=False)


def _files(weights: registry.Weights) -> tuple[registry.Weights, ...]:
    """What a network's numbers are in: its own file, or the parts that a bag of networks is made of."""
    from models.separation.checkpoints import to_fetch

    bag = weights.kind == "separator" and weights.shipped and weights.path.is_file()
    return (to_fetch(weights.name) if bag else ()) or (weights,)


def _here(weights: registry.Weights) -> str:
    whole = all(one.path.is_file() for one in _files(weights))
    if all(one.shipped for one in _files(weights)):
        return "shipped" if whole else "missing"
    return "fetched" if whole else "can be fetched"


def weights_fetch(
    name: Annotated[str, typer.Argument(help="A name from `remix weights list`.")], as_json: AsJson = False
) -> None:
    """Fetch a network that is not shipped; resumes where it was cut off, and keeps nothing that fails its SHA-256."""
    from flows.cli.live import shown
    from models.core.download import download
    from tasks.runs.progress import stage_watch

    named = [one for weights in registry.manifest() if weights.name == name for one in _files(weights)]
    fetchable = [one for one in named if not one.shipped]
    if not fetchable:
        apart = [w.name for w in registry.manifest() if not all(one.shipped for one in _files(w))]
        raise unknown_name("weights file to fetch", name, apart)
    with shown(console if not as_json else Console(stderr=True)):
        fetched = [str(download(one, stage_watch(f"fetch {one.file}"))) for one in fetchable]
    print(json.dumps(fetched) if as_json else "\n".join(fetched))


def weights_verify(as_json: AsJson = False) -> None:
    """Hash every network that is here and hold it against the manifest."""
    rows, bad = [], []
    for weights in registry.manifest():
        if not weights.path.is_file() and not weights.shipped:
            continue
        try:
            registry.verified(weights)
            rows.append({"name": weights.name, "kind": weights.kind, "whole": True})
        except BadInput as error:
            rows.append({"name": weights.name, "kind": weights.kind, "whole": False})
            bad.append(str(error))
    show_rows(rows, as_json)
    if bad:
        raise BadInput("\n".join(bad))


def cache_stats(as_json: AsJson = False) -> None:
    """Count the kept results and clips, and their size."""
    import tasks.stages.registry  # noqa: F401  # the declared types of all stages
    from tasks.cache.collecting import stats

    kept = stats()
    if as_json:
        print(json.dumps(asdict(kept)))
        return
    console.print(f"{kept.results} results, {kept.clips} clips, {kept.bytes / 1e9:.2f} GB", highlight=False)
    show_rows([{"stage": name, "results": count} for name, count in sorted(kept.by_stage.items())], as_json)


def cache_verify(as_json: AsJson = False) -> None:
    """Load every kept result and hash every clip; exits 2 where any is damaged; the next run makes it anew."""
    import tasks.stages.registry  # noqa: F401  # the declared types of all stages
    from tasks.cache.collecting import damaged

    bad = damaged()
    print(json.dumps(bad) if as_json else "\n".join([*bad, f"{len(bad)} damaged"]))
    if bad:
        raise BadInput(f"{len(bad)} of the kept results are damaged; the next run makes them anew.")


def cache_gc(
    limit_gb: Annotated[float, typer.Option("--limit", min=0.0, help="Keep at most this many GB.")] = 20.0,
    remix_days: Annotated[int, typer.Option(min=0, help="Keep the service's remixes so many days; 0: all.")] = 0,
    upload_days: Annotated[int, typer.Option(min=0, help="Keep unused uploads so many days; 0: all.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Throw out the least recently used results over the limit, here and in the shared store, and nothing in use.

    Old remixes and uploads are taken only where it is asked for, and none that a run or a batch still needs.
    """
    from flows.service.collecting import collected
    from flows.service.deployments import use_api

    if remix_days or upload_days:
        use_api()
    show_rows(collected(limit_gb, remix_days, upload_days), as_json)


def doctor(as_json: AsJson = False) -> None:
    """Say in one screen what is installed, which device and weights there are, and how much disk and memory is free."""
    from models.core.diagnosis import diagnose

    show_rows([asdict(fact) for fact in diagnose()], as_json)


WEIGHTS = (weights_list, weights_fetch, weights_verify)
CACHE = (cache_stats, cache_verify, cache_gc)
