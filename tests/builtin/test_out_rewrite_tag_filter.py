"""rewrite_tag_filter: events go on under new tags."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from logpipe.builtin.out_rewrite_tag_filter import RewriteTagFilter
from logpipe.config.diagnostic import ConfigError
from logpipe.event import EventBatch, Receipt
from logpipe.testing import FakeHost, ManualClock, Pipeline, check_plugin, configure, drive, pipeline

CATCH = "<match new.**>\n  @type test\n</match>\n"


def rule(key: str, pattern: str, tag: str, *more: str) -> str:
    lines = "".join(f"  {line}\n" for line in (f"key {key}", f"pattern {pattern}", f"tag {tag}", *more))
    return f"<rule>\n{lines}</rule>\n"


def configuration(conf: str, *labels: str) -> str:
    sections = "".join(
        f"<label {label}>\n  <match **>\n    @type test\n    name {label}\n  </match>\n</label>\n" for label in labels
    )
    return f"<match old.**>\n  @type rewrite_tag_filter\n{conf}</match>\n{CATCH}{sections}"


def _tags(running: Pipeline) -> list[str]:
    return [tag for tag, events in running.collector().batches for _ in events]


async def test_keeps_what_every_plugin_promises() -> None:
    """It constructs quietly, stops twice, passes an empty batch."""
    await check_plugin(RewriteTagFilter, rule("a", "/x/", "b"))


async def test_the_first_rule_that_holds_gives_the_tag() -> None:
    """Later rules are not asked, and what no rule holds for is dropped and counted."""
    conf = rule("level", "/^err/", "new.error") + rule("level", "/r/", "new.other")
    async with pipeline(configuration(conf)) as running:
        await running.feed("old.a", {"level": "error"}, {"level": "warn"}, {"level": "info"}, {})

        assert _tags(running) == ["new.error", "new.other"]
        assert running.metric("discarded_records") == 2


@pytest.mark.parametrize(
    ("conf", "record", "expected"),
    [
        (rule("d", r"/^(mail)\.(ex)/", "new.$2$1"), {"d": "mail.ex"}, "new.exmail"),
        (
            "capitalize_regex_backreference yes\n" + rule("d", r"/^(mAil)\.(ex)/", "new.$2$1"),
            {"d": "mAil.ex"},
            "new.ExMail",
        ),
        (rule("d", "/a(x)?/", "new.$1$2$0."), {"d": "a"}, "new.."),
        (rule("d", "/a/", "new.${tag}"), {"d": "a"}, "new.old.web.01"),
        (rule("d", "/a/", "new.__TAG__"), {"d": "a"}, "new.old.web.01"),
        (rule("d", "/a/", "new.${tag_parts[1]}.__TAG_PARTS[2]__"), {"d": "a"}, "new.web.01"),
        (rule("d", "/a/", "new.${tag_parts[9]}x${nope}"), {"d": "a"}, "new.x"),
        (rule("d", "/a/", "new.${tag_parts[-1]}"), {"d": "a"}, "new.${tag_parts[-1]}"),
        ("remove_tag_prefix old\n" + rule("d", "/a/", "new.${tag}.${tag_parts[0]}"), {"d": "a"}, "new.web.01.web"),
        (r"remove_tag_regexp /^old\.\w+\./" + "\n" + rule("d", "/a/", "new.${tag}"), {"d": "a"}, "new.01"),
        (rule("$.k.ns", "/^(.+)$/", "new.$1"), {"k": {"ns": "shop"}}, "new.shop"),
        (rule("$['k']['n.s']", "/^(.+)$/", "new.$1"), {"k": {"n.s": "shop"}}, "new.shop"),
        (rule("n", "/^5/", "new.number"), {"n": 500}, "new.number"),
        (rule("b", "/^(.*)$/", "new.$1"), {"b": False}, "new.false"),
        (rule("t", "/^(.+)$/", "new.$1"), {"t": "a\udcffb"}, "new.a?b"),
        (rule("d", "/x/", "new.$1-${tag}", "invert true"), {"d": "a"}, "new.$1-old.web.01"),
        (rule("d", "/x/", "new.missing", "invert true"), {}, "new.missing"),
        ("rewriterule1 d ^(a) new.$1\n", {"d": "ab"}, "new.a"),
        ("rewriterule2 d .+ new.two\nrewriterule1 d !x new.one\n", {"d": "ab"}, "new.one"),
        ("rewriterule1 d !a new.one\nrewriterule10 d b\\s+c new.ten\n", {"d": "ab c"}, "new.ten"),
        ("rewriterule1 d b c new.blank\n", {"d": "ab c"}, "new.blank"),
        ('rewriterule1 d "a b" new.quoted\n', {"d": "xa b"}, "new.quoted"),
    ],
)
async def test_tags(conf: str, record: dict[str, Any], expected: str) -> None:
    """Groups, placeholders, paths and the spellings of 1.6."""
    async with pipeline(configuration(conf)) as running:
        await running.feed("old.web.01", record)

        assert _tags(running) == [expected]


async def test_empty_and_missing_fields_meet_no_rule_but_an_inverted_one() -> None:
    """Even a pattern that matches the empty text does not hold for them."""
    async with pipeline(configuration(rule("d", "/.*/", "new.any"))) as running:
        await running.feed("old.a", {"d": ""}, {"d": None}, {}, {"d": " "})

        assert _tags(running) == ["new.any"]


@pytest.mark.parametrize(("command", "hostname"), [("hostname", "test-host"), ("hostname  -s", "test-host")])
async def test_hostname_is_asked_without_running_a_command(command: str, hostname: str) -> None:
    """The commands that public configurations use are known by their text."""
    conf = f"hostname_command {command}\n" + rule("d", "/a/", "new.${hostname}.__HOSTNAME__")
    host = FakeHost()
    await RewriteTagFilter(configure(RewriteTagFilter, conf), host).process(EventBatch("old", [0], [{"d": "a"}]))

    assert [batch.tag for batch in host.emitted] == [f"new.{hostname}.{hostname}"]


async def test_an_event_that_would_keep_its_tag_is_dropped() -> None:
    """It would come back forever; in another label it may keep it."""
    same = rule("d", "/a/", "${tag}") + rule("d", "/b/", "${tag}", "label @B")
    async with pipeline(configuration(same, "@B")) as running:
        await running.feed("old.a", {"d": "a"}, {"d": "b"})

        assert running.events("**") == []
        assert [event.record for event in running.events("old.a", name="@B")] == [{"d": "b"}]
        assert running.metric("discarded_records") == 1


async def test_rules_can_send_to_labels() -> None:
    """A rule without one sends to the match's own `@label`."""
    conf = "@label @A\n" + rule("d", "/a/", "new.a") + rule("d", "/b/", "new.b", "label @B")
    async with pipeline(configuration(conf, "@A", "@B")) as running:
        await running.feed("old.a", {"d": "a"}, {"d": "b"})

        assert [event.record for event in running.events("new.a", name="@A")] == [{"d": "a"}]
        assert [event.record for event in running.events("new.b", name="@B")] == [{"d": "b"}]
        assert running.metric("emitted_records") == 2


RECORDS = [{"d": "a", "n": 1}, {"d": "b", "n": 2}, {"d": "a", "n": 3}, {"d": "a", "n": 4}]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("batch", [("new.a", [1, 3, 4]), ("new.b", [2])]),
        ("record", [("new.a", [1]), ("new.b", [2]), ("new.a", [3, 4])]),
    ],
)
async def test_emit_mode(mode: str, expected: list[tuple[str, list[int]]]) -> None:
    """`batch` sorts by tag, `record` keeps the order."""
    conf = f"emit_mode {mode}\n" + rule("d", "/^(.)/", "new.$1")
    async with pipeline(configuration(conf)) as running:
        await running.feed("old.a", *(dict(record) for record in RECORDS))

        batches = running.collector().batches
        assert [(tag, [event.record["n"] for event in events]) for tag, events in batches] == expected


async def test_the_receipt_goes_along_and_refusals_come_back() -> None:
    """Who emitted is told when an output behind it refuses, and answers for the events."""
    host = FakeHost()
    stage = RewriteTagFilter(configure(RewriteTagFilter, rule("d", "/^(.)/", "new.$1")), host)
    receipt = Receipt(lambda: None)
    await stage.process(EventBatch("old", [1, 2], [{"d": "a"}, {"d": "b"}], receipt))
    assert [batch.receipt for batch in host.emitted] == [receipt, receipt]

    async with pipeline(configuration(rule("d", "/a/", "new.a"))) as running:
        running.collector().refuse = BufferError("full")
        with pytest.raises(BufferError):
            await running.feed("old.a", {"d": "a"})


async def test_unknown_placeholders_are_told_once() -> None:
    """Fluentd tells with every event."""
    async with pipeline(configuration(rule("d", "/a/", "new.${nope}"))) as running:
        await running.feed("old.a", {"d": "a"}, {"d": "a"})
        await running.feed("old.b", {"d": "a"})

        texts = [text for text in running.log.texts("warning") if "placeholder" in text]
        assert texts == ["unknown placeholder ${nope} in tag new.${nope} is replaced by nothing"]


async def test_a_range_of_tag_parts_is_warned_of() -> None:
    """It stays as it is written, which nobody can want."""
    async with pipeline(configuration(rule("d", "/a/", "new.${tag_parts[0..1]}"))) as running:
        await running.feed("old.a", {"d": "a"})

        assert _tags(running) == ["new.${tag_parts[0..1]}"]
        assert any("a range of tag_parts stays as it is written" in text for text in running.log.texts("warning"))


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("", "no rule: add a <rule>"),
        (rule("a", "/x/", "b") + rule("a", "/x/", "c"), 'the rule for "a" is written twice'),
        (rule("a", "/(/", "b"), "pattern"),
        (rule("$.a[", "/x/", "b"), "path"),
        ("remove_tag_prefix a\nremove_tag_regexp /b/\n" + rule("a", "/x/", "b"), "exclude one another"),
        (
            "hostname_command cat /etc/passwd\n" + rule("a", "/x/", "b"),
            "is not run: write one of hostname, hostname -s",
        ),
        ("rewriterule1 a b\n", "rewriterule1 needs three words"),
        ("rewriterule1 a ( b\n", "rewriterule1: "),
    ],
)
async def test_mistakes_are_found_at_start(conf: str, message: str) -> None:
    """What cannot work is refused, with what to do."""
    with pytest.raises(ConfigError, match=message):
        async with pipeline(configuration(conf)):
            pass


async def test_a_pattern_that_takes_too_long() -> None:
    """The event on which it does goes to @ERROR, and the rest of the batch goes on."""
    async with pipeline(configuration(rule("message", "/^(a+)+$/", "new.tag"))) as running:
        await running.feed("old.a", {"message": "aa"}, {"message": "a" * 40 + "b"}, {"message": "aaa"}, {})

        assert _tags(running) == ["new.tag", "new.tag"]
        ((tag, _, _, error),) = running.errors
        assert (tag, str(error)) == ("old.a", "a regular expression took more than 0.5 s on one event; simplify it")
        assert running.metric("discarded_records") == 1


async def test_a_label_that_does_not_exist() -> None:
    """It is told at the start; events for it go to @ERROR, and others on their way."""
    conf = rule("d", "/a/", "new.a", "label @NOPE") + rule("d", "/b/", "new.b")
    async with pipeline(configuration(conf)) as running:
        assert any('label "@NOPE" is not defined' in text for text in running.log.texts())
        await running.feed("old.a", {"d": "a"}, {"d": "b"})

        assert _tags(running) == ["new.b"]
        ((tag, _, record, error),) = running.errors
    assert (tag, record, str(error)) == (
        "new.a",
        {"d": "a"},
        'label "@NOPE" is not defined: add <label @NOPE>',
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "is empty"),
        ("x" * 5000, "5000 characters"),
        ("a\nb", "control characters"),
        ("a\u2028b", "control characters"),
        ("\x1b[2J", "control characters"),
    ],
)
async def test_tags_that_nothing_can_be_done_with(value: str, reason: str) -> None:
    """Whoever writes a log line must not break others with the tag it gets."""
    conf = "<rule>\nkey k\npattern /^x:(.*)$/m\ntag $1\n</rule>\n"
    async with drive(RewriteTagFilter, conf, arg="app") as stage:
        await stage.feed("app", {"k": f"x:{value}"}, {"k": "y"})
        ((_, _, record, error),) = stage.errors
        assert record == {"k": f"x:{value}"}
        assert reason in str(error)
        assert stage.metric("discarded_records") == 1


async def test_a_value_that_fails_is_the_exception() -> None:
    """One that is nested past all sense costs its event only."""
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    collect = "<match new>\n@type test\n</match>\n"
    rule = "<rule>\nkey k\npattern /./\ntag new\n</rule>\n"
    async with pipeline(f"<match app>\n@type rewrite_tag_filter\n{rule}</match>\n{collect}") as running:
        await running.feed("app", {"k": "a"}, {"k": deep}, {"k": "b"})
        assert running.records() == [{"k": "a"}, {"k": "b"}]
        assert len(running.errors) == 1


async def test_events_that_one_output_refuses_come_twice_in_no_other() -> None:
    """Those with a later tag are sent on alone until they are taken, and the input's emit waits for it."""
    rules = rule("d", "/a/", "new.a") + rule("d", "/b/", "new.b")
    outputs = "".join(f"<match new.{name}>\n@type test\nname {name}\n</match>\n" for name in "ab")
    clock = ManualClock()
    text = f"<match old.**>\n@type rewrite_tag_filter\n{rules}</match>\n{outputs}"
    async with pipeline(text, clock=clock) as running, asyncio.TaskGroup() as group:
        running.collector("b").refuse = RuntimeError("no")
        feeding = running.feed("old.x", {"d": "a"}, {"d": "b"}, receipt=Receipt(lambda: None))
        fed = group.create_task(feeding)
        await running.wait_for(lambda: any("did not take events" in text for text in running.log.texts("warning")))
        await clock.advance(60)
        assert not fed.done()
        running.collector("b").refuse = None
        await clock.advance(10)
        assert fed.done()
        assert running.records(name="a") == [{"d": "a"}]
        assert running.records(name="b") == [{"d": "b"}]
