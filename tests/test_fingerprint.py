from dataclasses import dataclass
from pathlib import Path

import pytest

from models.records import Clip, Take
from tasks.fingerprint import code_digest, digest_of, versions


@pytest.fixture
def project(tmp_path):
    files = {
        "models/__init__.py": "",
        "models/sound.py": "from models.inner import helper\n\ndef f(x):\n    return helper(x)\n",
        "models/inner/__init__.py": "from .deep import helper\n",
        "models/inner/deep.py": "def helper(x):\n    return x + 1\n",
        "models/apart.py": "y = 1\n",
        "tasks/__init__.py": "",
        "tasks/verb.py": "def run():\n    from models.sound import f\n    import numpy\n    return f(1)\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def edited(project: Path, name: str, old: str, new: str) -> str:
    path = project / name
    assert old in path.read_text() or not old
    path.write_text(path.read_text().replace(old, new) if old else path.read_text() + new)
    return code_digest("tasks.verb", project)


def test_an_edited_helper_far_below_is_another_digest(project):
    before = code_digest("tasks.verb", project)
    assert edited(project, "models/inner/deep.py", "x + 1", "x + 2") != before


def test_comments_docstrings_and_modules_not_imported_do_not_matter(project):
    before = code_digest("tasks.verb", project)
    assert edited(project, "models/inner/deep.py", "", "# a remark\n") == before
    assert edited(project, "models/sound.py", "def f(x):\n", 'def f(x):\n    """Says."""\n') == before
    assert edited(project, "models/apart.py", "y = 1", "y = 2") == before


def test_this_project_sees_through_its_own_doorways():
    from tasks import fingerprint

    seen = []
    original = fingerprint._parsed
    fingerprint._parsed = lambda name, *rest: (seen.append(name), original(name, *rest))[1]
    try:
        code_digest("tasks.listen")
    finally:
        fingerprint._parsed = original
    assert {"models.pitch", "models.records", "tasks.store"} <= set(seen)


def test_every_field_of_a_record_is_in_the_digest():
    clip = Clip("ab", 44_100, 2, 10)
    seen = {
        digest_of(Take(clip, 0.0, 1.0)),
        digest_of(Take(clip, 0.0, 2.0)),
        digest_of(Take(Clip("ab", 44_100, 2, 11), 0.0, 1.0)),
        digest_of([Take(clip, 0.0, 1.0)]),
    }
    assert len(seen) == 4


def test_a_path_or_an_object_cannot_be_part_of_a_key():
    @dataclass
    class Named:
        path: Path

    with pytest.raises(TypeError, match="cache key"):
        digest_of(Named(Path("song.mp3")))


def test_versions_are_read_and_absence_is_said():
    found = versions(("numpy", "no-such-distribution"))
    assert found["numpy"][0].isdigit()
    assert found["no-such-distribution"] == "absent"
