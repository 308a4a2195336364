from dataclasses import dataclass
from pathlib import Path

import pytest

from models.core.types import Clip, Take
from tasks.cache.caching import STAGES
from tasks.cache.fingerprint import code_digest, digest_of, reachable, versions
from tasks.stages import registry


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
    return code_digest("tasks.verb", root=project)


def test_an_edited_helper_far_below_is_another_digest(project):
    before = code_digest("tasks.verb", root=project)
    assert edited(project, "models/inner/deep.py", "x + 1", "x + 2") != before


def test_comments_docstrings_and_modules_not_imported_do_not_matter(project):
    before = code_digest("tasks.verb", root=project)
    assert edited(project, "models/inner/deep.py", "", "# a remark\n") == before
    assert edited(project, "models/sound.py", "def f(x):\n", 'def f(x):\n    """Says."""\n') == before
    assert edited(project, "models/apart.py", "y = 1", "y = 2") == before


def test_what_is_only_imported_for_type_checkers_does_not_count(project):
    before = code_digest("tasks.verb", root=project)
    types = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from models.apart import y\n"
    after = edited(project, "models/sound.py", "from models.inner", f"{types}\nfrom models.inner")
    assert after != before  # the syntax tree of the module itself
    assert edited(project, "models/apart.py", "y = 1", "y = 2") == after


def test_a_data_file_that_a_module_names_counts_with_its_bytes(project):
    (project / "models/page.css").write_text("one")
    before = edited(project, "models/inner/deep.py", "", "CSS = 'page.css'\n")
    (project / "models/page.css").write_text("two")
    assert code_digest("tasks.verb", root=project) == before
    (project / "models/inner/page.css").write_text("one")
    beside = code_digest("tasks.verb", root=project)
    (project / "models/inner/page.css").write_text("two")
    assert len({before, beside, code_digest("tasks.verb", root=project)}) == 3


def test_a_module_loaded_by_name_counts_where_it_is_declared(project):
    before = code_digest("tasks.verb", "models.apart", root=project)
    (project / "models/apart.py").write_text("y = 2")
    assert code_digest("tasks.verb", "models.apart", root=project) != before


def test_an_unknown_module_raises(project):
    with pytest.raises(ModuleNotFoundError, match=r"models\.gone"):
        code_digest("tasks.verb", "models.gone", root=project)


def test_the_machinery_around_a_stage_is_in_no_key():
    for name in registry.__all__:
        stage = STAGES[name]
        code = reachable(stage.fn.__module__)
        assert [module for module in code if module.startswith("tasks")] == [stage.fn.__module__], name


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
