"""Download of weights by their manifest entry: resumable, atomic, verified by SHA-256."""

import errno
import fcntl
import hashlib
import http.client
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from models.core.errors import BadInput
from models.core.progress import UNWATCHED, Watch
from models.core.registry import Weights, file_digest

BLOCK = 1 << 18
ATTEMPTS = 5
TIMEOUT_S = 30.0


class Unreachable(BadInput):
    """A download failed: there is no network, or the server does not have the file."""


def download(weights: Weights, watch: Watch = UNWATCHED) -> Path:
    """Download a weights file, unless it is there and valid; returns its path.

    An interrupted download stays in `<file>.part`, from which the next call resumes; the file is renamed once its size
    and digest are right. Raises `Unreachable` without a network or if the server lacks the file, and `BadInput` for a
    full disk or a file that does not match the manifest.
    """
    if weights.shipped:
        raise BadInput(f"The weights {weights.name!r} come with the project; there is nothing to fetch.")
    if urlsplit(weights.url).scheme not in ("http", "https"):
        raise BadInput(f"The weights {weights.name!r} have an address that is not http or https: {weights.url}")
    target = weights.path
    if offline() and not target.is_file():
        raise Unreachable(f"The weights {weights.name!r} are not here, and this machine is set to be offline.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        with _locked(part):
            if not (target.is_file() and file_digest(target) == weights.sha256):
                _download_rest(weights, part, watch)
                _check_digest(weights, part)
                os.replace(part, target)
    except OSError as error:
        raise BadInput(_disk_reason(weights, target, error)) from error
    watch.at(1.0)
    return target


def offline() -> bool:
    """Whether the environment says that no network is to be used: `REMIX_OFFLINE=1`, or `HF_HUB_OFFLINE=1`."""
    values = (os.environ.get(name, "").lower() for name in ("REMIX_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value in ("1", "true", "yes", "on") for value in values)


def answers(url: str, within_s: float) -> bool:
    """Whether a server has that file, asked for its first byte; a name that does not resolve in time is no answer."""
    answered: list[bool] = []

    def ask() -> None:
        try:
            with urlopen(Request(url, headers={"Range": "bytes=0-0"}), timeout=within_s) as answer:
                answered.append(answer.status in (200, 206))
        except (OSError, http.client.HTTPException):
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(within_s)
    return any(answered)


def _download_rest(weights: Weights, part: Path, watch: Watch) -> None:
    """Download the rest of the part file, with retries when the connection is lost."""
    whole = weights.bytes  # 0 until the server states it, if the manifest does not
    for attempt in range(ATTEMPTS):
        have = _size(part)
        if whole and have == whole:
            return
        if whole and have > whole:
            part.unlink()
            raise BadInput(f"What {weights.url} sent is longer than the manifest says; it was deleted.")
        try:
            whole = _receive(weights, part, whole, watch)
        except HTTPError as error:
            if error.code == 416 and not whole:  # the part file is complete; its digest decides
                return
            raise Unreachable(f"{weights.url} answered {error.code} {error.reason}.") from error
        except (URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if attempt + 1 == ATTEMPTS or (_size(part) == have and isinstance(error, URLError)):
                raise Unreachable(_network_reason(weights, part, error)) from error
    if _size(part) < whole:
        raise Unreachable(_network_reason(weights, part, ConnectionError("the connection was cut again and again")))


def _receive(weights: Weights, part: Path, whole: int, watch: Watch) -> int:
    """One range request for the rest, fsynced; returns the size of the whole file in bytes."""
    have = _size(part)
    request = Request(weights.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urlopen(request, timeout=TIMEOUT_S) as response:
        resumed = response.status == 206
        have = have if resumed else 0
        whole = whole or have + int(response.headers.get("Content-Length") or 0)
        with open(part, "ab" if resumed else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                have += len(block)
                if whole and have > whole:
                    break
                watch.at(have / (whole or have + BLOCK))
            file.flush()
            os.fsync(file.fileno())
    return whole or have


def _check_digest(weights: Weights, part: Path) -> None:
    """Raise `BadInput`, and delete the part file, if its digest is not the manifest's."""
    with open(part, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != weights.sha256:
        part.unlink()
        raise BadInput(
            f"What {weights.url} sent is not the {weights.name!r} of the manifest (wrong SHA-256); it was deleted."
        )


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    """A lock on a part file, by flock, which the kernel releases when the process dies."""
    with open(part.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _network_reason(weights: Weights, part: Path, error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return (
        f"The weights {weights.name!r} could not be fetched from {urlsplit(weights.url).netloc}: {reason} "
        f"({_size(part)} of {weights.bytes or 'unknown'} bytes are kept for the next try)."
    )


def _disk_reason(weights: Weights, target: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        size = f"{weights.bytes or 'unknown'} bytes"
        return f"There is no space left in {target.parent} for the weights {weights.name!r} ({size})."
    return f"The weights {weights.name!r} cannot be written to {target.parent}: {error.strerror or error}."
