"""The deployment `evaluate`: each kind of `remix eval` on what is registered, and its figures kept and shown."""

import json

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.deployments.evaluation import evaluate
from flows.evaluation import continuation, grid, pipeline, separation, transcription, voice
from tasks.runs.folders import register

pytestmark = pytest.mark.usefixtures("prefect_server", "home")

MODULES = {
    "continuation": continuation,
    "grid": grid,
    "pipeline": pipeline,
    "transcription": transcription,
    "voice": voice,
}


def shown(run_id: str) -> str:
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=wanted)
    return str(artifact.data)


@pytest.mark.parametrize("kind", MODULES)
def test_each_kind_is_evaluated_on_own_songs_or_a_registered_folder(kind, home, tmp_path, monkeypatch):
    given = []

    def evaluated(*args, **kwargs):
        given.append((*args, *kwargs.values()))
        return {"songs": 1, "means": {"beside": {"f1": 0.5}}, "by_song": [{"f1": 0.25}]}

    monkeypatch.setattr(MODULES[kind], f"evaluate_{kind}", evaluated)
    monkeypatch.setattr(pipeline, "made_songs", lambda midi, *more: midi)  # what it would render is what it is given
    (tmp_path / "songs").mkdir()
    register("songs", tmp_path / "songs")
    for data, folder in (("own", None), ("songs", (tmp_path / "songs").resolve())):
        ended = evaluate(kind=kind, data=data, songs=3, seconds=20.0, return_state=True)
        assert ended.is_completed(), ended.message
        run_id = str(ended.state_details.flow_run_id)
        assert "| beside | 0.50 |" in shown(run_id)
        kept = json.loads((home / "evaluations" / run_id / "figures.json").read_text())
        assert kept["by_song"] == [{"f1": 0.25}]
        assert folder in given[-1]
    assert len(given) == 2


def test_separation_shows_its_table(home, monkeypatch):
    asked = []
    monkeypatch.setattr(separation, "trials", lambda songs, separators: asked.append(separators) or [])
    ended = evaluate(kind="separation", separators=["band-mask"], return_state=True)
    assert ended.is_completed(), ended.message
    assert "| song | separator |" in shown(str(ended.state_details.flow_run_id))
    assert asked == [["band-mask"]]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"data": "none such"}, "registered"),
        ({"separators": ["none"]}, "There is no separator"),
        ({"kind": "voice", "voice": "nobody"}, "There is no voice"),
    ],
)
def test_what_is_not_registered_is_said_in_a_sentence(given, why):
    ended = evaluate(**given, return_state=True)
    assert ended.is_failed()
    assert why in ended.message


@pytest.mark.parametrize("name", ["data", "voice", "transformer", "separators"])
def test_no_path_is_taken(name):
    ended = evaluate(**{name: ["/etc/passwd"] if name == "separators" else "/etc/passwd"}, return_state=True)
    assert ended.is_failed()
    assert "pattern" in ended.message
