"""`python -m flows.service.web HOST PORT`: Prefect's server and UI, and finished remixes below /remixes.

A run's page links to its report and mix by addresses relative to the UI's own, so that they work for whoever opened
it. They are behind the same secret as the API, for which a browser asks.
"""

import base64
import binascii
import hmac
import sys
from pathlib import PurePosixPath

import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tasks.cache.remote_store import StoreUnreachable
from tasks.runs.remixes import file_of

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mid": "audio/midi",
}
"""What a remix consists of; no other file is served."""

_HEADERS = {
    "Cache-Control": "private, no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Deep Philharmonics", charset="UTF-8"'}


def main(host: str, port: int) -> None:
    """Serve until this process is ended."""
    server = get_current_settings().server
    secret = server.api.auth_string
    uvicorn.run(
        with_remixes(create_app(final=True), secret.get_secret_value() if secret else ""),
        host=host,
        port=port,
        timeout_keep_alive=server.api.keepalive_timeout,
        log_level=server.logging_level.lower(),
    )


def with_remixes(served: ASGIApp, secret: str) -> ASGIApp:
    """An app, and beside it the remixes for those who know a secret ("" for none).

    What allows pages of other sites to ask the API does not hold for remixes.
    """

    async def one(request: Request) -> Response:
        if secret and not _knows(secret, request.headers.get("Authorization", "")):
            return PlainTextResponse("Say the user and the password of this service.", 401, _CHALLENGE)
        return await remix_file(request.path_params["run"], request.path_params["name"])

    remixes = Starlette(routes=[Route("/remixes/{run}/{name:path}", one)])

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"].startswith("/remixes/")
        await (remixes if ours else served)(scope, receive, send)

    return either


async def remix_file(run: str, name: str) -> Response:
    """One file of a finished remix, whole or the range that is asked for."""
    kind = TYPES.get(PurePosixPath(name).suffix)
    try:
        path = await run_in_threadpool(file_of, run, name) if kind else None
    except StoreUnreachable as reason:
        return PlainTextResponse(str(reason), 503)
    if path is None:
        return PlainTextResponse("There is no such remix.", 404)
    return FileResponse(path, headers=_HEADERS, media_type=kind)


def _knows(secret: str, authorization: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    try:
        known = base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(known, secret.encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
