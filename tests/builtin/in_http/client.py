"""Posts to a running in_http over real connections."""

from __future__ import annotations

import re
from typing import NamedTuple

import aiohttp
from yarl import URL

from logpipe.testing import Pipeline

SOURCE = (
    "<source>\n@type http\nbind 127.0.0.1\nport 0\n{}\n</source>\n<match **>\n@type test\n</match>\n"
    "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"
)


class Reply(NamedTuple):
    """What came back."""

    status: int
    text: str
    content_type: str
    headers: dict[str, str]


def port(running: Pipeline) -> int:
    """Return the port that was taken, by the log."""
    said = (re.search(r"listening at https?://127\.0\.0\.1:(\d+)", text) for text in running.log.texts("info"))
    return next(int(found[1]) for found in said if found)


async def post(
    place: Pipeline | int,
    target: str,
    body: bytes | str = b"",
    kind: str = "application/json",
    *,
    method: str = "POST",
    **headers: str,
) -> Reply:
    """Send one request; `X_A` in the arguments is the header X-A."""
    number = place if isinstance(place, int) else port(place)
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    url = URL(f"http://127.0.0.1:{number}{target}", encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=body, headers={"Content-Type": kind, **named}) as response,
    ):
        text = (await response.read()).decode("latin-1")
        return Reply(response.status, text, response.headers.get("Content-Type", ""), dict(response.headers))
