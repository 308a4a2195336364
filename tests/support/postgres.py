"""Debian's PostgreSQL as a process of the test's own."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def _other_user() -> dict[str, int]:
    """PostgreSQL refuses to run as root; Debian's package brings a user for it."""
    if os.getuid():
        return {}
    found = pwd.getpwnam("postgres")
    return {"user": found.pw_uid, "group": found.pw_gid}


@dataclass
class Postgres:
    """A server on loopback whose only user is `remix`."""

    data: Path
    port: int
    password: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again if it ends: after a SIGKILL it may find memory of its former self for a moment."""
        end = time.monotonic() + 120
        ready = [PROGRAMS[-1].with_name("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready).returncode:
            assert time.monotonic() < end, (self.data.parent / "postgres.out").read_text()[-2000:]
            if self.process is None or self.process.poll() is not None:
                self._launch()
            time.sleep(0.5)

    def _launch(self) -> None:
        command = [PROGRAMS[-1], "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", self.data]
        with open(self.data.parent / "postgres.out", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **_other_user())

    def kill(self) -> None:
        """SIGKILL the server and all of its processes."""
        import psutil

        assert self.process
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for one in family:
            one.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def postgres(port: int, password: str) -> Iterator[Postgres]:
    """A fresh database named remix, gone with the block; in a folder of its own, since pytest's are only root's."""
    user = _other_user()
    with TemporaryDirectory(prefix="postgres-") as folder:
        own, secret = Path(folder), Path(folder) / "password"
        secret.write_text(password)
        if user:
            shutil.chown(own, user["user"], user["group"])
            shutil.chown(secret, user["user"], user["group"])
        initdb = [PROGRAMS[-1].with_name("initdb"), "-D", own / "data", "-U", "remix", "-A", "scram-sha-256"]
        subprocess.run([*initdb, "--pwfile", secret], check=True, stdout=subprocess.DEVNULL, **user)
        server = Postgres(own / "data", port, password)
        server.start()
        try:
            create = [PROGRAMS[-1].with_name("createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "remix", "remix"]
            subprocess.run(create, check=True, env={**os.environ, "PGPASSWORD": password})
            yield server
        finally:
            server.kill()
