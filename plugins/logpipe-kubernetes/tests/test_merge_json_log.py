"""merge_json_log, written explicitly."""

import pytest

from logpipe.testing import drive
from logpipe_kubernetes.filter import KubernetesMetadata


@pytest.mark.parametrize(
    ("record", "merged"),
    [
        ({"log": '{"a":1}\n', "stream": "o"}, {"a": 1, "log": '{"a":1}\n', "stream": "o"}),
        ({"log": ' \t{"stream":"x","a":{"b":[]}} \0', "stream": "o"}, {"stream": "o", "a": {"b": []}}),
        ({"log": '{"n":1180591620717411303424}'}, {"n": 2**70}),
        ({"log": '{"n":9223372036854775807}'}, {"n": 2**63 - 1}),
        ({"log": '{"a":1'}, {}),
        ({"log": "{not json}"}, {}),
        ({"log": '{"n":NaN, "m":123456789012345678901}'}, {}),
        ({"log": "[1]"}, {}),
        ({"log": 7}, {}),
        ({"log": {"a": 1}}, {}),
        ({"message": '{"a":1}'}, {}),
        ({"log": ""}, {}),
    ],
)
async def test_fields_of_a_json_log_are_added(record: dict[str, object], merged: dict[str, object]) -> None:
    """They are added under the record's own; what is no JSON object stays as it is. The tag does not matter."""
    async with drive(KubernetesMetadata, "merge_json_log true") as stage:
        await stage.feed("app", dict(record))
        assert stage.records() == [{**merged, **record}]


async def test_without_preserve_json_log_the_text_goes() -> None:
    """The field that was read is removed, where it could be read."""
    async with drive(KubernetesMetadata, "merge_json_log true\npreserve_json_log false") as stage:
        await stage.feed("app", {"log": '{"a":1}', "s": 1}, {"log": "text"}, {"log": '{"log":"inner"}'})
        assert stage.records() == [{"a": 1, "s": 1}, {"log": "text"}, {}]


async def test_with_use_journal_the_field_is_message() -> None:
    """The journal's text stands in MESSAGE."""
    async with drive(KubernetesMetadata, "merge_json_log true\nuse_journal true") as stage:
        await stage.feed("journal", {"MESSAGE": '{"a":1}', "log": '{"b":1}'})
        assert stage.records() == [{"a": 1, "MESSAGE": '{"a":1}', "log": '{"b":1}'}]


async def test_not_written_it_is_off() -> None:
    """3.7.1 does not parse logs."""
    async with drive(KubernetesMetadata) as stage:
        await stage.feed("app", {"log": '{"a":1}'})
        assert stage.records() == [{"log": '{"a":1}'}]
