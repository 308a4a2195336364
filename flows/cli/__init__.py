"""The command `remix`: songs remixed, each stage alone, and what is kept looked after."""

import gc
import os
import sys

from flows.cli import leaving, server
from models.memory import keep_freed


def main() -> None:
    """Run the command line; exits with 0 done, 2 bad input or usage, 1 a fault of ours, 130 stopped."""
    keep_freed()
    gc.set_threshold(20_000, 50, 50)  # imports make much and leave no garbage: a sixth of their time was its search
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    if not debug:
        for name in ("PREFECT_LOGGING_LEVEL", "PREFECT_SERVER_LOGGING_LEVEL", "PREFECT_INTERNAL_LOGGING_LEVEL"):
            os.environ.setdefault(name, "CRITICAL")
    leaving.stop_on_interrupt()
    if sys.argv[1:2] in (["run"], ["demo"]) and "--help" not in sys.argv:
        server.begin()
    from flows.cli.commands import app

    leaving.exit_with(lambda: leaving.guarded(app, debug))
