"""concat: events that are parts of one become one, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from logpipe import BufferFull, ConfigError, Receipt, Record
from logpipe.testing import ManualClock, Pipeline, check_plugin, configure, drive, pipeline, settle
from logpipe_community.concat.filter import Concat

START = "key message\nmultiline_start_regexp /^at /\n"
SECOND = 1_000_000_000


def messages(*texts: str) -> list[Record]:
    """Return records of these texts."""
    return [{"message": text} for text in texts]


async def joined(conf: str, records: Sequence[Record], *, tag: str = "t") -> list[Record]:
    """Return what has come when the filter was drained."""
    async with drive(Concat, conf) as stage:
        await stage.feed(tag, *records)
    return stage.records()


@pytest.mark.parametrize(
    ("conf", "texts", "expected"),
    [
        ("n_lines 2", "1 2 3 4 5", ["1\n2", "3\n4", "5"]),
        ("n_lines 1", "1 2", ["1", "2"]),
        ("n_lines 2\nseparator", "1 2", ["12"]),
        ("multiline_start_regexp /^s/", "x s1 a b s2 s3 c", ["x", "s1\na\nb", "s2", "s3\nc"]),
        ("multiline_end_regexp /e$/", "a b e c e d", ["a\nb\ne", "c\ne", "d"]),
        (
            "multiline_start_regexp /^s/\nmultiline_end_regexp /e$/",
            "s1 a e b s2e s3 s4",
            ["s1\na\ne", "b", "s2e", "s3", "s4"],
        ),
        (
            "multiline_start_regexp /^s/\ncontinuous_line_regexp /^c/",
            "s1 c1 x c2 s2 c3",
            ["s1\nc1", "x", "c2", "s2\nc3"],
        ),
        ("multiline_start_regexp /^S/i", "s1 a S2", ["s1\na", "S2"]),
    ],
)
async def test_modes(conf: str, texts: str, expected: list[str]) -> None:
    """Each tells which texts are one; what is not complete goes on at the end."""
    found = await joined(f"key message\n{conf}\n", messages(*texts.split()))
    assert [record["message"] for record in found] == expected


async def test_what_has_no_key_passes() -> None:
    """And so do the messages of the program itself."""
    async with drive(Concat, START, arg="fluent.** t") as stage:
        await stage.feed("t", {"message": "at 1"}, {"other": 1}, {"message": "x"})
        assert stage.records() == [{"other": 1}]
        await stage.feed("fluent.info", {"message": "at 2"})
        assert stage.records("fluent.info") == [{"message": "at 2"}]


async def test_streams_are_their_own() -> None:
    """By tag, and by the field that is named; a path is one, too."""
    records = [
        {"message": text, "k": {"id": number}} for text, number in (("at 1", 1), ("at 2", 2), ("a", 1), ("b", 2))
    ]
    found = await joined(f"{START}stream_identity_key $.k.id\n", records)
    assert sorted(record["message"] for record in found) == ["at 1\na", "at 2\nb"]


@pytest.mark.parametrize(("conf", "expected"), [("", [2, 3]), ("use_first_timestamp true\n", [0, 2])])
async def test_times(conf: str, expected: list[int]) -> None:
    """An event has the time of what told that it was complete, or of its first text; fields are those of the first."""
    async with drive(Concat, f"{START}{conf}") as stage:
        records: list[Record] = [{"message": text, "n": n} for n, text in enumerate(("at 1", "a", "at 2", "at 3"))]
        records[1]["more"] = True
        await stage.feed("t", *records, times=[0, 1, 2, 3])
        assert [(event.time, event.record) for event in stage.events()] == [
            (expected[0], {"message": "at 1\na", "n": 0, "more": True}),
            (expected[1], {"message": "at 2", "n": 2}),
        ]


PARTIAL = "key message\nseparator\npartial_key more\npartial_value yes\n"


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("", [{"message": "ab"}, {"message": "c"}]),
        ("keep_partial_key true\n", [{"message": "ab", "more": "no"}, {"message": "c"}]),
    ],
)
async def test_parts_by_a_field(conf: str, expected: list[Record]) -> None:
    """The field says that a text goes on; without it an event passes."""
    records = [{"message": "a", "more": "yes"}, {"message": "b", "more": "no"}, {"message": "c"}]
    assert await joined(PARTIAL + conf, records) == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("ignore", ["aaaabbbbccccdd"]),
        ("truncate", ["aaaabbbb", "dd"]),
        ("new", ["aaaabbbb", "ccccdd"]),
        ("drop", ["dd"]),
    ],
)
async def test_parts_that_are_too_much(method: str, expected: list[str]) -> None:
    """What is more than the limit is joined all the same, cut, begun anew, or dropped with what was before it."""
    conf = f"{PARTIAL}buffer_limit_size 40\nbuffer_overflow_method {method}\n"
    records = [{"message": text, "more": "no" if text == "dd" else "yes"} for text in ("aaaa", "bbbb", "cccc", "dd")]
    assert [record["message"] for record in await joined(conf, records)] == expected


@pytest.mark.parametrize("prefix", ["", "CONTAINER_"])
@pytest.mark.parametrize("keeps", [False, True])
async def test_parts_by_dockers_fields(prefix: str, keeps: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """They are put in order, by the identity of their text."""
    names = [f"{prefix}PARTIAL_{name}" for name in ("MESSAGE", "ID", "ORDINAL", "LAST")]
    if not prefix:
        names = [name.lower() for name in names]

    def part(text: str, identity: str, ordinal: str, *, last: bool = False) -> Record:
        values = "true", identity, ordinal, "true" if last else "false"
        return {"message": text} | dict(zip(names, values, strict=True))

    form = "docker-journald" if prefix else "docker-fluentd"
    conf = (
        f"key message\nseparator\nuse_partial_metadata true\npartial_metadata_format {form}\n"
        f"keep_partial_metadata {str(keeps).lower()}\n"
    )
    records = [
        part("b", "1", "2"),
        part("x", "2", "1"),
        part("a", "1", "1"),
        part("c", "1", "3", last=True),
        {"message": "z"},
    ]
    found = await joined(conf, records)
    assert [record["message"] for record in found] == ["abc", "z", "x"]
    assert [names[1] in record for record in found] == [keeps, False, keeps]


@pytest.mark.parametrize(("conf", "left"), [("", {}), ("keep_partial_key true\n", {"logtag": "F"})])
async def test_parts_by_log_tags(conf: str, left: Record) -> None:
    """Those of stdout and stderr are not mixed, in whatever order they come."""
    rows = [("a", "stdout", "P"), ("x", "stderr", "P"), ("b", "stdout", "F"), ("y", "stderr", "F:z")]
    records = [{"message": text, "stream": stream, "logtag": tag} for text, stream, tag in rows]
    settings = "key message\nseparator\nuse_partial_cri_logtag true\npartial_cri_logtag_key logtag\n"
    found = await joined(settings + conf, records[:3])
    assert found[0] == {"message": "ab"} | left
    assert [record["message"] for record in await joined(settings, [*records, {"message": "w"}])] == ["ab", "xy", "w"]


async def test_bytes_that_are_no_text_are_kept() -> None:
    """And a number is written as text."""
    assert await joined("key message\nn_lines 3\n", [{"message": b"\xff"}, {"message": "a"}, {"message": 5}]) == [
        {"message": b"\xff\na\n5"}
    ]


LABEL = (
    "<match **>\n@type test\nname main\n</match>\n<label @L>\n<match **>\n@type test\nname late\n</match>\n</label>\n"
)


def with_label(conf: str) -> str:
    """Return a configuration with a label beside."""
    return f"<filter **>\n@type concat\n{conf}</filter>\n{LABEL}"


async def receipt_of(stage: Pipeline, records: list[Record], settled: list[str]) -> None:
    """Feed records, and note when nobody owes anything for them."""
    receipt = Receipt(lambda: settled.append(records[0]["message"]))
    await stage.feed("t", *records, receipt=receipt, times=[SECOND] * len(records))
    receipt.release()


@pytest.mark.parametrize(("conf", "name"), [("", "main"), ("timeout_label @L\n", "late")])
async def test_what_nothing_follows_goes_on(conf: str, name: str) -> None:
    """After the interval from its last text on; with it the receipts settle, and not before."""
    clock, settled = ManualClock(), list[str]()
    async with pipeline(with_label(f"{START}flush_interval 5s\n{conf}"), clock=clock) as running:
        await receipt_of(running, messages("at 1"), settled)
        await clock.advance(4)
        await receipt_of(running, messages("a"), settled)
        await clock.advance(4)
        assert running.records(name=name) == []
        assert settled == []
        await clock.advance(2)
        assert running.records(name=name) == messages("at 1\na")
        assert running.events(name=name)[0].time > SECOND
        assert settled == ["at 1", "a"]


@pytest.mark.parametrize(("conf", "name"), [("", "main"), ("timeout_label @L\n", "late")])
async def test_what_waits_at_the_end_goes_on(conf: str, name: str) -> None:
    """With the time of its first text; the original makes an error of it."""
    settled: list[str] = []
    async with pipeline(with_label(f"{START}flush_interval 0\n{conf}")) as running:
        await receipt_of(running, messages("at 1", "a"), settled)
    assert running.records(name=name) == messages("at 1\na")
    assert running.events(name=name)[0].time == SECOND
    assert settled == ["at 1"]
    assert running.errors == []


async def test_a_label_that_takes_nothing_is_waited_for() -> None:
    """The events are sent again until it takes them."""
    clock = ManualClock()
    async with pipeline(with_label(f"{START}flush_interval 1\ntimeout_label @L\n"), clock=clock) as running:
        running.collector("late").refuse = BufferFull("no room")
        await running.feed("t", *messages("at 1"))
        await clock.advance(3)
        running.collector("late").refuse = None
        await clock.advance(11)
        assert running.records(name="late") == messages("at 1")


async def test_an_event_is_owed_for_until_all_of_it_is_accepted() -> None:
    """A batch whose text was complete by a later one settles with that one."""
    settled: list[str] = []
    async with drive(Concat, START) as stage:
        await receipt_of(stage, messages("at 1"), settled)
        collector = stage.collector()
        collector.open.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(receipt_of(stage, messages("a", "at 2", "b"), settled))
            await settle()
            assert settled == []
            collector.open.set()
        assert settled == ["at 1"]
    assert settled == ["at 1", "a"]


async def test_an_expression_that_takes_too_long() -> None:
    """Each event on which it does goes to `@ERROR`, and the others go on."""
    async with drive(Concat, "key message\nmultiline_start_regexp /^(a+)+$/\n") as stage:
        bad = messages(*["a" * 40 + "!"] * 3)
        await stage.feed("t", *bad, {"message": "b"})
        assert stage.records() == messages("b")
        assert len(stage.errors) == len(bad)


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("n_lines 2", '"key" is required'),
        ("key m", "nothing says which events are one"),
        (
            "key m\nn_lines 2\nmultiline_end_regexp /a/",
            "n_lines and multiline_start_regexp/multiline_end_regexp are exclusive",
        ),
        ("key m\nn_lines 2\npartial_key k\npartial_value v", "n_lines and partial_key are exclusive"),
        ("key m\npartial_key k", "partial_value is required"),
        ("key m\nuse_partial_cri_logtag true", "partial_cri_logtag_key is required"),
        ("key m\nuse_partial_cri_logtag true\nn_lines 2", "exclusive"),
        ("key m\nn_lines 0", "n_lines must be 1 or more"),
        ("key m\nmultiline_start_regexp at", "write /…/"),
        ("key m\nmultiline_start_regexp /(/", "multiline_start_regexp"),
    ],
)
def test_settings_that_cannot_work(conf: str, message: str) -> None:
    """Each is an error with its place."""
    with pytest.raises(ConfigError, match="filter") as raised:
        configure(Concat, conf)
    assert message in str(raised.value)


NULL = "<match **>\n@type null\n</match>\n"


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"@L": f"<filter x.**>\n{{concat}}</filter>\n{NULL}"}, []),
        ({"@L": f"<filter **>\n{{concat}}</filter>\n{NULL}"}, ["routing-circle"]),
        (
            {
                "@L": "<match **>\n@type relabel\n@label @M\n</match>\n",
                "@M": f"<filter>\n@type stdout\n</filter>\n<filter a>\n{{concat}}</filter>\n{NULL}",
            },
            ["routing-circle"],
        ),
        ({"@L": "<match **>\n@type relabel\n@label @ROOT\n</match>\n"}, ["routing-circle"]),
    ],
)
async def test_a_label_that_leads_back(labels: dict[str, str], found: list[str]) -> None:
    """Is told of: what nothing follows would go round, again and again."""
    concat = f"@type concat\n{START}timeout_label @L\n"
    root = f"<source>\n@type sample\ntag a\nrate 0\n</source>\n<filter a>\n{concat}</filter>\n{NULL}"
    rest = "".join(f"<label {name}>\n{text.format(concat=concat)}</label>\n" for name, text in labels.items())
    async with pipeline(root + rest) as running:
        assert [each.code for each in running.warnings if each.severity == "warning"] == found


async def test_a_label_that_is_not_there() -> None:
    """It is an error of the configuration."""
    with pytest.raises(ConfigError, match='label "@NOPE" is not defined'):
        async with pipeline(f"<filter **>\n@type concat\n{START}timeout_label @NOPE\n</filter>\n"):
            pass


async def test_keeps_what_every_plugin_promises() -> None:
    """With events that it holds, too."""
    await check_plugin(Concat, START, records=messages("x", "at 1", "y", "z", "at 2", "w"))
    await check_plugin(Concat, "key message\nn_lines 4\n")


TAIL = """
<source>
  @type tail
  path {folder}/*.log
  pos_file {folder}/pos
  tag t.*
  read_from_head true
  refresh_interval 1
  <parse>
    @type none
  </parse>
</source>
<filter **>
  @type concat
  key message
  separator +
  multiline_start_regexp /^at /
  flush_interval {interval}
</filter>
<match **>
  @type test
</match>
"""


async def test_lines_of_files(tmp_path: Path) -> None:
    """Over a rotation an event goes on in the next file; at the end of a file, and at a stop, none is lost."""
    (tmp_path / "a.log").write_text("at 1\na\n")
    (tmp_path / "b.log").write_text("at 9\nz\n")
    async with pipeline(TAIL.format(folder=tmp_path, interval="1h")) as running:
        await running.wait_for(lambda: running.plugin(Concat).held() == 4)
        (tmp_path / "a.log").rename(tmp_path / "a.log.1")
        (tmp_path / "a.log").write_text("b\nat 2\n")
        await running.wait_for(lambda: running.records("t.**") == messages("at 1+a+b"))
    assert {record["message"] for record in running.records("t.**")[1:]} == {"at 2", "at 9+z"}
    (tmp_path / "c.log").write_text("at 3\n")
    async with pipeline(TAIL.format(folder=tmp_path, interval="1")) as running:
        await running.wait_for(lambda: running.records("t.**") == messages("at 3"))
