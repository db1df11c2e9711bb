"""parse_json_field, dedot, flatten_hash, add_insert_ids, sampling, throttle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from logpipe import ConfigError, Record
from logpipe.testing import ManualClock, check_plugin, configure, drive
from logpipe_community.filter_add_insert_ids import AddInsertIds
from logpipe_community.filter_dedot import Dedot
from logpipe_community.filter_flatten_hash import FlattenHash
from logpipe_community.filter_parse_json_field import ParseJsonField
from logpipe_community.filter_sampling import Sampling
from logpipe_community.filter_throttle import Throttle


async def passed(cls: Any, conf: str, *records: Record) -> list[Record]:
    """Return what a filter makes of records."""
    async with drive(cls, conf) as stage:
        await stage.feed("t", *records)
        return stage.records()


@pytest.mark.parametrize(
    ("conf", "record", "expected"),
    [
        ("", {"log": ' {"a":1,"b":2} ', "b": 3}, {"log": ' {"a":1,"b":2} ', "a": 1, "b": 3}),
        ("preserve_json_log false", {"log": '{"a":1}'}, {"a": 1}),
        ("merge_json_log false", {"log": '{"a":1}'}, {"log": '{"a":1}'}),
        ("", {"MESSAGE": "no", "log": '{"a":1}'}, {"MESSAGE": "no", "log": '{"a":1}'}),
        ("json_fields x,log\npreserve_json_log false", {"log": b'{"a":1}'}, {"a": 1}),
        ("", {"log": '{"a":'}, {"log": '{"a":'}),
        ("", {"log": "{a}"}, {"log": "{a}"}),
        ("", {"log": 5}, {"log": 5}),
        ("", {"log": '{"\udcff":1}'}, {"log": '{"\udcff":1}'}),
    ],
)
async def test_parse_json_field(conf: str, record: Record, expected: Record) -> None:
    """The fields of the first field that is there, under those of the record."""
    assert await passed(ParseJsonField, conf, record) == [expected]


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("", {"a_b": {"c.d": 1}, "l": [{"e.f": [{"g.h": 2}]}]}),
        ("de_dot_nested true", {"a_b": {"c_d": 1}, "l": [{"e_f": [{"g_h": 2}]}]}),
        ("de_dot_separator -", {"a-b": {"c.d": 1}, "l": [{"e.f": [{"g.h": 2}]}]}),
        ("de_dot false", {"a.b": {"c.d": 1}, "l": [{"e.f": [{"g.h": 2}]}]}),
    ],
)
async def test_dedot(conf: str, expected: Record) -> None:
    """Names, and those within with `de_dot_nested`."""
    assert await passed(Dedot, conf, {"a.b": {"c.d": 1}, "l": [{"e.f": [{"g.h": 2}]}]}) == [expected]


def test_dedot_that_changes_nothing() -> None:
    """A dot stands for no dot."""
    with pytest.raises(ConfigError, match="Invalid de_dot_separator"):
        configure(Dedot, "de_dot_separator a.b")


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("", {"a.b": 1, "a.c.0": 2, "a.c.1.d": None, "f": "x"}),
        ("separator _\nflatten_array false", {"a_b": 1, "a_c": [2, {"d": None}], "a_g": [], "f": "x"}),
    ],
)
async def test_flatten_hash(conf: str, expected: Record) -> None:
    """Empty objects are left out, and lists where they are made flat."""
    record = {"a": {"b": 1, "c": [2, {"d": None}], "e": {}, "g": []}, "f": "x"}
    assert await passed(FlattenHash, conf, record) == [expected]


async def test_flatten_hash_of_what_is_too_deep() -> None:
    """Goes to `@ERROR`, and the others go on."""
    deep: Record = {}
    for _ in range(200):
        deep = {"a": deep}
    async with drive(FlattenHash) as stage:
        await stage.feed("t", deep, {"b": {"c": 1}})
        assert stage.records() == [{"b.c": 1}]
        assert "nested" in str(stage.errors[0][3])


async def test_flatten_hash_of_names_that_grow() -> None:
    """A long name with many fields within goes to `@ERROR`; many names that are their own go on."""
    wide = {"a": [{"name": number, "x": [number]} for number in range(5_000)]}
    async with drive(FlattenHash) as stage:
        await stage.feed("t", {"a" * 5_000: [0] * 5_000}, {"b": {"c": 1}}, wide)
        assert [len(record) for record in stage.records()] == [1, 10_000]
        assert "too long" in str(stage.errors[0][3])


async def test_insert_ids() -> None:
    """Each is greater than the one before, as text; what has one keeps it."""
    found = await passed(AddInsertIds, "insert_id_key id", *({"n": number} for number in range(100)), {"id": "mine"})
    identities = [record["id"] for record in found]
    assert identities.pop() == "mine"
    assert identities == sorted({*identities})
    assert {len(each) for each in identities} == {17}
    assert "logging.googleapis.com/insertId" in (await passed(AddInsertIds, "", {}))[0]


async def sampled(conf: str, rows: Sequence[tuple[str, Record]], clock: ManualClock | None = None) -> list[Any]:
    """Return the numbers that pass."""
    async with drive(Sampling, conf, clock=clock) as stage:
        for tag, record in rows:
            await stage.feed(tag, record)
        return [record["n"] for record in stage.records()]


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("interval 2", [2, 3, 6, 7]),
        ("interval 2\nsample_unit all", [1, 3, 5, 7]),
        ("interval 2\nsample_unit k", [1, 3, 5, 7]),
        ("interval 3\nsample_unit $.k\nminimum_rate_per_min 3", [0, 1, 2, 5]),
        ("interval 1", list(range(8))),
    ],
)
async def test_sampling(conf: str, expected: list[int]) -> None:
    """Every nth of a tag, of all, or of a field's value."""
    fields = {} if conf == "interval 2" else {"k": 1}
    rows = [("ab"[number % 2 if not fields else number // 2 % 2], {"n": number} | fields) for number in range(8)]
    assert await sampled(conf, rows) == expected


async def test_sampling_begins_anew_each_minute() -> None:
    """With a minimum."""
    clock = ManualClock()
    async with drive(Sampling, "interval 100\nminimum_rate_per_min 2", clock=clock) as stage:
        for number in range(3):
            await stage.feed("t", {"n": number})
        await clock.advance(61)
        await stage.feed("t", {"n": 9})
        assert stage.records() == [{"n": 0}, {"n": 9}]


THROTTLE = "group_key k.c\ngroup_bucket_period_s 10\ngroup_bucket_limit 20\n"


async def test_throttle() -> None:
    """A group that has too many is dropped until its rate has come down, and no other."""
    clock = ManualClock()
    async with drive(Throttle, THROTTLE, clock=clock) as stage:
        await stage.feed("t", *({"k": {"c": "a"}} for _ in range(25)), {"k": {"c": "b"}}, {"other": 1})
        assert len(stage.records()) == 22
        (said,) = stage.log.texts("warning")
        assert "rate exceeded" in said
        await clock.advance(11)
        await stage.feed("t", {"k": {"c": "a"}})
        await clock.advance(2)
        await stage.feed("t", {"k": {"c": "a"}})
        assert len(stage.records()) >= 23
        assert any("rate back down" in text for text in stage.log.texts("info"))


DEEP: Any = []
for _ in range(150):
    DEEP = [DEEP]


async def test_what_groups_are_called_by_is_short() -> None:
    """Whatever a record has there, and what is too deep to be text is a group as well."""
    async with drive(Throttle, "group_key k\ngroup_bucket_limit 1\ngroup_bucket_period_s 60\n") as stage:
        await stage.feed("t", *({"k": value, "n": n} for n, value in enumerate([DEEP, "x" * 5000, DEEP, "x" * 5000])))
        assert [record["n"] for record in stage.records()] == [0, 1]
        assert max(map(len, stage.log.texts("warning"))) < 500
    rows: list[tuple[str, Record]] = [("t", {"k": value, "n": n}) for n, value in enumerate([DEEP, "x" * 5000, DEEP])]
    assert await sampled("interval 2\nsample_unit k", rows) == [2]


async def test_throttle_that_warns_of_many_groups() -> None:
    """Says it once a second for all of them."""
    async with drive(Throttle, "group_key k\ngroup_bucket_limit 1\ngroup_bucket_period_s 60\n") as stage:
        await stage.feed("t", *({"k": number // 2} for number in range(200)))
        assert len(stage.records()) == 100
        assert len(stage.log.texts("warning")) == 1


async def test_throttle_that_only_warns() -> None:
    """Drops nothing; warnings of a group have their pause."""
    clock = ManualClock()
    async with drive(Throttle, f"{THROTTLE}group_drop_logs false\ngroup_warning_delay_s 5", clock=clock) as stage:
        for _ in range(3):
            await stage.feed("t", *({"k": {"c": "a"}} for _ in range(25)))
        assert len(stage.records()) == 75
        assert len(stage.log.texts("warning")) == 1


async def test_a_group_that_goes_on_too_fast() -> None:
    """It stays out in the next period, too, unless the rate is not looked at."""
    for conf, count in (("group_reset_rate_s 1\n", 20), ("group_reset_rate_s -1\n", 40)):
        clock = ManualClock()
        async with drive(Throttle, THROTTLE + conf, clock=clock) as stage:
            for _ in range(15):
                await stage.feed("t", *({"k": {"c": "a"}} for _ in range(25)))
                await clock.advance(1)
            assert len(stage.records()) == count


@pytest.mark.parametrize(
    ("cls", "conf", "message"),
    [
        (Sampling, "", '"interval" is required'),
        (Sampling, "interval 0", "interval must be 1 or more"),
        (Throttle, "group_bucket_period_s 0", "group_bucket_period_s must be > 0"),
        (Throttle, "group_bucket_limit 0", "group_bucket_limit must be > 0"),
        (Throttle, "group_reset_rate_s -2", "group_reset_rate_s must be >= -1"),
        (Throttle, "group_reset_rate_s 200", "group_reset_rate_s must be <="),
        (Throttle, "group_warning_delay_s 0", "group_warning_delay_s must be >= 1"),
    ],
)
def test_settings_that_cannot_work(cls: Any, conf: str, message: str) -> None:
    """Each is an error of the configuration."""
    with pytest.raises(ConfigError) as raised:
        configure(cls, conf)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("cls", "conf"),
    [
        (AddInsertIds, ""),
        (Dedot, ""),
        (FlattenHash, ""),
        (ParseJsonField, ""),
        (Sampling, "interval 2"),
        (Throttle, "group_bucket_limit 3\ngroup_bucket_period_s 1"),
    ],
)
async def test_keep_what_every_plugin_promises(cls: Any, conf: str) -> None:
    """Each of them."""
    await check_plugin(cls, conf)
