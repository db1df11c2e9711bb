"""The image's recipe, as far as it can be judged without building it."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Continued lines joined: one instruction a line.
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
    if line and not line.startswith("#")
]
LAST_STAGE = INSTRUCTIONS[max(i for i, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def arguments(word: str) -> list[str]:
    return [rest for found, rest in INSTRUCTIONS if found == word]


def test_two_slim_stages_of_one_base() -> None:
    """What was built runs on the Python it was built for, and the builder is left behind."""
    bases = [rest.removesuffix(" AS build") for rest in arguments("FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", bases[0])
    assert ["COPY", "--from=build /opt/logpipe /opt/logpipe"] in LAST_STAGE


def test_installs_what_is_locked_before_the_sources() -> None:
    """A change of the sources leaves the layer of the dependencies as it is, and nothing unlocked is fetched."""
    assert arguments("COPY")[:2] == ["requirements /requirements", ". /source"]
    locked, ours = arguments("RUN")[:2]
    assert [file for file in locked.split() if file.startswith("/requirements/")] == [
        "/requirements/build.txt",
        "/requirements/image.txt",
    ]
    assert locked.count("pip install") + locked.count("python install") == locked.count("--require-hashes") == 2
    assert "pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /source /source/plugins/*/" in ours
    assert "install --no-deps --no-index /wheels/*" in ours


def test_leaves_pip_behind() -> None:
    """The environment that is run from can install nothing."""
    assert "python -m venv --without-pip /opt/logpipe" in arguments("RUN")[0]


def test_runs_as_nobody_in_particular() -> None:
    """The user is another than root, by number so that Kubernetes can see it."""
    (user,) = [rest for word, rest in LAST_STAGE if word == "USER"]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)


def test_answers_to_fluentds_names() -> None:
    """The commands td-agent and fluentd are logpipe, on the path, and nothing stands before a command that is given."""
    assert "/opt/logpipe/bin/logpipe companions install /opt/logpipe/bin" in arguments("RUN")[1]
    assert "PATH=/opt/logpipe/bin:$PATH" in arguments("ENV")
    assert not arguments("ENTRYPOINT")
    assert json.loads(arguments("CMD")[0]) == ["logpipe", "-c", "/etc/td-agent/td-agent.conf"]


def test_context_has_what_is_copied() -> None:
    """The files that the build needs are let through, and the folder of virtual environments is not."""
    rules = (ROOT / ".dockerignore").read_text().split()
    assert rules[0] == "*"
    assert {"!LICENSE", "!README.md", "!logpipe", "!plugins", "!pyproject.toml", "!requirements"} <= set(rules)
    for rule in rules:
        if rule.startswith("!"):
            assert (ROOT / rule[1:]).exists(), rule
