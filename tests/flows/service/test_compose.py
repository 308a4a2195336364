"""The compose file: what it promises, and its commands started as processes with its environment."""

import re
import secrets
import shlex
import time
import urllib.error
import urllib.request
from typing import Any

import jsonschema
import pytest
import yaml

from models.audio.encode import write_wav
from models.synthesis.example_song import example_song
from tests.support.postgres import PROGRAMS, postgres
from tests.support.service import REMIX, ROOT, Service, free_port

SCHEMA = {
    "type": "object",
    "required": ["services", "secrets", "volumes"],
    "properties": {
        "secrets": {"additionalProperties": {"required": ["file"], "maxProperties": 1}},
        "services": {
            "additionalProperties": {
                "type": "object",
                "required": ["user", "read_only", "cap_drop", "security_opt"],
                "oneOf": [{"required": ["image"]}, {"required": ["build"]}],
                "properties": {
                    "user": {"type": "string", "pattern": "^[1-9][0-9]*$"},
                    "read_only": {"const": True},
                    "cap_drop": {"const": ["ALL"]},
                    "security_opt": {"const": ["no-new-privileges:true"]},
                    "privileged": False,
                    "network_mode": False,
                    "ports": {"items": {"pattern": r"^\$\{REMIX_BIND:-127\.0\.0\.1\}:"}},
                    "command": {"type": "array", "items": {"type": "string"}},
                    "environment": {"type": "object", "additionalProperties": {"type": "string"}},
                    "secrets": {"type": "array", "items": {"enum": ["auth", "aws", "database"]}},
                    "depends_on": {"additionalProperties": {"required": ["condition"]}},
                    "profiles": {"type": "array"},
                    "restart": {"enum": ["unless-stopped", "no"]},
                },
            }
        },
    },
}  # fmt: skip
SECRET_NAMES = re.compile("password|secret|auth|key|credentials", re.IGNORECASE)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def test_it_is_closed_unprivileged_and_holds_no_secret(compose):
    jsonschema.validate(compose, SCHEMA)
    services = compose["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["server"]
    for service in services.values():
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        for volume in service.get("volumes", []):
            assert volume.startswith("./") or volume.split(":")[0] in compose["volumes"]
        for name, value in service.get("environment", {}).items():
            if SECRET_NAMES.search(name):
                assert str(value).startswith("/run/secrets/"), name
                assert str(value).removeprefix("/run/secrets/") in service["secrets"], name
    assert services["gpu-worker"]["profiles"] == ["gpu"]
    assert services["worker"]["build"]["target"] == "cpu"
    assert services["gpu-worker"]["build"]["target"] == "cuda"


def test_a_folder_that_the_command_registers_is_there_for_the_workers(compose):
    folders = {
        name: {volume.split(":")[1]: volume.split(":")[0] for volume in compose["services"][name]["volumes"]}
        for name in ("remix", "worker", "gpu-worker")
    }
    assert folders["remix"] == folders["worker"] == folders["gpu-worker"] == {"/data": "data", "/songs": "./songs"}


def test_the_server_finds_the_remixes_that_it_serves_where_the_workers_leave_them(compose):
    server, worker = compose["services"]["server"], compose["services"]["worker"]
    assert "data:/data" in server["volumes"]
    assert {"auth", "aws"} <= set(server["secrets"])
    for name in ("REMIX_STORE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL"):
        assert server["environment"][name] == worker["environment"][name]


def test_keys_of_the_shared_store_come_from_a_file(tmp_path, monkeypatch):
    import botocore.session

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws"))
    (tmp_path / "aws").write_text("[default]\naws_access_key_id = one\naws_secret_access_key = two\n")
    found = botocore.session.get_session().get_credentials()
    assert (found.access_key, found.secret_key) == ("one", "two")


def test_the_dockerfile_runs_the_projects_own_install_as_a_user_without_rights():
    lines = (ROOT / "Dockerfile").read_text()
    for target in ("cuda", "cpu"):
        part = lines.split(f" AS {target}\n")[1].split("\nFROM ")[0]
        assert "./install.sh" in part
        assert re.search(r"^USER 10001$", part, re.MULTILINE)
    for copied in re.findall(r"^COPY (.+) \S+$", lines, re.MULTILINE):
        assert all((ROOT / name).exists() for name in shlex.split(copied))
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {"secrets", ".git"} <= set(ignored)


@pytest.mark.service
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not here: apt-get install postgresql")
def test_its_commands_serve_a_song_on_postgres_behind_a_secret_even_when_postgres_is_killed(compose, tmp_path):
    files = {name: tmp_path / name for name in ("auth", "aws", "database")}
    auth, password = f"remix:{secrets.token_urlsafe(12)}", secrets.token_urlsafe(12)
    files["auth"].write_text(auth)
    files["database"].write_text(password)
    files["aws"].write_text("")
    database, server = free_port(), free_port()
    served = Service(tmp_path / "home", server)

    def start(name: str) -> None:
        service = compose["services"][name]
        command = [word if word != "4200" else str(server) for word in service["command"]]
        served.start(name, *command, **variables(name))

    def variables(name: str) -> dict[str, str]:
        given = compose["services"][name]["environment"]
        return {key: here(str(value)) for key, value in given.items() if here(str(value))}

    def here(value: str) -> str:
        value = value.replace("database:5432", f"127.0.0.1:{database}").replace("server:4200", f"127.0.0.1:{server}")
        value = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
        value = re.sub(r"^/run/secrets/(\w+)$", lambda found: str(files[found[1]]), value)
        return value.replace("/data/", f"{tmp_path}/home/")

    with postgres(database, password) as db:
        try:
            start("server")
            served.wait_for_server()
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"{served.api}/admin/version", timeout=30)
            start("setup")
            assert served.running.pop("setup").wait(300) == 0, served.logs()
            start("worker")
            served.environment = variables("remix")
            song = tmp_path / "song.wav"
            write_wav(example_song(seconds=4.0).mix, song)
            (run,) = served.submit(song)
            while served.told("runs", "show", run)["state"] not in ("Running", "Completed"):
                time.sleep(0.5)
            db.kill()
            time.sleep(2)
            db.start()
            assert served.until_over([run])[run]["state"] == "Completed"
            logs = served.logs() + "".join(p.read_text() for p in (tmp_path / "home" / "logs").glob("*.log"))
            assert password not in logs
            assert auth not in logs
        finally:
            served.stop()


def test_a_server_that_is_open_to_the_network_wants_a_secret(tmp_path):
    import subprocess

    environment = Service(tmp_path / "home").variables()
    command = [*REMIX, "server", "--host", "0.0.0.0"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "secret" in done.stderr
