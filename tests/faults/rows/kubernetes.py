"""Rows 42 to 44: the API server that pods' metadata come from."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from logpipe_kubernetes.testing import FakeApiServer, namespace, pod
from tests.faults import texts
from tests.faults.logs import Log
from tests.faults.row import row
from tests.faults.rows.content import JsonReader, json_entry
from tests.faults.trial import Lab, Trial
from tests.services.in_thread import in_thread

LINES: Final = 100
ID: Final = "e4b0" * 16
ON_NODE: Final = {"K8S_NODE_NAME": "node-1"}


class Api:
    """An API server in a thread of its own.

    Attributes:
        server: to look at; changes go through `do`.
    """

    def __init__(self, server: FakeApiServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self._loop = loop

    def do(self, what: Callable[..., object], *arguments: object, **named: object) -> None:
        """Call one of the server's methods in its thread."""

        async def call() -> None:
            what(*arguments, **named)

        asyncio.run_coroutine_threadsafe(call(), self._loop).result()


@contextlib.asynccontextmanager
async def _served() -> AsyncIterator[Api]:
    async with FakeApiServer() as server:
        api = Api(server, asyncio.get_running_loop())
        yield api
        server.recover()


@contextlib.contextmanager
def _api(trial: Trial) -> Iterator[Api]:
    """Give a trial an API server that knows one namespace and one pod."""
    with in_thread(_served) as api:
        trial.read = JsonReader(trial, []).read
        api.do(api.server.put, namespace("shop"), pod("web-1", labels={"app": "web"}, containers={"web": ID}))
        yield api


FAILURES: Final[Mapping[str, Mapping[str, Any]]] = {
    "500": {"status": 500},
    "403": {"status": 403},
    "401": {"status": 401},
    "410": {"status": 410},
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "truncated JSON": {"status": 200, "body": b'{"kind":"Pod","metadata":{"na'},
}


@row(42, "the API is down, slow, refuses, answers 410, 429 and rubbish; a watch dies")
def api_failures(lab: Lab) -> None:
    """Lines go on with what the file's name tells, the API is left in peace, and metadata come when it is back."""
    for name, failure in list(FAILURES.items())[:: 1 if not lab.short else 2]:
        with lab.trial(f"API: {name}") as trial, _api(trial) as api:
            api.do(api.server.fail, "", **failure)
            _goes_on(trial, api, name)
    with lab.trial("API: silent") as trial, _api(trial) as api:
        api.do(api.server.hang, "")
        _goes_on(trial, api, "silent")
    with lab.trial("API: the watch") as trial, _api(trial) as api:
        log = _log(trial)
        logpipe = trial.start(_text(trial, api), environment=ON_NODE)
        log.write(LINES)
        trial.wait_for_all()
        trial.wait(lambda: api.server.watchers, "a watch")
        for kind, wound in _wounds(api.server).items():
            api.do(wound)
            trial.fired(kind)
            log.write(LINES)
            trial.wait_for_all()
            trial.wait(lambda: api.server.watchers, "a watch again")
        assert api.server.count("LIST") < 20, f"{api.server.count('LIST')} lists"
        trial.end(logpipe)


def _wounds(server: FakeApiServer) -> dict[str, Callable[[], object]]:
    return {
        "the watch ended": server.end_watches,
        "truncated JSON in the watch": partial(server.say, b'{"type":"ADDED","object":{"ki\n'),
        "versions expired": lambda: (server.expire_versions(), server.end_watches()),
    }


def _goes_on(trial: Trial, api: Api, name: str) -> None:
    log = _log(trial)
    logpipe = trial.start(_text(trial, api))
    began = time.monotonic()
    for _ in range(5):
        log.write(LINES)
        trial.wait_for_all()
    trial.fired(name, when=api.server.requests)
    most = 10 + (time.monotonic() - began) * 5
    assert len(api.server.requests) < most, f"{len(api.server.requests)} requests for one pod"
    api.do(api.server.recover)
    if not trial.short:  # it asks again after pauses that grow
        _enriched_in_time(trial, log)
    trial.end(logpipe)


def _enriched_in_time(trial: Trial, log: Log) -> None:
    """Write until lines have what only the API knows."""

    def has_labels() -> bool:
        log.write(5)
        trial.wait_for_all()
        return "labels" in _last(trial)["kubernetes"]

    trial.wait(has_labels, "metadata, now that the API answers", seconds=120)


@row(43, "a pod deleted before its log is read, or made again with the same name")
def pods_made_again(lab: Lab) -> None:
    """Lines carry what is known of their own pod, not of the one that has its name now."""
    with lab.trial("pods made again") as trial, _api(trial) as api:
        log = _log(trial)
        logpipe = trial.start(_text(trial, api), environment=ON_NODE)
        trial.wait(lambda: api.server.watchers, "a watch")
        log.write(LINES)
        trial.wait_for_all()
        api.do(api.server.delete_pod, "web-1")
        trial.fired("deleted")
        log.write(LINES)
        trial.wait_for_all()
        assert _last(trial)["kubernetes"]["pod_name"] == "web-1"
        other = "ab12" * 16
        api.do(api.server.put, pod("web-1", uid="uid-of-the-next", labels={"app": "next"}, containers={"web": other}))
        trial.fired("made again")
        new = _log(trial, container=other)
        new.write(LINES)
        trial.wait_for_all()
        log.write(LINES)
        trial.wait_for_all()
        assert _last(trial)["kubernetes"].get("pod_id") != "uid-of-the-next", "a line carries the other pod's metadata"
        trial.end(logpipe)


@row(44, "10,000 pods, a flood of events")
def flood_of_events(lab: Lab) -> None:
    """Memory is bounded by the node's own pods, and lines go on."""
    with lab.trial("a flood of events") as trial, _api(trial) as api:
        many = [pod(f"p-{number}", node=f"node-{number % 700 + 2}") for number in range(lab.repeat(10_000, few=1_000))]
        api.do(api.server.put, *many)
        log = _log(trial)
        logpipe = trial.start(_text(trial, api), environment=ON_NODE)
        trial.wait(lambda: api.server.watchers, "a watch")
        for number in range(lab.repeat(40, few=10)):
            mine = [pod(f"web-{n}", labels={"round": str(number)}, containers={"web": ID}) for n in range(1, 101)]
            api.do(api.server.put, *mine)
            log.write(LINES)
            trial.fired("flood")
        trial.wait_for_all()
        trial.end(logpipe)


def _log(trial: Trial, *, container: str = ID) -> Log:
    name = f"app-{container[:4]}"
    path = trial.folder / f"logs/var/log/containers/web-1_shop_web-{container}.log"
    return trial.log(name, path=path, entry=json_entry)


def _last(trial: Trial) -> dict[str, Any]:
    """Return the record that arrived last."""
    found: dict[str, Any] = json.loads((trial.folder / "out/out.log").read_text().splitlines()[-1])
    return found


def _text(trial: Trial, api: Api) -> str:
    metadata = f"""\
<filter kubernetes.**>
  @type kubernetes_metadata
  kubernetes_url {api.server.url}
  open_timeout 1
  read_timeout 1
</filter>
"""
    parse = "@type json\ntime_key none"
    source = texts.tail(trial.folder, path="var/log/containers/*.log", parse=parse, tag="kubernetes.*")
    output = texts.to_file(trial.folder, tag="kubernetes.**").replace("@type single_value", "@type json")
    return source + metadata + output
