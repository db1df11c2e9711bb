"""The endpoint: what is answered at which path, how, and what `<ssl>` means."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme

from logpipe import ConfigError
from logpipe.testing import Pipeline, check_listener, check_plugin, configure, drive, pipeline
from logpipe_prometheus.in_prometheus import Prometheus
from logpipe_prometheus.repeats import Repeats
from logpipe_prometheus.testing import Ask, Page
from tests.services.ports import adjacent_ports

COUNTING = """
<filter {x,y}>
@type prometheus
<metric>
name n_total
type counter
desc Events.
<labels>
a ${tag}
</labels>
</metric>
</filter>
<match **>
@type test
</match>
"""


def endpoint(conf: str = "", port: int = 0) -> str:
    """Return an endpoint, and a counter."""
    return f"<source>\n@type prometheus\nport {port}\n{conf}\n</source>\n{COUNTING}"


async def test_keeps_the_contract() -> None:
    """As any input."""
    await check_plugin(Prometheus, "port 0")


async def test_paths(ask: Ask) -> None:
    """Those of the settings, and no other; the content type is the format's."""
    async with pipeline(endpoint("metrics_path /mine\naggregated_metrics_path /all")) as running:
        await running.feed("x", {})
        page, every, none = await ask(running, "/mine"), await ask(running, "/all"), await ask(running, "/metrics")
        assert (page.status, every.status, none.status) == (200, 200, 404)
        assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "Content-Encoding" not in page.headers
        assert page.text == every.text
        assert page.of("n_total", "a") == {"x": 1}


async def test_where_it_listens(ask: Ask) -> None:
    """At `bind`, of which a name or an IPv6 address may stand in brackets."""
    async with drive(Prometheus, "port 0\nbind '[127.0.0.1]'") as running:
        assert (await ask(running)).status == 200
    with pytest.raises(ConfigError, match="is already used by"):
        async with pipeline(endpoint("bind 127.0.0.1", 1) + endpoint("bind 127.0.0.1", 1)):
            pass


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        (None, True),
        ("gzip;q=1.0,*;q=0.5", True),
        ("br, *", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("", False),
        ("x-gzip-not", False),
    ],
)
async def test_compressed_answers(accepted: str | None, *, is_packed: bool, ask: Ask) -> None:
    """For those who take them."""
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    async with drive(Prometheus, "port 0\ncontent_encoding gzip") as running:
        page = await ask(running, skip=() if headers else ("Accept-Encoding",), headers=headers)
        assert (page.headers.get("Content-Encoding") == "gzip") is is_packed


async def test_strangers() -> None:
    """Whoever connects, those who mean well are served."""
    port = adjacent_ports(1)

    async def works() -> None:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert response.status == 200

    async with drive(Prometheus, f"port {port}"):
        await check_listener(port, works, crowd=70)


@asynccontextmanager
async def workers(text: str, count: int) -> AsyncIterator[list[Pipeline]]:
    """Run a configuration as each of several workers does; here they share a process, and so what is counted."""
    async with AsyncExitStack() as stack:
        head = f"<system>\nworkers {count}\n</system>\n"
        yield [await stack.enter_async_context(pipeline(head + text, worker_id=worker)) for worker in range(count)]


async def test_all_workers_in_one_answer() -> None:
    """Each under its label; the families are in one piece."""
    port = adjacent_ports(3)
    async with workers(endpoint(port=port), 3) as running:
        for worker, each in enumerate(running):
            await each.feed("x", *({} for _ in range(worker + 1)))
        page = await ask_at(f"http://127.0.0.1:{port + 1}/aggregated_metrics")
        assert page.of("n_total", "worker_id") == {"0": 1, "1": 2, "2": 3}
        assert page.text.count("# TYPE n_total counter\n") == 1


async def test_a_worker_that_does_not_answer() -> None:
    """Half an answer would look like a whole one: it is an error, said once an hour."""
    port = adjacent_ports(2)
    text = "<system>\nworkers 2\n</system>\n" + endpoint(port=port)
    async with pipeline(text) as running:
        url = f"http://127.0.0.1:{port}/aggregated_metrics"
        assert [(await ask_at(url)).status for _ in range(3)] == [503] * 3
        (said,) = [text for text in running.log.texts("error") if "metrics of all workers" in text]
        assert "worker 1" in said


def test_errors_are_said_once_in_a_while() -> None:
    """By `ignore_error_log_interval`, or when they are others; the number of those left out is said."""
    said: list[str] = []
    now = [0.0]
    interval = configure(Prometheus, "ignore_error_log_interval 10s").ignore_error_log_interval
    repeats = Repeats(lambda text, *values: said.append(text % values), lambda: now[0], interval)
    for moment, problem in ((0, "a"), (1, "a"), (9, "a"), (10, "a"), (11, "b"), (12, "a")):
        now[0] = moment
        repeats("x: %s", OSError(problem))
    assert said == ["x: a", "x: a (2 more since the last message)", "x: b", "x: a"]


async def ask_at(url: str, context: ssl.SSLContext | None = None) -> Page:
    """Ask for a page."""
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context or True) as response:
        return Page(response.status, response.headers, await response.text())


def cert(folder: Path) -> tuple[Path, Path, ssl.SSLContext]:
    """Return a certificate, its key, and a context that trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return folder / "cert.pem", folder / "key.pem", context


SECTIONS = [
    "<transport tls>\ncert_path {}\nprivate_key_path {}\n</transport>",
    "<ssl>\nenable true\ncertificate_path {}\nprivate_key_path {}\n</ssl>",
]


@pytest.mark.parametrize("section", SECTIONS)
async def test_tls(section: str, tmp_path: Path) -> None:
    """By either section; the workers of one program speak it among themselves."""
    certificate, key, context = cert(tmp_path)
    port = adjacent_ports(2)
    text = endpoint(section.format(certificate, key), port)
    async with workers(text, 2) as (first, second):
        await first.feed("x", {})
        await second.feed("y", {})
        page = await ask_at(f"https://127.0.0.1:{port}/aggregated_metrics", context)
        assert page.of("n_total", "worker_id") == {"0": 1, "1": 1}


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("port 65536", "port must be from 0"),
        ("metrics_path metrics", "begins with /"),
        ("metrics_path /aggregated_metrics", "must differ"),
        ("<ssl>\nenable true\ncertificate_path c\n</ssl>", "both"),
        ("<ssl>\nenable true\ncertificate_path c\nprivate_key_path k\nextra_conf {}\n</ssl>", "extra_conf"),
        ("<transport udp>\n</transport>", "tcp or tls"),
        (
            "<ssl>\nenable true\ncertificate_path c\nprivate_key_path k\n</ssl>\n"
            "<transport tls>\ncert_path c\nprivate_key_path k\n</transport>",
            "say the same",
        ),
    ],
)
def test_what_is_refused(conf: str, said: str) -> None:
    """Each with what to do."""
    with pytest.raises(ConfigError, match=said):
        configure(Prometheus, conf)
