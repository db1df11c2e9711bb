"""Replies as aiohttp has them."""

from __future__ import annotations

from aiohttp import web

from logpipe.net.http.messages import Reply


def response(reply: Reply, marks: dict[str, str], *, close: bool) -> web.Response:
    """Return a reply as the library has it."""
    headers = {
        "Content-Type": reply.content_type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "logpipe",
        **marks,
        **reply.headers,
    }
    answer = web.Response(body=reply.body, status=reply.status, headers=headers)
    if close:
        answer.force_close()
    return answer
