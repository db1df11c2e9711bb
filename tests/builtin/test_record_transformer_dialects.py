"""record_transformer without enable_ruby, and as 0.12 had it."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe.builtin.filter_record_transformer import RecordTransformer
from logpipe.testing import drive
from tests.builtin.test_filter_record_transformer import transformed


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('${record["n"]}', 5),
        ('${record["n"]}x', "5x"),
        ('a-${record["n"]}-${tag}', "a-5-app.web.01"),
        ("${tag}", "app.web.01"),
        ("${tag_parts[1]}", "web"),
        ("${tag_parts[-1]}", "01"),
        ("${tag_parts[9]}", None),
        ("x${tag_parts[9]}x", "xx"),
        ("${tag_prefix[1]}", "app.web"),
        ("${tag_suffix[1]}", "web.01"),
        ("${tag_suffix[-2]}", "web.01"),
        ('${record["a.b"]}', "dotted"),
        ('${record["nope"]}', None),
        ("${n}", None),
        ("${nope}", None),
        ("x${unknown}y", "xy"),
        ("x${n}y", "xy"),
        ("${tag.upcase}-x", "-x"),
        ("${tag.upcase}", None),
        ('${record["n"]}${record["nope"]}', "5"),
        ("${tag_parts}!", "!"),
        ("${tag}${tag", "app.web.01${tag"),
        ("__HOSTNAME__", None),
        ("x__HOSTNAME__x", "xx"),
        ("plain \\d text", "plain \\d text"),
        ("1", "1"),
        ("", ""),
        ('{"a":"${tag}","b":[1,"${n}x",null]}', {"a": "app.web.01", "b": [1, "x", None]}),
        ('"[not json"', "[not json"),
    ],
)
async def test_placeholders_without_ruby(value: str, expected: Any) -> None:
    """Without enable_ruby a few placeholders are filled, and all other text stays."""
    (record,) = await transformed(f"<record>\n  x {value}\n</record>", {"n": 5, "a.b": "dotted"})

    assert record["x"] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${n}", "5"),
        ("x${n}y", "x5y"),
        ("x${nope}y", "xy"),
        ("${a.b}!", "dotted!"),
        ("${nope}", ""),
        ("${tag.upcase}-x", "-x"),
    ],
)
async def test_plain_placeholders_of_0_12(value: str, expected: Any) -> None:
    """There a name alone is a field's; one that is missing is no text."""
    conf = f"compat 0.12\n<record>\n  x {value}\n</record>"
    (record,) = await transformed(conf, {"n": 5, "a.b": "dotted"})

    assert record["x"] == expected


async def test_compat_0_12() -> None:
    """0.12: failures are null, values are text, whole seconds, remove_keys before renew_time_key."""
    conf = (
        "compat 0.12\nenable_ruby\nremove_keys gone\nrenew_time_key gone\n<record>\n"
        "  n ${record['n']}\n  bad ${record['nope']['x']}\n  mixed a-${record['nope']['x']}-b\n"
        "  t ${time.strftime('%L')}\n  bare ${n + 1}\n</record>"
    )
    async with drive(RecordTransformer, conf) as stage:
        await stage.feed("a", {"n": 5, "gone": 1}, times=[1_466_000_000_123_456_789])

        assert stage.errors == []
        (event,) = stage.events()
        assert event.time == 1_466_000_000_123_456_789
        assert event.record == {"n": "5", "bad": None, "mixed": None, "t": "000", "bare": "6"}


async def test_compat_0_12_keeps_absent_keys_as_null() -> None:
    """0.12 added a kept key that was not there."""
    assert await transformed("compat 0.12\nrenew_record\nkeep_keys a,b", {"a": 1, "c": 2}) == [{"a": 1, "b": None}]
