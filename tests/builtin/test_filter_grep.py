"""Keeping and dropping events by their fields; fluentd's own answers are in the conformance rows."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.builtin.filter_grep import Grep
from logpipe.testing import build, check_plugin, drive


async def test_keeps_the_contract() -> None:
    """A filter like any other, with conditions and without."""
    await check_plugin(Grep)
    await check_plugin(Grep, "regexp1 a b")


def regexp(key: str, pattern: str) -> str:
    return f"<regexp>\nkey {key}\npattern {pattern}\n</regexp>\n"


def exclude(key: str, pattern: str) -> str:
    return f"<exclude>\nkey {key}\npattern {pattern}\n</exclude>\n"


RECORDS: list[dict[str, Any]] = [
    {"id": 0, "level": "info", "message": "started"},
    {"id": 1, "level": "warn", "message": "slow"},
    {"id": 2, "level": "error", "message": "broken"},
    {"id": 3, "level": None},
    {"id": 4, "k": {"ns": ["prod"]}, "n": 1.0, "ok": True},
]


@pytest.mark.parametrize(
    ("conf", "kept"),
    [
        ("", [0, 1, 2, 3, 4]),
        (regexp("level", "/warn|error/"), [1, 2]),
        (regexp("level", "/WARN/i"), [1]),
        (regexp("level", "warn"), [1]),
        (regexp("level", "/^$/"), [3, 4]),
        (regexp("level", "/r/") + regexp("message", "/slow/"), [1]),
        (exclude("level", "/warn/") + exclude("message", "/broken/"), [0, 3, 4]),
        (regexp("level", "/./") + exclude("level", "/warn/"), [0, 2]),
        (regexp("$.k.ns[0]", "/^prod$/"), [4]),
        (regexp("$['k']['ns']", '/\\["prod"\\]/'), [4]),
        (regexp("n", "/^1\\.0$/"), [4]),
        (regexp("ok", "/^true$/"), [4]),
        (f"<and>\n{regexp('level', '/r/')}{regexp('message', '/o/')}</and>", [1, 2]),
        (f"<and>\n{exclude('level', '/r/')}{exclude('message', '/slow/')}</and>", [0, 2, 3, 4]),
        (f"<or>\n{regexp('level', '/info/')}{regexp('message', '/slow/')}</or>", [0, 1]),
        (f"<or>\n{exclude('level', '/info/')}{exclude('message', '/slow/')}</or>", [2, 3, 4]),
        ("regexp1 level warn|error\nexclude1 message slow", [2]),
        ("regexp20 message st ar", []),
        ("regexp1 level r\nregexp2 message o\nexclude1 id 2", [1]),
    ],
)
async def test_conditions(conf: str, kept: list[int]) -> None:
    """What each kind of condition keeps; a missing field is an empty text."""
    async with drive(Grep, conf) as stage:
        await stage.feed("app", *(dict(record) for record in RECORDS))
        assert [record["id"] for record in stage.records()] == kept
        assert stage.errors == []


async def test_what_cannot_be_matched_passes() -> None:
    """An event that the test fails on is let through with a warning, and its neighbours are tested."""
    deep: Any = []
    for _ in range(1000):
        deep = [deep]
    async with drive(Grep, regexp("a", "/x/")) as stage:
        await stage.feed("app", {"a": "x"}, {"a": deep}, {"a": "y"})
        assert [record["a"] is deep or record["a"] for record in stage.records()] == ["x", True]
        assert any("failed to grep events" in text for text in stage.log.texts("warning"))


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("<regexp>\nkey a\n</regexp>", '"pattern" is required'),
        ("<regexp>\npattern a\n</regexp>", '"key" is required'),
        (regexp("a", "/x/") + regexp("a", "/y/"), 'duplicate key "a"'),
        ("regexp1 a x\n" + regexp("a", "/y/"), 'duplicate key "a"'),
        (regexp("a", "/x/") + f"<and>\n{regexp('a', '/y/')}</and>", 'duplicate key "a"'),
        (f"<or>\n{exclude('a', '/x/')}{exclude('a', '/y/')}</or>", 'duplicate key "a"'),
        (f"<and>\n{regexp('a', '/x/')}{exclude('b', '/y/')}</and>", "do not specify both"),
        ("regexp1 a", "does not contain 2 parameters"),
        ("regexp1 a (", "regular expression|parenthes|group"),
        (regexp("$.a.", "/x/"), "empty step"),
        (regexp("a", "/(/"), "regular expression|parenthes|group"),
    ],
)
def test_conditions_that_cannot_work(conf: str, message: str) -> None:
    """Mistakes are found at start."""
    with pytest.raises(ConfigError, match=message):
        build(Grep, conf)


def test_unknown_numbers() -> None:
    """Only 1 to 20 are numbers of conditions; another is an unknown parameter and no more than a warning."""
    build(Grep, "regexp21 a b")


async def test_a_pattern_that_takes_too_long() -> None:
    """The event on which it does goes to @ERROR, and the rest of the batch goes on."""
    async with drive(Grep, regexp("message", "/^(a+)+$/")) as stage:
        await stage.feed("app", {"message": "aa"}, {"message": "a" * 40 + "b"}, {"message": "aaa"})

        assert stage.records() == [{"message": "aa"}, {"message": "aaa"}]
        ((tag, _, record, error),) = stage.errors
    assert (tag, record) == ("app", {"message": "a" * 40 + "b"})
    assert str(error) == "a regular expression took more than 0.5 s on one event; simplify it"


@pytest.mark.parametrize("value", ["str", 1, 1.5, True, False, ["x"]])
async def test_a_path_through_what_has_no_steps_passes(value: Any) -> None:
    """As in fluentd: the test fails on such an event, which goes on with a warning."""
    conf = f"{regexp('$.o.x', '/yes/')}{regexp('n', '/./')}"
    async with drive(Grep, conf) as stage:
        await stage.feed("app", {"n": 1, "o": {"x": "yes"}}, {"n": 2, "o": value}, {"n": 3, "o": None}, {"n": 4})
        assert [record["n"] for record in stage.records()] == [1, 2]
        assert len([text for text in stage.log.texts("warning") if "failed to grep events" in text]) == 1


async def test_what_takes_too_long_is_reported_once_beside_what_fails() -> None:
    """Another event's failure has the whole batch asked again, and that is no second error."""
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    async with drive(Grep, regexp("message", "/^(a+)+$/")) as stage:
        slow = {"message": "a" * 40 + "b"}
        await stage.feed("app", {"message": "aa"}, slow, {"message": deep}, {"message": "x"})
        assert [record for _, _, record, _ in stage.errors] == [slow]
        assert stage.records() == [{"message": "aa"}, {"message": deep}]
