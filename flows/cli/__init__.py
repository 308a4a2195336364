"""The command `remix`: songs remixed, each stage alone, and what is kept looked after."""

import gc
import os
import sys
from pathlib import Path

from flows.cli import exit, server
from models.core.malloc import keep_freed_memory
from models.core.registry import home
from models.core.writable import check_writable


def main() -> None:
    """Run the command line; exits with 0 done, 2 bad input or usage, 1 a fault of ours, 130 stopped."""
    keep_freed_memory()
    gc.set_threshold(20_000, 50, 50)  # imports make much and leave no garbage: a sixth of their time was its search
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    if not debug:
        for name in ("PREFECT_LOGGING_LEVEL", "PREFECT_SERVER_LOGGING_LEVEL", "PREFECT_INTERNAL_LOGGING_LEVEL"):
            os.environ.setdefault(name, "CRITICAL")
    exit.stop_on_interrupt()
    exit.exit_with(lambda: exit.guarded(_command, debug))


def _command() -> None:
    if "--help" not in sys.argv and sys.argv[1:2] not in ([], ["doctor"]):
        for folder, variable in ((home(), "REMIX_HOME"), (Path(os.environ["PREFECT_HOME"]), "PREFECT_HOME")):
            check_writable(folder.expanduser(), f"{folder} ({variable})")
        if sys.argv[1] in ("run", "demo"):
            server.begin()
    from flows.cli.commands import app

    app()
