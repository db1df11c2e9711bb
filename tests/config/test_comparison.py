"""Fluentd's settings beside ours: none is missing without a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from logpipe import Filter, Options, Record, param, section
from logpipe.config.comparison import Line, compare, read_lines
from logpipe.registry import ELSEWHERE, Registry

LIST: Final = Path(__file__).parents[2] / "docs" / "reference" / "fluentd.tsv"


class Inner(Options):
    """A section's."""

    a: str = param("A.", default="")


class SomeOptions(Options):
    """A stage's."""

    used: str = param("Used.", default="", alias="old")
    idle: str = param("Accepted for compatibility: there is one.", default="")
    later: str = param("Later.", default="", no_effect="soon")
    inner: Inner | None = section("Inner.")


class Some(Filter[SomeOptions], type="some"):
    """A stage."""

    def filter(self, tag: str, time: int, record: Record) -> Record:
        del tag, time
        return record


def test_every_setting_of_fluentd_is_here_or_there_is_a_reason() -> None:
    """A stage that we do not have yet is listed as missing; what one lacks is named here."""
    registry = Registry()
    ours = [each for each in registry.installed() if (each.kind, each.type) not in ELSEWHERE]
    lines = read_lines(LIST.read_text("utf-8"))
    compared = compare(lines, [registry.find(each.kind, each.type) for each in ours])
    lacking = [" ".join(each.line[:3]) for each in compared if each.status == "unknown"]
    assert lacking == [], f"give it a setting, or a note `absent: REASON` in {LIST.name}"
    unexplained = [
        " ".join(each.line[:3]) for each in compared if each.status in {"no effect", "absent"} and not each.reason
    ]
    assert unexplained == []
    needless = [" ".join(each.line[:3]) for each in compared if each.line.note[:6] == "absent" and each.status == "yes"]
    assert needless == [], f"it is here: remove its note from {LIST.name}"
    assert len(lines) > 500
    assert len({line[:3] for line in lines}) == len(lines)


@pytest.mark.parametrize(
    ("parameter", "note", "expected"),
    [
        ("used", "", ("yes", "")),
        ("old", "", ("yes", "")),
        ("idle", "", ("no effect", "there is one.")),
        ("later", "", ("no effect", "soon")),
        ("used", "no effect: why", ("no effect", "why")),
        ("<inner>", "", ("yes", "")),
        ("inner.a", "", ("yes", "")),
        ("inner.b", "", ("unknown", "")),
        ("<used>", "", ("unknown", "")),
        ("inner", "", ("unknown", "")),
        ("new", "absent: why", ("absent", "why")),
    ],
)
def test_statuses(parameter: str, note: str, expected: tuple[str, str]) -> None:
    """What is here, what is ignored, and what is not."""
    (found,) = compare([Line("filter", "some", parameter, "1", "", note)], [Some])
    assert (found.status, found.reason) == expected


def test_a_stage_that_is_not_here() -> None:
    """Is no mistake."""
    (found,) = compare([Line("filter", "other", "x", "1", "", "")], [Some])
    assert found.status == "stage missing"
