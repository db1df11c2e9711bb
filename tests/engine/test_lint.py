"""Warnings about routes, each with its exact text."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from logpipe import EventBatch, Input, Options, Output, param, raw_section
from logpipe.engine.building.lint import lint
from logpipe.engine.building.lint.routes import covers, lint_routes
from logpipe.registry import Registry
from logpipe.testing import parse
from logpipe.tree import Element


class ListenerOptions(Options):
    """Settings of the listeners below."""

    bind: str = param("Address.", default="0.0.0.0")  # noqa: S104 - what is warned of
    port: int = param("Port.", default=24224)
    security: list[Element] = raw_section("Who may come.")
    transport: list[Element] = raw_section("How.")


class Forward(Input[ListenerOptions], type="forward"):
    """A listener of others that says what it is."""

    listens = "send events"
    protected_by: ClassVar = {
        "security": "<security> with a shared_key",
        "transport": "<transport tls> with client_cert_auth true",
    }

    async def run(self) -> None:
        raise NotImplementedError


class Http(Forward, type="http"):
    """One with another section."""

    protected_by: ClassVar = {"transport": "<transport tls> with client_cert_auth true"}


class TcpOptions(ListenerOptions):
    """Settings of another port."""

    port: int = param("Port.", default=5170)


class Tcp(Input[TcpOptions], type="tcp"):
    """One with another port."""

    listens = "send events"
    protected_by: ClassVar = {"transport": "<transport tls> with client_cert_auth true", "security": "<security>"}

    async def run(self) -> None:
        raise NotImplementedError


class UdpOptions(ListenerOptions):
    """Settings of another port."""

    port: int = param("Port.", default=5160)


class Udp(Input[UdpOptions], type="udp"):
    """One that nothing protects."""

    listens = "send events"

    async def run(self) -> None:
        raise NotImplementedError


class LocalOptions(ListenerOptions):
    """Settings of a listener that is careful by itself."""

    bind: str = param("Address.", default="127.0.0.1")


class Elsewhere(Input[LocalOptions], type="local"):
    """A listener that nobody from elsewhere reaches, and whose events have other tags than the one that is written."""

    listens = "send events"

    async def run(self) -> None:
        raise NotImplementedError


class Retag(Output[Options], type="retag"):
    """Gives other tags, and says so."""

    passes_to = "route"
    keeps_tag = False

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(EventBatch("new", batch.times, batch.records, batch.receipt))


OWN = "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"


def lints(text: str) -> list[str]:
    found: list[str] = []
    lint_routes(parse(text).elements, lambda diagnostic: found.append(str(diagnostic)))
    return found


def test_a_match_that_an_earlier_one_leaves_nothing_for() -> None:
    """The line of the one that takes all is named."""
    text = "<match app.**>\n@type null\n</match>\n<match app.web>\n@type stdout\n</match>\n"
    assert lints(text + OWN) == [
        "test.conf:4:1: warning: <match app.web> @type stdout: no event gets here: <match app.**> at line 1 takes "
        "them all (move it before line 1) [shadowed-match]"
    ]


def test_a_filter_behind_the_match_it_was_meant_for() -> None:
    """Filters run before the match only if they stand before it."""
    text = "<match **>\n@type null\n</match>\n<filter app.**>\n@type stdout\n</filter>\n"
    assert lints(text + OWN) == [
        "test.conf:4:1: warning: <filter app.**> @type stdout: this filter never runs: <match **> at line 1 comes "
        "first (move it before line 1) [late-filter]"
    ]


def test_a_label_that_nothing_sends_to() -> None:
    """Labels of logpipe's own need no sender."""
    text = "<label @A>\n<match **>\n@type null\n</match>\n</label>\n"
    text += "<label @ERROR>\n<match **>\n@type null\n</match>\n</label>\n"
    assert lints(text + OWN) == [
        "test.conf:1:1: warning: <label @A>: no event gets here: no @label names it (add: @label @A to a <source>) "
        "[unreached-label]"
    ]


def test_a_match_that_takes_our_own_log() -> None:
    """Only where there is no label for it."""
    text = "<match **>\n@type stdout\n</match>\n"
    assert lints(text) == [
        "test.conf:1:1: hint: <match **> @type stdout: it takes logpipe's own log events (fluent.*) too (define "
        "<label @FLUENT_LOG> to keep them apart) [own-log-events]"
    ]
    assert lints(text + OWN) == []


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ("**", "a", True),
        ("a.**", "a", True),
        ("a.**", "a.b.*", True),
        ("a.**", "ab", False),
        ("a.*", "a.b", False),
        ("a b.**", "b.c a", True),
        ("a", "", False),
        ("/a/", "a", False),
        ("{a,b}.**", "a.b", False),
    ],
)
def test_covers(earlier: str, later: str, expected: bool) -> None:  # noqa: FBT001 - a table of cases
    """It says yes only where it is sure."""
    assert covers(earlier, later) is expected


def warnings(text: str, code: str) -> list[str]:
    """What check says of a configuration under one code."""
    found: list[str] = []
    registry = Registry()
    for cls in (Forward, Http, Tcp, Udp, Elsewhere, Retag):
        registry.add(cls, Path(__file__))
    lint(parse(text).elements, registry, lambda diagnostic: found.append(str(diagnostic)))
    return [line for line in found if line.endswith(f"[{code}]")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "<source>\n@type forward\n</source>\n",
            "test.conf:1:1: warning: <source> @type forward listens at port 24224 of 0.0.0.0 without protection:"
            " anybody who reaches it can send events (write bind 127.0.0.1 if it serves this machine alone, else add"
            " <security> with a shared_key) [open-listener]",
        ),
        (
            "<source>\n@type http\nport 8888\nbind ::\n</source>\n",
            "test.conf:4:6: warning: <source> @type http listens at port 8888 of :: without protection: anybody who"
            " reaches it can send events (write bind 127.0.0.1 if it serves this machine alone, else add"
            " <transport tls> with client_cert_auth true) [open-listener]",
        ),
        (
            "<source>\n@type monitor_agent\n</source>\n",
            "test.conf:1:1: warning: <source> @type monitor_agent listens at port 24220 of 0.0.0.0 without protection:"
            " anybody who reaches it can read what runs and what is counted, and settings by include_config (write bind"
            " 127.0.0.1 if it serves this machine alone, else add <transport tls> with client_cert_auth true)"
            " [open-listener]",
        ),
        (
            "<source>\n@type udp\n<transport udp>\n</transport>\n</source>\n",
            "test.conf:1:1: warning: <source> @type udp listens at port 5160 of 0.0.0.0 without protection: anybody who"
            " reaches it can send events (write bind 127.0.0.1 if it serves this machine alone) [open-listener]",
        ),
        (
            "<source>\n@type tcp\n<transport tls>\ncert_path c\n</transport>\n</source>\n",
            "test.conf:1:1: warning: <source> @type tcp listens at port 5170 of 0.0.0.0 without protection: anybody who"
            " reaches it can send events (write bind 127.0.0.1 if it serves this machine alone, else add"
            " <transport tls> with client_cert_auth true) [open-listener]",
        ),
    ],
    ids=["forward", "http", "monitor_agent", "udp", "tls alone"],
)
def test_a_listener_that_is_open_to_the_world(text: str, expected: str) -> None:
    """It is named with its port, its address and what strangers can do there, as its class says."""
    assert warnings(text, "open-listener") == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "<source>\n@type forward\nbind 127.0.0.1\n</source>\n",
        "<source>\n@type forward\nbind localhost\n</source>\n",
        "<source>\n@type forward\n<security>\nshared_key x\n</security>\n</source>\n",
        "<source>\n@type http\n<transport tls>\nclient_cert_auth true\n</transport>\n</source>\n",
        "<source>\n@type tail\n</source>\n",
        "<source>\n@type local\n</source>\n",
        "<match>\n@type forward\n</match>\n",
    ],
)
def test_a_listener_that_is_not(text: str) -> None:
    """On this machine alone, or where somebody asks who comes, there is nothing to warn of."""
    assert warnings(text, "open-listener") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "<match a>\n@type kafka2\npassword s3cret\n</match>\n",
            'test.conf:3:10: warning: <match a> @type kafka2: "password" is written in plain text'
            " (write password \"#{ENV['KAFKA2_PASSWORD']}\" and set that variable) [plain-secret]",
        ),
        (
            "<match a>\n@type unheard_of\napi_key 's3cret'\n</match>\n",
            'test.conf:3:9: warning: <match a> @type unheard_of: "api_key" is written in plain text'
            " (write api_key \"#{ENV['UNHEARD_OF_API_KEY']}\" and set that variable) [plain-secret]",
        ),
        (
            "<source>\n@type forward\n<security>\nshared_key s3cret\n</security>\n</source>\n",
            'test.conf:4:12: warning: <security>: "shared_key" is written in plain text'
            " (write shared_key \"#{ENV['SECURITY_SHARED_KEY']}\" and set that variable) [plain-secret]",
        ),
    ],
    ids=["declared", "by its name", "in a section"],
)
def test_a_secret_in_plain_text(text: str, expected: str) -> None:
    """Its name is said, never its value."""
    assert warnings(text, "plain-secret") == [expected]


@pytest.mark.parametrize("value", ["\"#{ENV['X'] || 'x'}\"", '""', "${record['x']}"])
def test_a_secret_from_elsewhere(value: str) -> None:
    """What the environment gives, or nothing, is no secret in the file."""
    assert warnings(f"<match a>\n@type kafka2\npassword {value}\n</match>\n", "plain-secret") == []


SOURCE = "<source>\n@type sample\ntag app.log\n</source>\n"
NULL = "<match app.log>\n@type null\n</match>\n"
LABELED = SOURCE.replace("tag", "@label @A\ntag")


def test_a_pattern_that_no_tag_matches() -> None:
    """The nearest tag is suggested."""
    text = SOURCE + "<match ap.log>\n@type null\n</match>\n<match other>\n@type null\n</match>\n"
    assert warnings(text, "unmatched-pattern") == [
        "test.conf:5:8: warning: <match ap.log> @type null: no <source> gives events a tag that it matches"
        ' (did you mean "app.log"?) [unmatched-pattern]',
        "test.conf:8:8: warning: <match other> @type null: no <source> gives events a tag that it matches"
        " (the tags are app.log) [unmatched-pattern]",
    ]


@pytest.mark.parametrize(
    "text",
    [
        SOURCE + "<match app.*>\n@type null\n</match>\n<match fluent.**>\n@type null\n</match>\n",
        SOURCE + "<match app.*>\n@type rewrite_tag_filter\n</match>\n<match new>\n@type null\n</match>\n",
        SOURCE + "<match app.*>\n@type retag\n</match>\n<match new>\n@type null\n</match>\n",
        SOURCE + "<match app.*>\n@type unheard_of\n</match>\n<match new>\n@type null\n</match>\n",
        SOURCE + "<source>\n@type local\ntag x\n</source>\n<match new>\n@type null\n</match>\n",
        SOURCE + "<source>\n@type forward\n</source>\n<match new>\n@type null\n</match>\n",
        "<source>\n@type tail\ntag kube.*\n</source>\n<match new>\n@type null\n</match>\n",
        "<match new>\n@type null\n</match>\n",
        f"{SOURCE}{LABELED.replace('app.log', 'new')}{NULL}{NULL.replace('app.log', 'new')}"
        "<label @A>\n<match **>\n@type copy\n<store>\n@type relabel\n@label @ROOT\n</store>\n</match>\n</label>\n",
        f"{SOURCE.replace('app', 'b')}{LABELED}{NULL}{NULL.replace('app', 'b')}"
        "<label @A>\n<match **>\n@type relabel\n@label @ROOT\n</match>\n</label>\n",
    ],
    ids=[
        "all match",
        "tags are made",
        "tags are made by others",
        "tags are made by what is not installed",
        "others do not keep their tag",
        "tags come from elsewhere",
        "tags have the path",
        "no source",
        "a copy comes back",
        "all come back",
    ],
)
def test_a_pattern_that_some_tag_may_match(text: str) -> None:
    """Nothing is said where tags are not all known."""
    assert warnings(text, "unmatched-pattern") == []


def test_typographic_quotes_outside_values() -> None:
    """In patterns and in names they do not quote either."""
    text = "<match “app.**”>\n@type null\n“tag” x\n</match>\n"
    assert warnings(text, "typographic-quotes") == [
        "test.conf:1:8: warning: “ is a typographic quote and becomes part of the argument of <match “app.**”>"
        " (write \" or ' to quote) [typographic-quotes]",
        'test.conf:3:1: warning: “ is a typographic quote and becomes part of the name "“tag”"'
        " (write \" or ' to quote) [typographic-quotes]",
    ]
