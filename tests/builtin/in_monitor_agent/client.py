"""Asks a running monitor_agent over real connections."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import aiohttp

from logpipe import Record
from logpipe.testing import Pipeline

ANY_PORT = "<source>\n@type monitor_agent\n@id monitor\nbind 127.0.0.1\nport 0\n{}\n</source>\n"
COLLECT = "<match app>\n@type test\n</match>\n"


class Reply(NamedTuple):
    """What came back."""

    status: int
    content_type: str
    text: str

    @property
    def document(self) -> Any:
        """The body as JSON."""
        assert self.content_type == "application/json"
        return json.loads(self.text)


def source(conf: str = "") -> str:
    """Return a source that listens on a free port."""
    return ANY_PORT.format(conf)


def port(running: Pipeline) -> int:
    """Return the port that was taken, by the log."""
    said = (re.search(r"listening at http://127\.0\.0\.1:(\d+)/", text) for text in running.log.texts("info"))
    return next(int(found[1]) for found in said if found)


async def ask(place: Pipeline | int, path: str, *, method: str = "GET") -> Reply:
    """Ask for a path."""
    number = place if isinstance(place, int) else port(place)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{number}{path}") as response,
    ):
        return Reply(response.status, response.headers["Content-Type"], await response.text())


async def plugins(running: Pipeline, query: str = "") -> dict[str, Record]:
    """Return the plugins of /api/plugins.json by their ids."""
    found = (await ask(running, f"/api/plugins.json{query}")).document["plugins"]
    return {plugin["plugin_id"]: plugin for plugin in found}
