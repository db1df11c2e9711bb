"""What everything is installed from says the same as the pyproject.toml files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy what the lock is made from, and the lock."""
    for file in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("requirements/*.txt")):
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return tmp_path


def check(project: Path) -> list[str]:
    command = [sys.executable, str(ROOT / ".ci/lock.py"), "check"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if done.stderr else 0)
    return done.stderr.splitlines()


def test_is_current(project: Path) -> None:
    assert check(project) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "sets"),
    [
        ("pyproject.toml", '"orjson>=3.10"', '"orjson>=3.11"', {"dev", "demo", "image"}),
        ("pyproject.toml", '"trustme>=1.2"', '"trustme>=1.3"', {"dev", "demo"}),
        ("pyproject.toml", '"hypothesis>=', '"attrs>=1", "hypothesis>=', {"dev"}),
        ("pyproject.toml", '"setuptools>=77"', '"setuptools>=78"', {"dev", "demo", "build"}),
        ("plugins/logpipe-kafka/pyproject.toml", '"kazoo>=2.10"', '"kazoo>=2.11"', {"dev", "demo", "image"}),
    ],
)
def test_a_changed_requirement_is_missed(project: Path, file: str, old: str, new: str, sets: set[str]) -> None:
    """Each lock that the requirement belongs to is named, with the requirement and what to do."""
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new, 1))

    need = re.escape(new.split(",", 1)[0].strip('"'))
    missed = [
        re.fullmatch(rf"requirements/(\w+)\.txt does not know of {need}: make lock", line) for line in check(project)
    ]
    assert {found[1] for found in missed if found} == sets


def test_what_nothing_asks_for_any_more_is_named(project: Path) -> None:
    file = project / "pyproject.toml"
    text = file.read_text()
    file.write_text(re.sub(r'\n    "hypothesis>=.*', "", text))

    (line,) = check(project)
    assert line.startswith("requirements/dev.txt is for hypothesis>=")


def test_every_package_has_hashes_and_the_same_releases_everywhere() -> None:
    """What pip and uv need for `--require-hashes`; the demo, the tests and the image run the same releases."""
    pins: dict[str, set[str]] = {}
    for file in ROOT.glob("requirements/*.txt"):
        text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE)
        for entry in re.split(r"\n(?=\S)", text):
            assert re.match(r"[a-z0-9-]+==\S+[^\n]*\\\n +--hash=sha256:", entry), f"{file.name}: {entry}"
            pins.setdefault(file.stem, set()).add(entry.split(" ", 1)[0])
    assert pins.keys() == {"dev", "demo", "image", "build"}
    assert all(found <= pins["dev"] for found in pins.values())
