"""Events that become log events: where they go, what is in them, and what becomes of them; a server in any mood."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.net import AwsCredentials
from logpipe.testing import (
    Mood,
    build,
    check_output_against_peer,
    check_output_over_reload,
    check_plugin,
    configure,
    drive,
    wait_for,
)
from logpipe_aws.out_cloudwatch_logs import CloudwatchLogsOutput
from logpipe_aws.testing import LogsPeer, fault
from tests.net.test_aws_keys import Aws

NOON = 1_704_110_400_000
"""2024-01-01T12:00:00Z, in milliseconds."""
HOUR = 3_600_000
FAST = "flush_mode immediate\nretry_wait 0.01\nretry_max_interval 0.02"
SMALL = "flush_mode immediate\nretry_wait 0.1\nretry_max_interval 0.2\nchunk_limit_size 200k\ntotal_limit_size 1m"
PLACE = "log_group_name g\nlog_stream_name s"
MADE = "auto_create_stream true"


def settings(logs: LogsPeer, conf: str, buffer: str = "", more: str = FAST) -> str:
    """The body of a section that sends to the peer."""
    to = f"region eu-west-1\nendpoint http://127.0.0.1:{logs.port}\naws_key_id k\naws_sec_key s"
    return f"{to}\n{conf}\n<buffer {buffer}>\n{more}\n</buffer>"


async def sent(
    logs: LogsPeer,
    conf: str,
    *records: dict[str, Any],
    times: list[int] | None = None,
    buffer: str = "",
    tag: str = "app.web",
) -> Any:
    """Feed records as one chunk and wait until it is dealt with; return the pipeline's trace."""
    moments = [NOON + place for place in range(len(records))] if times is None else times
    async with drive(CloudwatchLogsOutput, settings(logs, conf, buffer)) as running:
        await running.feed(tag, *records, times=[time * 1_000_000 for time in moments])
        await running.flush()
    return running


def messages(logs: LogsPeer, group: str = "g", stream: str = "s") -> list[str]:
    """What a stream holds."""
    return [message for _, message in logs.events[group, stream]]


def refused(running: Any) -> list[int]:
    """The numbers of the events that went to `@ERROR`."""
    return sorted(record["n"] for _, _, record, _ in running.errors)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the plugin's says how long to wait for an answer."""
    monkeypatch.setattr("logpipe_aws.cloudwatch.logs._SECONDS", 1)


@pytest.mark.slow("each mood is gone through twice, and silence is waited for")
@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("mood", sorted(LogsPeer.moods, key=lambda mood: mood.name))
async def test_a_server_in_a_mood(mood: Mood, logs: LogsPeer) -> None:
    """Nothing is lost, all is delivered in the end, it stops in time, and what waits is bounded."""
    conf = settings(logs, PLACE, more=SMALL)
    await check_output_against_peer(CloudwatchLogsOutput, conf, logs, mood, most_bytes=2 * 1024 * 1024)


@pytest.mark.usefixtures("_impatient")
async def test_a_server_that_is_away_at_the_start_and_in_a_reload(logs: LogsPeer) -> None:
    """Nothing is lost, and nothing is given up."""
    await check_output_over_reload(CloudwatchLogsOutput, settings(logs, PLACE, more=SMALL), logs)


async def test_its_promises() -> None:
    """Those of every plugin."""
    await check_plugin(CloudwatchLogsOutput, PLACE)


async def test_a_request(logs: LogsPeer) -> None:
    """It is signed, and one for a chunk; nothing is looked up before."""
    await sent(logs, PLACE, {"n": 1}, {"n": 2, "empty": ""})
    assert logs.actions() == ["PutLogEvents"]
    assert logs.puts == [[(NOON, '{"n":1}'), (NOON + 1, '{"n":2}')]]
    (request,) = logs.requests
    assert re.match(
        r"AWS4-HMAC-SHA256 Credential=k/\d{8}/eu-west-1/logs/aws4_request", request.headers["Authorization"]
    )
    assert request.headers["Content-Type"] == "application/x-amz-json-1.1"


NAMED = [
    ("use_tag_as_group true\nuse_tag_as_stream true", "", ("app.web", "app.web"), '{"g":"G","s":"S","n":1}'),
    ("log_group_name a/${tag[1]}\nlog_stream_name %Y-${tag}", "tag,time", ("a/web", "2024-app.web"), None),
    ("log_group_name_key g\nlog_stream_name_key s", "", ("G", "S"), '{"g":"G","s":"S","n":1}'),
    (
        "log_group_name_key g\nlog_stream_name_key s\nremove_log_group_name_key true\nremove_log_stream_name_key true",
        "",
        ("G", "S"),
        '{"n":1}',
    ),
]


@pytest.mark.parametrize(("conf", "buffer", "where", "message"), NAMED)
async def test_where_events_go(
    logs: LogsPeer, conf: str, buffer: str, where: tuple[str, str], message: str | None
) -> None:
    """By name, tag or field; what is not there is made."""
    conf = f"{MADE}\n{conf}"
    text = settings(logs, conf, buffer, f"{FAST}\ntimekey 1d\ntimekey_use_utc true")
    async with drive(CloudwatchLogsOutput, text) as running:
        await running.feed("app.web", {"g": "G", "s": "S", "n": 1}, times=[NOON * 1_000_000])
        await running.flush()
    assert messages(logs, *where) == [message or '{"g":"G","s":"S","n":1}']
    assert logs.actions() == ["PutLogEvents", "CreateLogStream", "CreateLogGroup", "CreateLogStream", "PutLogEvents"]


async def test_a_group_that_is_made(logs: LogsPeer) -> None:
    """With tags and retention, of the settings or of the first event for it."""
    conf = f"{MADE}\nlog_group_name_key g\nlog_stream_name s"
    own = 'log_group_aws_tags {"who":"${tag}"}\nretention_in_days 7'
    await sent(logs, f"{conf}\n{own}", {"g": "a"}, buffer="tag")
    keys = "log_group_aws_tags_key t\nretention_in_days_key r"
    await sent(logs, f"{conf}\n{keys}", {"g": "b", "t": {"x": 1}, "r": 14}, {"g": "b", "t": {"y": 2}, "r": 1})
    removed = "remove_log_group_aws_tags_key true\nremove_retention_in_days_key true"
    await sent(logs, f"{conf}\n{keys}\n{removed}", {"g": "c", "t": {"x": "z"}, "r": "none"})
    assert [(made.get("tags"), made.get("retentionInDays")) for made in logs.groups.values()][1:] == [
        ({"who": "app.web"}, 7),
        ({"x": "1"}, 14),
        ({"x": "z"}, None),
    ]
    assert messages(logs, "b") == ['{"g":"b","t":{"x":1},"r":14}', '{"g":"b","t":{"y":2},"r":1}']
    assert messages(logs, "c") == ['{"g":"c"}']


async def test_a_retention_that_is_refused(logs: LogsPeer) -> None:
    """Is told, and no more."""
    logs.answers["PutRetentionPolicy"] = [fault("InvalidParameterException")]
    running = await sent(logs, f"{MADE}\nlog_group_name x\nlog_stream_name s\nretention_in_days 2", {"n": 1})
    assert messages(logs, "x") == ['{"n":1}']
    assert any("failed to set retention policy for Log group 'x'" in text for text in running.log.texts("warning"))


async def test_what_is_not_there_and_not_made(logs: LogsPeer) -> None:
    """Is waited for: the plugin throws its events away."""
    logs.events.clear()
    async with drive(CloudwatchLogsOutput, settings(logs, PLACE)) as running:
        await running.feed("app", {"n": 1})
        said = "The specified log stream does not exist."
        await wait_for(lambda: any(said in text for text in running.log.texts("warning")), "it to be said")
        logs.events["g", "s"] = []
        await running.flush()
    assert messages(logs) == ['{"n":1}']


MESSAGES = [
    ("message_keys a,b,c", {"a": "x", "b": 1, "d": 2}, "x 1"),
    ("message_keys a\nmax_message_length 3", {"a": "äöüß"}, "äöü"),
    ("<format>\n@type ltsv\n</format>", {"a": 1, "b": ""}, "a:1\n"),
    ("<inject>\ntag_key t\n</inject>", {"a": 1}, '{"a":1,"t":"app.web"}'),
    ("", {"a": b"\xff\x41"}, '{"a":"\ufffdA"}'),
]


@pytest.mark.parametrize(("conf", "record", "expected"), MESSAGES)
async def test_messages(logs: LogsPeer, conf: str, record: dict[str, Any], expected: str) -> None:
    """As the settings say."""
    await sent(logs, f"{PLACE}\n{conf}", record)
    assert messages(logs) == [expected]


async def test_an_event_without_a_message(logs: LogsPeer) -> None:
    """Is thrown away, as in the plugin."""
    await sent(logs, f"{PLACE}\nmessage_keys a", {"b": 1}, {"a": "x"})
    assert messages(logs) == ["x"]


async def test_limits_of_a_request(logs: LogsPeer) -> None:
    """Events are in the order of their times, of less than a day, so many and so large."""
    times = [NOON + 13 * HOUR, NOON, NOON - 13 * HOUR, NOON + 1]
    await sent(logs, PLACE, *({"n": n} for n in range(4)), times=times)
    assert sorted(logs.puts) == [
        [(NOON - 13 * HOUR, '{"n":2}')],
        [(NOON, '{"n":1}'), (NOON + 1, '{"n":3}')],
        [(NOON + 13 * HOUR, '{"n":0}')],
    ]
    logs.puts.clear()
    await sent(logs, f"{PLACE}\nmax_events_per_batch 2", *({"n": n} for n in range(5)))
    assert [len(put) for put in logs.puts] == [2, 2, 1]
    logs.puts.clear()
    running = await sent(logs, PLACE, *({"n": n, "text": "x" * (400_000 if n else 1_048_560)} for n in range(4)))
    assert [len(put) for put in logs.puts] == [2, 1]
    assert refused(running) == [0]


async def test_what_is_rejected(logs: LogsPeer) -> None:
    """Becomes dead letters, each with the reason, by its place among the sorted."""
    logs.rejected = {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 3}
    times = [NOON + 3, NOON + 2, NOON + 1, NOON]
    running = await sent(logs, f"{PLACE}\nlog_rejected_request true", *({"n": n} for n in range(4)), times=times)
    assert refused(running) == [0, 3]
    reasons = {record["n"]: str(error) for _, _, record, error in running.errors}
    assert "in the future" in reasons[0]
    assert "older" in reasons[3]
    assert messages(logs) == ['{"n":2}', '{"n":1}']
    assert any("tooOldLogEventEndIndex" in text for text in running.log.texts("warning"))


async def test_answers(logs: LogsPeer) -> None:
    """What passes is tried again, what was taken is not sent again, and an event to blame is found."""
    logs.answers["PutLogEvents"] = [
        fault("ThrottlingException"),
        fault("ExpiredTokenException"),
        fault("AccessDeniedException"),
        fault("ServiceUnavailableException", 500),
    ]
    assert not (await sent(logs, PLACE, {"n": 1})).errors
    assert messages(logs) == ['{"n":1}']
    logs.answers["PutLogEvents"] = [fault("DataAlreadyAcceptedException")]
    assert not (await sent(logs, PLACE, {"n": 2})).errors
    assert messages(logs) == ['{"n":1}']
    logs.mood = Mood.REFUSING_ONE
    running = await sent(logs, PLACE, *({"n": n, "refuse": n == 5} for n in range(3, 8)))
    assert refused(running) == [5]
    assert len(messages(logs)) == 5


@pytest.mark.parametrize("value", ["", "a:b", "x" * 513, "a b", None, {"a": 1}, b"\xff"])
async def test_what_events_say(logs: LogsPeer, value: Any) -> None:
    """Who names no group is refused alone, without a request."""
    conf = f"{MADE}\nlog_group_name_key g\nlog_stream_name s"
    running = await sent(logs, conf, {"n": 1, "g": value}, {"n": 2, "g": "g"})
    assert refused(running) == [1]
    assert len(messages(logs)) == 1
    assert logs.actions() == ["PutLogEvents"]


KEYS = [
    ("aws_key_id k\naws_sec_key s", "k"),
    ("", "env"),
    (
        "aws_use_sts true\naws_sts_role_arn arn:r\naws_sts_session_name me\naws_sts_external_id x\naws_sts_policy {}\n"
        "aws_sts_duration_seconds 15m\naws_sts_endpoint_url http://127.0.0.1:PORT",
        "AssumeRole",
    ),
    (
        "<web_identity_credentials>\nrole_arn arn:r\nrole_session_name me\nweb_identity_token_file FILE\npolicy {}\n"
        "duration_seconds 15m\n</web_identity_credentials>",
        "AssumeRoleWithWebIdentitytok",
    ),
    ("aws_ecs_authentication true", ""),
]


@pytest.mark.parametrize(("conf", "expected"), KEYS)
async def test_whose_keys(conf: str, expected: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of the settings counts."""
    (tmp_path / "token").write_text("tok")
    async with Aws().serving() as aws:
        at = f"http://127.0.0.1:{aws.port}"
        around = {"ACCESS_KEY_ID": "env", "SECRET_ACCESS_KEY": "s", "ENDPOINT_URL_STS": at}
        for name, text in {**around, "CONTAINER_CREDENTIALS_FULL_URI": f"{at}/container"}.items():
            monkeypatch.setenv(f"AWS_{name}", text)
        conf = conf.replace("PORT", str(aws.port)).replace("FILE", str(tmp_path / "token"))
        options: Any = configure(CloudwatchLogsOutput, f"{PLACE}\n{conf}")
        found: AwsCredentials = await options.keys("eu-west-1", lambda: NOON * 1_000_000).current()
    assert found.access_key == expected
    for request in aws.requests if "role_arn" in conf else ():
        asked = request.body.decode()
        assert all(part in asked for part in ("RoleSessionName=me", "Policy=%7B%7D", "DurationSeconds=900"))
        assert ("ExternalId=x" in asked) == ("external_id" in conf)


async def test_where_it_is(logs: LogsPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region says it, or an endpoint; a proxy may be on the way. Without a region it does not start."""
    rows = {"region eu-west-1": "https://logs.eu-west-1.amazonaws.com/", "endpoint https://vpce.x": "https://vpce.x/"}
    for conf, url in rows.items():
        (peer,) = await build(CloudwatchLogsOutput, f"{PLACE}\n{conf}").peers()
        assert peer.name == url
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(Exception, match="there is no region"):
        await build(CloudwatchLogsOutput, PLACE).start()
    proxy = f"http_proxy http://127.0.0.1:{logs.port}\nendpoint http://logs.invalid\nssl_verify_peer false"
    conf = settings(logs, PLACE).replace(f"endpoint http://127.0.0.1:{logs.port}", proxy)
    async with drive(CloudwatchLogsOutput, conf) as running:
        await running.feed("app", {"n": 1})
        await running.flush()
    assert messages(logs) == ['{"n":1}']
    assert json.loads(logs.requests[0].body)["logGroupName"] == "g"


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("log_stream_name s", "Set only one of log_group_name, use_tag_as_group and log_group_name_key"),
        (f"{PLACE}\nuse_tag_as_stream true", "Set only one of log_stream_name, use_tag_as_stream"),
        (f"{PLACE}\nretention_in_days 1\nretention_in_days_key k", "Set only one of retention_in_days"),
        (f"{PLACE}\nmax_events_per_batch 10001", "from 1 to 10000"),
    ],
)
def test_what_cannot_be_used(conf: str, said: str) -> None:
    """The settings say why."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        configure(CloudwatchLogsOutput, conf)
