"""Fluentd's settings beside ours: none is missing without a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from logpipe import Filter, Options, Record, param, section
from logpipe.config.comparison import Line, compare, read_lines, setting_of
from logpipe.config.conversion import converter
from logpipe.config.declare import REQUIRED
from logpipe.config.options import default_value
from logpipe.engine.system import SystemOptions
from logpipe.registry import ELSEWHERE, KINDS, Registry

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
    compared = compare(lines, [registry.find(each.kind, each.type) for each in ours], {"system": SystemOptions})
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


OTHERWISE: Final = {
    "http.tls_version": "unset: TLSv1_3 as well, as with all of ours",
    "forward.tls_version": "the same",
    "unix.path": "unset: what FLUENT_SOCKET says, else the same path",
    "tail.read_lines_limit": "as many as fit, which is a setting of speed",
    "record_transformer.auto_typecast": "unset, since compat decides",
    "multiline.unmatched_lines": "unset and false are the same",
    "json.time_type": "unset: float, unless time_format is set",
}
"""Settings whose default is written otherwise than fluentd's, and why."""


def _default_there(line: Line) -> str | None:
    """Return fluentd's default as a user would write it, None for nil."""
    if line.default == "nil":
        return None
    return str(json.loads(line.default)) if line.default.startswith('"') else line.default


def test_defaults_are_those_of_fluentd() -> None:
    """Of every setting that stands in one stage, where its default is text, a number or a word."""
    registry = Registry()
    others, seen = [], 0
    for line in read_lines(LIST.read_text("utf-8")):
        cls = None if line.kind not in KINDS or line.type == "*" else registry.get(line.kind, line.type)
        options = SystemOptions if line[:2] == ("section", "system") else None if cls is None else cls.options_class
        found = None if options is None else setting_of(options, line.parameter)
        name = f"{line.type}.{line.parameter}"
        if (
            found is None
            or "1" not in line.versions.split()
            or line.default[:1] in {"", "[", "{", "/", "…"}
            or name in OTHERWISE
        ):
            continue
        setting, hint = found
        seen += 1
        if line.default == "REQ" or setting.default is REQUIRED:
            same = line.default == "REQ" and setting.default is REQUIRED
        elif (there := _default_there(line)) is None:
            same = setting.default in {None, ""}
        else:
            same = (setting.convert or converter(hint))(there) == default_value(setting, hint)
        if not same:
            others.append(f"{line.kind} {name}: {line.default} there, {setting.default!r} here")
    assert others == []
    assert seen > 80


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
