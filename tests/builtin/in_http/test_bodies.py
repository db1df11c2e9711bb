"""What in_http reads of bodies, by Content-Type, parameters and parser; what is bad in them."""

from __future__ import annotations

import gzip
import zlib
from typing import Any
from urllib.parse import quote

import msgpack
import pytest

from logpipe.builtin.in_http import content, records
from logpipe.testing import pipeline
from tests.builtin.in_http.client import SOURCE, post

FORM = "application/x-www-form-urlencoded"
JSON, LINES, PACKED = "application/json", "application/x-ndjson", "application/msgpack"
TWO = [{"a": 1}, {"a": 2}]
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="time"\r\n\r\n1.5\r\n'
    b'--b\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name="json"; filename="x"\r\n\r\n'
    b'{"a":"\r\n\xc3\xa9"}\r\n--b--\r\n'
)


async def sent(conf: str, target: str, body: Any = b"", kind: str = JSON, **headers: str) -> tuple[Any, Any]:
    """Post once; return the reply, and the pipeline's trace."""
    async with pipeline(SOURCE.format(conf)) as running:
        reply = await post(running, target, body, kind, **headers)
        running.found = running.records()  # type: ignore[attr-defined]  # for the rows below
        running.tagged = running.records("app.x.y%20z")  # type: ignore[attr-defined]
        running.times = [event.time for event in running.events()]  # type: ignore[attr-defined]
        running.said = running.log.texts("error")  # type: ignore[attr-defined]
    return reply, running


BODIES = {
    "one object": (JSON, b'{"a":1}', [{"a": 1}]),
    "an array": (f"{JSON}; charset=utf-8", b'[{"a":1},{"a":2}]', TWO),
    "a report of a browser": ("application/csp-report", b'{"csp-report":{"a":1}}', [{"csp-report": {"a": 1}}]),
    "lines": (LINES, b'{"a":1}\r\n\n[{"a":2},{"a":3}]\n', [*TWO, {"a": 3}]),
    "lines, the last without an end": (LINES, b'{"a":1}\n{"a":2}', TWO),
    "a large number among lines": (
        LINES,
        b'{"a":1}\n{"n":12345678901234567890123456789,"f":0.12345678901234567}\n{"a":2}\n',
        [{"a": 1}, {"n": 12345678901234567890123456789, "f": 0.12345678901234567}, {"a": 2}],
    ),
    "large numbers": (LINES, b'{"n":123456789012345678901234567890}', [{"n": 123456789012345678901234567890}]),
    "bytes that are no UTF-8": (JSON, b'{"a":"caf\xe9"}', [{"a": b"caf\xe9"}]),
    "a packed map": (PACKED, msgpack.packb({"a": 1, 2: b"\xff"}), [{"a": 1, 2: b"\xff"}]),
    "packed maps and arrays of them": (PACKED, msgpack.packb(TWO) + msgpack.packb({"b": None}), [*TWO, {"b": None}]),
    "a form": (FORM, b"json=" + quote('{"a":"x y+é"}').encode(), [{"a": "x y+é"}]),
    "a form that is not encoded": (FORM, 'json={"a":"é"}'.encode(), [{"a": "é"}]),
    "a form with signs": (FORM, b"json=" + quote('{"a":"=%+&\\n=\u00e9 =3D"}').encode(), [{"a": "=%+&\n=é =3D"}]),
    "a form with signs that are not encoded": (
        FORM,
        b'json={"a":"100%25 =","b":"5% %zz"}',
        [{"a": "100% =", "b": "5% %zz"}],
    ),
    "a form of lines": (FORM, b"ndjson=%7B%22a%22:1%7D%0A%7B%22a%22:2%7D", TWO),
    "a packed form": (FORM, b"msgpack=" + quote(msgpack.packb(TWO)).encode(), TWO),
    "several parts": ("multipart/form-data; boundary=b", MULTIPART, [{"a": "\r\né"}]),
    "nothing": (LINES, b"", []),
    "an empty array": (JSON, b"[]", []),
}


@pytest.mark.parametrize("name", BODIES)
async def test_bodies(name: str) -> None:
    """Each becomes its records, with the tag of the path."""
    kind, body, expected = BODIES[name]
    reply, running = await sent("", "/app.x/y%20z/", body, kind)
    assert (reply.status, reply.text, reply.content_type) == (200, "", "text/plain")
    assert running.found == expected
    assert running.tagged == expected


@pytest.mark.parametrize(
    ("conf", "target", "body", "times"),
    [
        ("", "/t?time=1293974055.123", b'{"time":5}', [1_293_974_055_123_000_000]),
        ("", "/t?time=1293974055.25", b'{"time":5}', [1_293_974_055_250_000_000]),
        ("", "/t", b'[{"time":1293974055},{"time":1293974055.5}]', [1293974055 * 10**9, 12939740555 * 10**8]),
        ("<parse>\ntime_key t\n</parse>", "/t", b'{"t":7,"time":1}', [7 * 10**9]),
        (
            "<parse>\ntime_format %iso8601\n</parse>",
            "/t",
            b'{"time":"2020-06-10T01:14:27+00:00"}',
            [1591751667 * 10**9],
        ),
        ("time_format %Y-%m-%d %z", "/t", b'{"time":"2020-06-10 +0000"}', [1591747200 * 10**9]),
        ("<parse>\n@type json\n</parse>", "/t", b'{"time":9,"a":1}', [9 * 10**9]),
        ("<parse>\n@type none\n</parse>", "/t?time=3", b"text", [3 * 10**9]),
    ],
)
async def test_times(conf: str, target: str, body: bytes, times: list[int]) -> None:
    """The parameter counts before the field, and the field before the clock."""
    reply, running = await sent(conf, target, body)
    assert (reply.status, running.times) == (200, times)


@pytest.mark.parametrize("target", ["/t", "/t?time=0", "/t?time=soon", "/t?time=1e999"])
async def test_the_time_of_now(target: str) -> None:
    """Where nothing says another."""
    _, running = await sent("", target, b'[{"a":1},{"time":null},{"time":false}]')
    (now,) = set(running.times)
    assert now > 1_600_000_000 * 10**9
    assert running.found == [{"a": 1}, {}, {}]


async def test_fields_that_are_kept() -> None:
    """By keep_time_key."""
    _, running = await sent("<parse>\nkeep_time_key true\n</parse>", "/t", b'{"time":5}')
    assert (running.found, running.times) == ([{"time": 5}], [5 * 10**9])


@pytest.mark.parametrize(
    ("parser", "body", "expected"),
    [
        (r"@type regexp" "\n" r"expression /^(?<a>\d+) (?<b>.*)$/", "1 é".encode(), [{"a": "1", "b": "é"}]),
        ("@type none", b"caf\xe9\n2", [{"message": b"caf\xe9\n2"}]),
        ("@type json", b'[{"a":1},{"a":2}]', TWO),
    ],
)
async def test_other_parsers(parser: str, body: bytes, expected: list[Any]) -> None:
    """A body is one text to them, whatever its type."""
    reply, running = await sent(f"<parse>\n{parser}\n</parse>", "/t", body, FORM)
    assert (reply.status, running.found) == (200, expected)


@pytest.mark.parametrize(
    ("kind", "body", "good", "bad"),
    [
        (LINES, b'{"a":1}\n{"a":\n5\n{"a":2}', TWO, [{"message": '{"a":'}, {"message": 5}]),
        (LINES, b'{"a":1}\n[1\n2]\n{},0,{}\n{"a":2}\n', TWO, [{"message": text} for text in ("[1", "2]", "{},0,{}")]),
        (JSON, b'[{"a":1},"x",{"a":2}]', TWO, [{"message": "x"}]),
        (JSON, b'[{"a":1},{"time":"soon","b":1},{"a":2}]', TWO, [{"b": 1, "time": "soon"}]),
        (PACKED, msgpack.packb([{"a": 1}, 7, {"a": 2}]), TWO, [{"message": 7}]),
        (JSON, b'[{"a":1},{"time":1%b},{"a":2}]' % (b"0" * 40), TWO, [{"time": 10**40}]),
        (JSON, b'[{"a":1},{"time":1e400},{"a":2}]', TWO, [{"time": float("inf")}]),
    ],
)
async def test_what_is_bad_does_not_cost_the_others(kind: str, body: bytes, good: Any, bad: Any) -> None:
    """It goes to `@ERROR`, under the same tag."""
    async with pipeline(SOURCE.format("")) as running:
        assert (await post(running, "/t", body, kind)).status == 200
        assert running.records() == good
        assert [(tag, record) for tag, _, record, _ in running.errors] == [("t", record) for record in bad]


async def test_many_bad_lines_are_few_error_events() -> None:
    """Whoever sends rubbish makes no more of them than it is worth."""
    async with pipeline(SOURCE.format("")) as running:
        await post(running, "/t", b'{"a":1}\n' + b"x\n" * 5000, LINES)
        assert len(running.errors) == 101
        assert len(running.errors[-1][2]["message"]) == 4900


REFUSED = {
    "no type": ("text/plain", b'{"a":1}', "'json', 'ndjson' or 'msgpack' parameter is required"),
    "no JSON": (JSON, b'{"a":1', "it is no JSON"),
    "no object": (JSON, b"5", "it is no object"),
    "no time": (JSON, b'{"time":"soon"}', "the time must be a number of seconds, not str"),
    "no MessagePack": (PACKED, b"\xc1", "it is no MessagePack"),
    "half of MessagePack": (PACKED, b"\x82\xa1a\x01\xa1", "middle of a value"),
    "an array of four billion": (PACKED, b"\xdd\xff\xff\xff\xff" * 20, "it is no MessagePack"),
    "nested too deep": (PACKED, b"\x91" * 100_000, "it is no MessagePack"),
    "JSON nested too deep": (JSON, b"[" * 100_000, "it is no JSON"),
    "too many fields": (FORM, b"&" * 2000, "more than 1000 parameters"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_requests_of_which_nothing_is_taken(name: str) -> None:
    """The client is told, in Fluentd's form; nothing else comes of it."""
    kind, body, why = REFUSED[name]
    reply, running = await sent("", "/t", body, kind)
    assert (reply.status, reply.content_type) == (400, "text/plain")
    assert reply.text.startswith("400 Bad Request\n")
    assert why in reply.text
    assert reply.text.count("\n") == 2
    assert (running.found, running.errors) == ([], [])
    assert why in running.said[0]


@pytest.mark.parametrize("conf", ["", "<parse>\n@type regexp\nexpression /^(?<a>a)$/\n</parse>"])
async def test_nothing_is_said_of_them_if_not_wanted(conf: str) -> None:
    """By dump_error_log, whatever reads bodies."""
    reply, running = await sent(f"dump_error_log false\n{conf}", "/t", b"x")
    assert (reply.status, running.said) == (400, [])


ENCODED = {
    "gzip": gzip.compress(b'{"a":1}'),
    "gzip, several members": gzip.compress(b'{"a"') + gzip.compress(b":1}"),
    "deflate": zlib.compress(b'{"a":1}'),
    "identity": b'{"a":1}',
}


@pytest.mark.parametrize("name", ENCODED)
async def test_encodings(name: str) -> None:
    """They are undone."""
    reply, running = await sent("", "/t", ENCODED[name], Content_Encoding=name.split(",", maxsplit=1)[0])
    assert (reply.status, running.found) == (200, [{"a": 1}])


@pytest.mark.parametrize(
    ("encoding", "body", "why"),
    [
        ("gzip", b"plain", "no gzip"),
        ("deflate", zlib.compress(b'{"a":1}')[:-5], "ends in the middle"),
        ("br", b"x", "must be gzip or deflate"),
        ("gzip", gzip.compress(b" " * 70_000, mtime=0), "larger than 65536 bytes"),
        ("gzip", gzip.compress(b"1", mtime=0) * 1001, "more than 1000 members"),
        ("gzip", gzip.compress(b"1", mtime=0) + b"\0", "no gzip"),
    ],
)
async def test_encodings_that_cannot_be_undone(encoding: str, body: bytes, why: str) -> None:
    """They are refused, and no more is made of them than the limit."""
    reply, _ = await sent("decompression_size_limit 64k", "/t", body, Content_Encoding=encoding)
    assert (reply.status, why in reply.text) == (400, True)


async def test_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What grows by far more than logs do is refused below the limit, and so is what is large only when read."""
    monkeypatch.setattr(content, "SMALL", 50_000)
    monkeypatch.setattr(records, "MOST_VALUES", 1000)
    rows = [(JSON, gzip.compress(b" " * 500_000), "larger than", "gzip")]
    rows += [(JSON, b"[" + b"{}," * 1000 + b"{}]", "more than 1000 values", "identity")]
    rows += [(PACKED, msgpack.packb([{}] * 1100), "more than 1000 values", "identity")]
    rows += [(LINES, b"\n" * 1100, "more than 1000 values", "identity")]
    rows += [(JSON, b"[" + b"1," * 1100 + b"1]", "more than 1000 values", "identity")]
    rows += [(PACKED, b"\x01" * 1100, "more than 1000 values", "identity")]
    async with pipeline(SOURCE.format("")) as running:
        for kind, body, why, encoding in rows:
            reply = await post(running, "/t", body, kind, Content_Encoding=encoding)
            assert (reply.status, why in reply.text) == (400, True)
        text = msgpack.packb({"a": "\u0400\u0401" * 2000})  # bytes of a text, which look like small maps
        assert (await post(running, "/t", text, PACKED)).status == 200
        assert len(running.records()) == 1
