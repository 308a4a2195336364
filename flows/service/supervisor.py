"""Processes kept alive: one that ends is started again, and all end with the one that started them."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_PATIENCE_S = 20.0


def say(words: str) -> None:
    """Print into a log; when its disk is full, the words are lost and nothing else."""
    with suppress(OSError):
        print(words, flush=True)


@dataclass
class Supervised:
    """Named commands as processes, each with a log file in `logs`."""

    logs: Path
    say: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)
    _commands: dict[str, list[str]] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: list[str]) -> None:
        """Start a command and keep it running."""
        self._commands[name] = command
        self.logs.mkdir(parents=True, exist_ok=True)
        with open(self.logs / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def pid(self, name: str) -> int:
        """The process now running under a name."""
        return self._running[name].pid

    def ended(self, name: str) -> str:
        """Why a process is not running any more, as the last line of its log says it; "" while it runs."""
        code = self._running[name].poll()
        if code is None:
            return ""
        log = self.logs / f"{name}.log"
        lines = log.read_text(errors="replace").split("\n")
        return f"{name} ended ({code}): {next((line for line in reversed(lines) if line.strip()), '')} (see {log})"

    def until_stopped(self) -> None:
        """Start again whatever ends, until SIGTERM or SIGINT; then end all, the last started first."""

        def on_signal(number: int, frame: FrameType | None) -> None:
            self.stop.set()

        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)
        try:
            while not self.stop.wait(1.0):
                for name, process in list(self._running.items()):
                    if process.poll() is not None:
                        log = self.logs / f"{name}.log"
                        self.say(f"{name} ended ({process.returncode}) and is started again; see {log}")
                        self.start(name, self._commands[name])
        finally:
            self.end()

    def end(self) -> None:
        """End every process: asked first, made to after 20 s."""
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.terminate()
                end = time.monotonic() + _PATIENCE_S
                while process.poll() is None and time.monotonic() < end:
                    time.sleep(0.1)
                process.kill()
                process.wait()
