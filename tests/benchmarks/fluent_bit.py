"""The same work done by Fluent Bit, where FLUENT_BIT names its binary: `fluent_bit.report` stands beside our own rows.

Its whole process is counted, from when it listens until it has given on what it was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import aiohttp

from tests.benchmarks import forward, messages, posting
from tests.benchmarks.files import write_access_log
from tests.benchmarks.measure import FailedError
from tests.services.ports import adjacent_ports

PATIENCE = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")

SERVICE = """
[SERVICE]
    Flush 0.2
    Log_Level error
    HTTP_Server On
    HTTP_Listen 127.0.0.1
    HTTP_Port {control}
    Parsers_File {folder}/parsers
"""
PARSERS = r"""
[PARSER]
    Name nginx
    Format regex
    Regex ^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")
    Time_Key time
    Time_Format %d/%b/%Y:%H:%M:%S %z
[PARSER]
    Name syslog
    Format regex
    Regex ^\<(?<pri>[0-9]+)\>(?<time>[^ ]* {1,2}[^ ]* [^ ]*) (?<host>[^ ]*) (?<ident>[a-zA-Z0-9_\/\.\-]*)(?:\[(?<pid>[0-9]+)\])?(?:[^\:]*\:)? *(?<message>.*)$
    Time_Key time
    Time_Format %b %d %H:%M:%S
"""  # noqa: E501
NULL = "[OUTPUT]\n    Name null\n    Match *\n"
FORWARD = "[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n"
INPUTS = {
    "http": "[INPUT]\n    Name http\n    Listen 127.0.0.1\n    Port {port}\n    Successful_Response_Code 200\n"
    "    Buffer_Max_Size 8M\n",
    "syslog": "[INPUT]\n    Name syslog\n    Mode udp\n    Listen 127.0.0.1\n    Port {port}\n    Parser syslog\n"
    "    Receive_Buffer_Size 4M\n",
    "tail": "[INPUT]\n    Name tail\n    Path {folder}/access.log\n    Read_from_Head On\n    Parser nginx\n",
}
RELAY = """
[OUTPUT]
    Name forward
    Match *
    Host 127.0.0.1
    Port {receiver}
    Require_ack_response True
"""
JSON_FILE = "[OUTPUT]\n    Name file\n    Match *\n    Path {folder}\n    File out\n    Format plain\n"


def report(*, lines: int = 300_000) -> list[str]:
    """Run everything once and return the figures as lines of text; nothing where there is no Fluent Bit."""
    if not os.environ.get("FLUENT_BIT"):
        return []
    return asyncio.run(_report(lines))


async def _report(lines: int) -> list[str]:
    count = max(1, lines // posting.LINES)
    packed = forward.messages()["packed, 1,000 a message"]
    rows = ["the same by Fluent Bit, events/CPU s"]

    def row(what: str, seconds: float, events: int) -> None:
        sys.stderr.write(f"Fluent Bit: {what}\n")
        rows.append(f"  {what}: {events / seconds:,.0f}")

    async with _running(FORWARD + NULL) as (bit, port, _):
        row("forward, packed, to null", await bit.cost(_sent(packed, port, count), count * 1000), count * 1000)
    receiver = await asyncio.create_subprocess_exec(sys.executable, "-c", forward.RECEIVER, stdout=PIPE)
    assert receiver.stdout is not None
    to = int(await receiver.stdout.readline())
    try:
        async with _running(FORWARD + RELAY.replace("{receiver}", str(to))) as (bit, port, _):
            row("forward, packed, and on", await bit.cost(_sent(packed, port, count), count * 1000), count * 1000)
    finally:
        receiver.kill()
        await receiver.wait()
    async with _running(INPUTS["http"] + NULL) as (bit, port, _):
        work = asyncio.to_thread(posting.post, port, count, "application/json")
        row("lines of JSON over HTTP to null", await bit.cost(work, count * posting.LINES), count * posting.LINES)
    async with _running(INPUTS["syslog"] + NULL) as (bit, port, _):
        work = asyncio.to_thread(messages.send, port, lines, lambda: bit.given_on)
        row("syslog over UDP to null", await bit.cost(work, lines), lines)
    async with _running(INPUTS["tail"] + JSON_FILE, lines=lines) as (bit, _, _):
        row("an access log of nginx to a file of JSON", await bit.cost(asyncio.sleep(0), lines, began=0.0), lines)
    return rows


async def _sent(message: bytes, port: int, count: int) -> None:
    sender = await asyncio.create_subprocess_exec(
        sys.executable, "-c", forward.SENDER, str(port), str(count), stdin=PIPE, stdout=DEVNULL
    )
    await sender.communicate(message)


class _FluentBit:
    def __init__(self, process: Process, http: aiohttp.ClientSession, control: int) -> None:
        self._process = process
        self._http = http
        self._url = f"http://127.0.0.1:{control}/api/v1/metrics"
        self.given_on = 0

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    async def ask(self) -> bool:
        """Find out how much it has given on; returns whether it has answered."""
        try:
            async with self._http.get(self._url) as answer:
                outputs = (await answer.json(content_type=None))["output"]
        except (aiohttp.ClientError, TypeError, ValueError):  # it is not there yet, or has counted nothing
            return False
        self.given_on = max((each["proc_records"] for each in outputs.values()), default=0)
        return True

    async def cost(self, work: Coroutine[Any, Any, None], events: int, *, began: float | None = None) -> float:
        """Return the CPU seconds until so many events were given on, which some work brings.

        Raises:
            FailedError: they were not.
        """
        before = self.cpu_seconds() if began is None else began
        try:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                group.create_task(work)
                while self.given_on < events:
                    await self.ask()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise FailedError(f"Fluent Bit has given on {self.given_on} of {events} events") from None
        return self.cpu_seconds() - before


@contextlib.asynccontextmanager
async def _running(text: str, *, lines: int = 0) -> AsyncIterator[tuple[_FluentBit, int, Path]]:
    """Yield it, its port and its folder."""
    with tempfile.TemporaryDirectory(prefix="logpipe-fluent-bit-") as name:
        folder = Path(name)
        port = adjacent_ports(2)
        (folder / "parsers").write_text(PARSERS)
        if lines:
            write_access_log(folder / "access.log", lines)
        whole = (SERVICE + text).format(folder=folder, port=port, control=port + 1)
        (folder / "conf").write_text(whole)
        process = await asyncio.create_subprocess_exec(
            os.environ["FLUENT_BIT"], "-c", folder / "conf", stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            async with aiohttp.ClientSession() as http:
                bit = _FluentBit(process, http, port + 1)
                async with asyncio.timeout(PATIENCE):
                    while not await bit.ask():
                        await asyncio.sleep(0.05)
                yield bit, port, folder
        finally:
            process.kill()
            await process.wait()
