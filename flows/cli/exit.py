"""Exit codes, error sentences, and ending within seconds of Ctrl-C."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from models.core.errors import BadInput, Cancelled, ran_out_of_memory

DONE, FAULT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_PATIENCE_S = 3.0


def guarded(command: Callable[[], None], debug: bool) -> int:
    """Run a command; returns its exit code. Only with `debug` does a traceback reach the user."""
    try:
        command()
        return DONE
    except BadInput as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        return BAD_INPUT
    except (Cancelled, KeyboardInterrupt):
        print("Stopped; what was finished is kept.", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else FAULT
    except Exception as error:
        if debug:
            raise
        if ran_out_of_memory(error):
            print(f"Memory ran out: {error}. Close what else fills it, or say --device cpu.", file=sys.stderr)
            return FAULT
        if sentence := _unreachable(error):
            print(sentence, file=sys.stderr)
            return BAD_INPUT
        print(f"A fault of ours: {type(error).__name__}: {error}. Say --debug to see where.", file=sys.stderr)
        return FAULT


def _unreachable(error: Exception) -> str:
    """A sentence where it is the service's server or the shared store that cannot be reached or refuses; else ""."""
    from httpx import HTTPStatusError, TransportError

    from tasks.cache.remote_store import StoreUnreachable

    api = os.environ.get("PREFECT_API_URL", "")
    reason = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error  # as a flow meets it
    if isinstance(error, StoreUnreachable):
        return str(error)
    if api and isinstance(reason, TransportError):
        return f"No Prefect server answers at {api}; start one with `make serve`, or set PREFECT_API_URL."
    status = reason.response.status_code if isinstance(reason, HTTPStatusError) else 0
    if api and status == 404:
        return f"There is no Prefect server's API at {api}; such an address ends with /api."
    if api and status in (401, 403):
        return f"The server at {api} wants a secret: name the file that holds it, as user:password, in REMIX_AUTH_FILE."
    return ""


def exit_with(command: Callable[[], int]) -> NoReturn:
    """End the process with the code that the command returns.

    Every exit handler runs; what is left out is the second that an interpreter with torch in it takes to tear down.
    """
    code = FAULT

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    atexit.register(end)  # the first to be registered is the last to run
    code = command()
    sys.exit(code)


def stop_on_interrupt() -> None:
    """Make Ctrl-C ask every stage to stop, and end the process itself if they have not within three seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        from tasks.runs.progress import stop_all

        signal.signal(signal.SIGINT, lambda *_: leave_now())
        stop_all()
        timer = threading.Timer(_PATIENCE_S, leave_now)
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def leave_now() -> None:
    """End this process and the ones it started, at once."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(INTERRUPTED)
