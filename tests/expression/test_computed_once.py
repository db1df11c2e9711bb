"""What depends on tag, host or a container's metadata alone is not computed for each record."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe.expression import Reading, RecordRules, SequenceRules, Transform, compile_record, compile_sequence

WEB = {"namespace_name": "shop", "labels": {"app": "web"}}
JOB = {"namespace_name": "shop", "labels": {"app": "job"}}


def bound(value: str, *, tag: str = "app.web.01", told: list[str] | None = None) -> Transform:
    """Return record_transformer's loop for one field `f`."""
    template = compile_record([("f", value)], RecordRules(Reading(names_are_fields=True)))
    failed = told if told is not None else []
    return template.bind(tag, hostname="node-1", env={"X": "x"}, missing=lambda text, _: failed.append(text))


def values(transform: Transform, *records: dict[str, Any]) -> list[Any]:
    """Return what the field is in each record; none may fail."""
    given = [dict(record) for record in records]
    assert transform(given, [0] * len(given)) == []
    return [record["f"] for record in given]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${tag_parts.map(&:upcase)}", ["APP", "WEB", "01"]),
        ("${[hostname, ENV['X'], Socket.gethostname]}", ["node-1", "x", "node-1"]),
        ("${tag =~ /w(.)b/ ? [$1] : []}", ["e"]),
        ("${{'a' => tag.scan(/\\d/)}}", {"a": ["0", "1"]}),
        ("${x = []; tag_parts.each { |p| x << p.size }; x}", [3, 3, 2]),
    ],
)
def test_once_per_tag(value: str, expected: Any) -> None:
    """Every record gets the same object, which was made when the loop was bound to the tag."""
    transform = bound(value)
    first, second = values(transform, {"n": 1}, {"n": 2})

    assert first == expected
    assert first is second


@pytest.mark.parametrize("value", ["${[rand]}", "${[Time.now.to_f]}", "${[SecureRandom.hex]}", "${[1, 2].shuffle}"])
def test_chance_and_the_clock_are_asked_each_time(value: str) -> None:
    """Such a value is another one for each record."""
    first, second = values(bound(value), {}, {})

    assert first is not second


def test_what_fails_for_a_tag_fails_for_each_record() -> None:
    """Each record is an error of its own."""
    failures = bound("${tag_parts[9].upcase}")([{}, {}], [0, 0])

    assert [place for place, _ in failures] == [0, 1]


LABELS = '${record["kubernetes"]["labels"].map { |k, v| [k, v] }}'


def test_once_per_metadata() -> None:
    """As long as the metadata is the same object, the value is; across batches too, and anew for another object."""
    transform = bound(LABELS)
    first, second, other = values(transform, {"kubernetes": WEB}, {"kubernetes": WEB}, {"kubernetes": JOB})
    (again,) = values(transform, {"kubernetes": JOB})

    assert first == [["app", "web"]]
    assert first is second
    assert other == [["app", "job"]]
    assert again is other


@pytest.mark.parametrize(
    "value",
    [
        '${[record["kubernetes"]["labels"]["app"], record["n"]]}',
        '${[record["kubernetes"]["labels"]["app"], time.to_i]}',
        '${[record["kubernetes"]["labels"]["app"], rand]}',
        '${record["kubernetes"]["labels"]["app"] = "x"; [1]}',
        '${[record.keys, record["kubernetes"]]}',
    ],
)
def test_more_than_metadata_is_computed_each_time(value: str) -> None:
    """A value that reads another field, or changes the record, is not kept."""
    first, second = values(bound(value), {"kubernetes": WEB, "n": 1}, {"kubernetes": WEB, "n": 2})

    assert first is not second
    assert WEB["labels"] == {"app": "web"}


def test_all_fields_of_metadata_count() -> None:
    """A value of two fields is computed anew when one of them is another object."""
    one, two = {"id": "1"}, {"id": "2"}
    transform = bound('${record["kubernetes"]["namespace_name"]}/${record["docker"]["id"]}')

    records = [{"kubernetes": meta, "docker": docker} for meta, docker in ((WEB, one), (WEB, two), (JOB, two))]

    assert values(transform, *records) == ["shop/1", "shop/2", "shop/2"]


def test_missing_metadata_is_told_for_each_record() -> None:
    """What fails is not kept: 0.12's rule counts every value that became null."""
    told: list[str] = []
    transform = bound('${kubernetes["labels"].keys}', told=told)

    assert values(transform, {}, {}, {"kubernetes": {}}, {"kubernetes": WEB}) == [None, None, None, ["app"]]
    assert len(told) == 3


def test_record_modifier_sees_metadata_that_it_changed_before() -> None:
    """Its values follow one another: what is kept is for the metadata that stands there now."""
    entries = [("kubernetes", "${record['k']}"), ("f", "${[record['kubernetes']['labels']['app']]}")]
    loop = compile_sequence(entries, SequenceRules()).bind("t", hostname="h", env={}, missing=lambda *_: None)
    records = [{"k": WEB}, {"k": WEB}, {"k": JOB}]
    assert loop(records, [0, 0, 0]) == []

    assert [record["f"] for record in records] == [["web"], ["web"], ["job"]]
    assert records[0]["f"] is records[1]["f"]
