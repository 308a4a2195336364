"""Where a finished run says that its remix is."""

from pathlib import Path

import pytest

from models.report.types import Curve, Measurements
from tasks.runs import summary
from tasks.runs.remixes import remixes_folder

EMPTY = Curve("", (), ())
NUMBERS = Measurements((), EMPTY, (EMPTY, EMPTY))
RUN = "0190a3b2-7c44-7d6e-8f00-0123456789ab"


@pytest.fixture
def shown(home, monkeypatch) -> list[str]:
    """The links and the text that a run shows."""
    found: list[str] = []
    monkeypatch.setattr(summary, "create_table_artifact", lambda rows, description: None)
    monkeypatch.setattr(summary, "create_link_artifact", lambda link, text, description: found.append(link))
    monkeypatch.setattr(summary, "create_markdown_artifact", lambda text, description: found.append(text))
    monkeypatch.setattr(summary, "summary_plots", lambda data: {})
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", RUN)
    return found


def test_a_run_of_the_service_links_to_what_its_server_serves(shown, monkeypatch):
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "a deployment")
    summary.summarise(remixes_folder() / RUN / "so_ng [1]", "so_ng [1]", NUMBERS, None)
    where = f"/remixes/{RUN}/so_ng%20%5B1%5D"
    assert shown[:2] == [f"{where}/report.html", f"{where}/mix.mp3"]
    assert f"({where}/report.html)" in shown[2]
    assert shown[2].startswith(r"**so\_ng \[1\]** is remixed")
    assert not any("file:" in words for words in shown)


def test_a_plain_run_links_to_its_files(shown, tmp_path):
    summary.summarise(tmp_path / "out" / "a song", "a song", NUMBERS, None)
    assert shown == [f"file://{tmp_path}/out/a%20song/{name}" for name in ("report.html", "mix.mp3")]
    assert Path(shown[0].removeprefix("file://")).is_absolute()
