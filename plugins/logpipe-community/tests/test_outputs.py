"""record_reformer, route, fork: events go on under other tags."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import BufferFull, ConfigError, Receipt, Record
from logpipe.testing import ManualClock, Pipeline, check_plugin, configure, pipeline
from logpipe_community.out_fork import MOST_VALUES, Fork
from logpipe_community.out_record_reformer import RecordReformer
from logpipe_community.out_route import Route

SAMPLE = "<source>\n@type sample\ntag in.a\n</source>\n"
REST = "<match **>\n@type test\n</match>\n"


def tagged(running: Pipeline, name: str = "") -> list[tuple[str, Record]]:
    """Return tags and records of a collector."""
    return [(tag, event.record) for tag, events in running.collector(name).batches for event in events]


def reformer(conf: str) -> str:
    """Return a configuration that reforms what has a tag of `in`."""
    return f"<match in.**>\n@type record_reformer\n{conf}\n</match>\n{REST}"


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("tag out\nx ${record['n'] + 1}", ("out", {"n": 1, "m": {"a": "b"}, "x": "2"})),
        ("tag out\nauto_typecast true\nx ${record['n'] + 1}", ("out", {"n": 1, "m": {"a": "b"}, "x": 2})),
        ("tag out.${tag_suffix[1]}.${record['m']['a']}", ("out.web.1.b", {"n": 1, "m": {"a": "b"}})),
        ("output_tag ${tag_parts[-1]}.${n}", ("1.1", {"n": 1, "m": {"a": "b"}})),
        ("tag out\nrenew_record true\nkeep_keys n\n<record>\ny ${tag}\n</record>", ("out", {"n": 1, "y": "in.web.1"})),
        ("tag out\nremove_keys m,z", ("out", {"n": 1})),
        ("tag out\nenable_ruby false\nx ${n} ${tag_prefix[1]} ${hostname}x", None),
        ("tag out\nx 1\n<record>\nx 2\n</record>\nremove_keys m", ("out", {"n": 1, "x": "2"})),
        ('tag out\nremove_keys m\nx {"a":"${n}"}', ("out", {"n": 1, "x": {"a": "1"}})),
        ("tag out\nremove_keys m\nx ${nope}", ("out", {"n": 1, "x": None})),
    ],
)
async def test_records_and_tags(conf: str, expected: tuple[str, Record] | None) -> None:
    """Fields stand flat or in `<record>`; the tag is a template as well."""
    async with pipeline(reformer(conf)) as running:
        await running.feed("in.web.1", {"n": 1, "m": {"a": "b"}})
        (found,) = tagged(running)
        if expected is None:
            assert found[1]["x"].startswith("1 in.web ")
        else:
            assert found == expected


async def test_the_time_of_a_field() -> None:
    """In whole seconds."""
    async with pipeline(reformer("tag out\nrenew_time_key t\n")) as running:
        await running.feed("in.a", {"t": "1234.5"})
        assert running.events()[0].time == 1_234_000_000_000


async def test_events_whose_tag_cannot_be() -> None:
    """They go to `@ERROR`, and those around them go on, by their tags and in order."""
    async with pipeline(reformer("tag ${record['t']}\nenable_ruby true\n")) as running:
        records = [{"t": tag, "n": n} for n, tag in enumerate(["a", "", "b", "x\ny", "a", None, "z" * 5000])]
        await running.feed("in.a", *records)
        assert [(tag, record["n"]) for tag, record in tagged(running)] == [("a", 0), ("a", 4), ("b", 2)]
        assert [letter[2]["n"] for letter in running.errors] == [1, 3, 5, 6]


async def test_a_tag_that_is_refused_behind_another() -> None:
    """The part that was taken does not come twice."""
    clock = ManualClock()
    text = reformer("tag ${record['t']}").replace(
        REST, "<match a>\n@type test\nname a\n</match>\n<match b>\n@type test\nname b\n</match>\n"
    )
    async with pipeline(text, clock=clock) as running:
        running.collector("b").refuse = BufferFull("no room")
        settled: list[bool] = []
        receipt = Receipt(lambda: settled.append(True))

        async def feed() -> None:
            await running.feed("in.x", {"t": "a"}, {"t": "b"}, receipt=receipt)
            receipt.release()

        running.graph.stages.outputs[0].host.start_task(feed(), name="feed")
        await clock.advance(0.1)
        assert not settled
        running.collector("b").refuse = None
        await clock.advance(2)
        assert (len(running.records(name="a")), len(running.records(name="b")), settled) == (1, 1, [True])


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("x 1", "`tag` must be specified"),
        ("tag ${", "tag:"),
        ("tag out\nx ${system('ls')}", "system cannot be used"),
        ("tag out\n<record>\nx ${1 +}\n</record>", "<record> x"),
        ("tag out\nkeep_keys a", "`renew_record` must be true"),
        ("tag in.b", "for ever"),
    ],
)
async def test_reformers_that_cannot_work(conf: str, message: str) -> None:
    """With the place of what is wrong."""
    with pytest.raises(ConfigError) as raised:
        async with pipeline(SAMPLE + reformer(conf)):
            pass
    assert message in str(raised.value)
    assert "test.conf:" in str(raised.value)


LABELS = "".join(f"<label @{name}>\n<match **>\n@type test\nname {name}\n</match>\n</label>\n" for name in "AB")


def routes(conf: str) -> str:
    """Return a configuration of routes, with two labels."""
    return f"<match in.** gone>\n@type route\n{conf}\n</match>\n{LABELS}{REST}"


async def test_routes() -> None:
    """Up to the first without `copy`; each changes the tag for itself, and what fits nowhere is dropped."""
    conf = (
        "remove_tag_prefix in\n<route web.**>\n@label @A\ncopy\nadd_tag_prefix a\n</route>\n"
        "<route web.x>\n@label @B\nremove_tag_prefix web\n</route>\n"
        "<route {web,other}.**>\nadd_tag_prefix rest\n</route>\n"
    )
    async with pipeline(routes(conf)) as running:
        for tag in ("in.web.x", "in.web.y", "in.other", "gone"):
            await running.feed(tag, {"tag": tag})
        assert tagged(running, "A") == [("a.web.x", {"tag": "in.web.x"}), ("a.web.y", {"tag": "in.web.y"})]
        assert tagged(running, "B") == [("x", {"tag": "in.web.x"})]
        assert tagged(running) == [("rest.web.y", {"tag": "in.web.y"}), ("rest.other", {"tag": "in.other"})]
        assert running.metric("discarded_records") == 1


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("", "<route> section is required"),
        ("<route **>\n@label @C\n</route>", '"@C" is not defined'),
        ("<route /(/>\n</route>", "route"),
        ("<route **>\n</route>", "for ever"),
    ],
)
async def test_routes_that_cannot_work(conf: str, message: str) -> None:
    """With the place of what is wrong."""
    with pytest.raises(ConfigError) as raised:
        async with pipeline(SAMPLE + routes(conf)):
            pass
    assert message in str(raised.value)


FORK = "output_tag out\noutput_key v\nfork_key k\n"


async def forked(conf: str, *records: Record) -> tuple[list[Any], list[Exception]]:
    """Return the values of the events that are made, and what is wrong with others."""
    async with pipeline(f"<match in>\n@type fork\n{FORK}{conf}</match>\n{REST}") as running:
        await running.feed("in", *records)
        assert {tag for tag, _ in tagged(running)} <= {"out"}
        return [record["v"] for record in running.records()], [letter[3] for letter in running.errors]


@pytest.mark.parametrize(
    ("conf", "value", "expected"),
    [
        ("", "a,b,,a,c", ["a", "b", "c"]),
        ("no_unique true\n", "a,b,a", ["a", "b", "a"]),
        ("separator |\n", "a,b|c", ["a,b", "c"]),
        ("fork_value_type array\n", [1, "1", {"x": 1}, {"x": 1}, ""], [1, "1", {"x": 1}]),
        ("max_size 2\nmax_fallback drop\n", "a,b,c", ["a", "b"]),
        ("max_size 2\nmax_fallback skip\n", "a,b,c", []),
        ("max_size 2\n", "a,b,c", ["a", "b", "c"]),
        ("", None, []),
    ],
)
async def test_forks(conf: str, value: Any, expected: list[Any]) -> None:
    """An event for each value, once, that is not empty."""
    assert await forked(conf, {"k": value, "x": 1}) == (expected, [])


async def test_what_the_events_have() -> None:
    """All other fields, and the value's number where it is asked for."""
    async with pipeline(f"<match in>\n@type fork\n{FORK}index_key i\n</match>\n{REST}") as running:
        await running.feed("in", {"k": "a,b", "x": 1}, times=[5])
        assert [(event.time, event.record) for event in running.events()] == [
            (5, {"x": 1, "v": "a", "i": 0}),
            (5, {"x": 1, "v": "b", "i": 1}),
        ]


async def test_what_cannot_be_forked() -> None:
    """Goes to `@ERROR`, and the others go on."""
    values, errors = await forked("", {"k": 5}, {"k": ",".join(map(str, range(MOST_VALUES + 2)))}, {"k": "a"})
    assert values == ["a"]
    assert ["is a int" in str(errors[0]), "more than" in str(errors[1])] == [True, True]
    assert "no list" in str((await forked("fork_value_type array\n", {"k": "a"}))[1][0])
    for value in (list(range(11_000)), [1] * 101_000):
        assert "more than" in str((await forked("fork_value_type array\n", {"k": value}))[1][0])
    wide = {"k": list(range(9_000)), "x": {str(number): number for number in range(1_000)}}
    assert "each would get" in str((await forked("fork_value_type array\n", wide))[1][0])


async def test_a_bound_holds_for_any_number_of_values() -> None:
    """Of a text, and of a list; and events go on in parts, the first of which their source may bring again."""
    for conf, value in (("", "a," * 101_000), ("fork_value_type array\n", list(range(101_000)))):
        bound = f"{conf}no_unique true\nmax_size 1200\nmax_fallback "
        values, errors = await forked(f"{bound}drop\n", {"k": value})
        assert (len(values), errors) == (1200, [])
        assert await forked(f"{bound}skip\n", {"k": value}) == ([], [])


async def test_parts_that_are_refused_are_sent_again() -> None:
    """But for the first, with which the whole is refused."""
    clock, settled = ManualClock(), list[bool]()
    text = f"<match in>\n@type fork\n{FORK}fork_value_type array\n</match>\n{REST}"
    async with pipeline(text, clock=clock) as running:
        collector = running.collector()
        collector.refuse = BufferFull("no room")
        with pytest.raises(BufferFull):
            await running.feed("in", {"k": [*range(1500)]})
        collector.refuse = None
        receipt = Receipt(lambda: settled.append(True))
        await running.feed("in", {"k": [*range(1500)]}, receipt=receipt)
        receipt.release()
        assert [len(events) for _, events in collector.batches] == [1000, 500]
        assert settled == [True]


def test_settings_of_fork_that_cannot_work() -> None:
    """Are errors of the configuration."""
    for setting, value in (("max_fallback", "nope"), ("separator", "")):
        with pytest.raises(ConfigError, match=setting):
            configure(Fork, f"{FORK}{setting} {value}")


@pytest.mark.parametrize(
    ("cls", "conf"),
    [(RecordReformer, "tag out.${tag}\nx ${message}"), (Route, "<route **>\n@label @A\n</route>"), (Fork, FORK)],
)
async def test_keep_what_every_plugin_promises(cls: Any, conf: str) -> None:
    """Each of them."""
    await check_plugin(cls, conf)
