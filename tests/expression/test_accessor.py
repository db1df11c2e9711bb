"""Paths into records: fluentd's record_accessor."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe.errors import ExpressionError
from logpipe.expression import RecordAccessor

RECORD: dict[str, Any] = {"a": {"b": [{"c.d": 1}, 2], "n": None}, "x.y": 3, "s": "text", "list": [[5]]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("x.y", 3), ("nope", None), ("$.a.b[0]", {"c.d": 1}), ("$.a.b[1]", 2), ("$.a.b[-1]", 2), ("$.a.b[9]", None),
        ("$['a']['b'][0]['c.d']", 1), ('$["a"]["b"][0]["c.d"]', 1), ("$.a.n", None), ("$.a.n.z", None), ("$.s.z", None),
        ("$['x.y']", 3), ("$.list[0][0]", 5), ("$.s[0]", None), ("$.a.nope", None), ("$.nope.b", None),
        ("$['it\\'s']", None),
    ],
)  # fmt: skip
def test_get(path: str, value: Any) -> None:
    """A path gives what it leads to, None where a step is missing."""
    assert RecordAccessor(path).get(RECORD) == value


@pytest.mark.parametrize(
    ("path", "offset"),
    [("$.", 2), ("$.a..b", 4), ("$.a b", 2), ("$.a[x]", 3), ("$[a]", 1), ("$['a'", 1), ("$['a'].b", 6)],
)
def test_malformed_paths_say_where(path: str, offset: int) -> None:
    """An error names the place in the path and what to write."""
    with pytest.raises(ExpressionError) as caught:
        RecordAccessor(path)

    assert caught.value.offset == offset
    assert caught.value.hint


def test_delete_copies_what_others_may_hold() -> None:
    """What is deleted below the top is gone from this record only."""
    shared = {"labels": {"app": "web", "tier": "x"}}
    one: dict[str, Any] = {"kubernetes": shared}
    other: dict[str, Any] = {"kubernetes": shared}

    assert RecordAccessor("$.kubernetes.labels.app").delete(one) == "web"
    assert one == {"kubernetes": {"labels": {"tier": "x"}}}
    assert other == {"kubernetes": {"labels": {"app": "web", "tier": "x"}}}


def test_delete_of_what_is_not_there_changes_nothing() -> None:
    """A missing step leaves the record as it is, and copies nothing."""
    inner = {"b": 1}
    record: dict[str, Any] = {"a": inner}

    assert RecordAccessor("$.a.x.y").delete(record) is None
    assert RecordAccessor("nope").delete(record) is None
    assert record["a"] is inner


def test_delete_reaches_into_arrays_and_finds_null() -> None:
    """Places in arrays can be deleted, and so can fields that are null."""
    record: dict[str, Any] = {"a": [1, {"b": None}]}

    RecordAccessor("$.a[1].b").delete(record)
    assert record == {"a": [1, {}]}
    assert RecordAccessor("$.a[0]").delete(record) == 1
    assert record == {"a": [{}]}


def test_set_makes_the_way_and_copies_it() -> None:
    """Missing objects are made; what others may hold is copied."""
    shared = {"b": 1}
    record: dict[str, Any] = {"a": shared}
    RecordAccessor("$.a.c.d").set(record, 2)
    RecordAccessor("plain").set(record, 3)
    RecordAccessor("$['a']['b']").set(record, 4)

    assert record == {"a": {"b": 4, "c": {"d": 2}}, "plain": 3}
    assert shared == {"b": 1}


def test_set_refuses_what_is_no_object() -> None:
    """A text on the way cannot hold a field."""
    with pytest.raises(ExpressionError, match=r"cannot write to \$\.s\.x"):
        RecordAccessor("$.s.x").set({"s": "text"}, 1)
