"""A request from its tag to its answer."""

from __future__ import annotations

import asyncio
import re
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from logpipe import EventBatch, Input, InputHost, LogpipeError, ParseError, Receipt, Record
from logpipe.builtin.in_http.content import RefusedError, form, parameters, unpacked
from logpipe.builtin.in_http.options import HttpOptions, InHttpParseOptions
from logpipe.builtin.in_http.origins import TEXT, Origins
from logpipe.builtin.in_http.records import Found, Timer, found_by, found_in, seconds, time_of_parameter, timed
from logpipe.codec import compile_typed_parser, text_or_bytes
from logpipe.net import ANY, Address, HttpLimits, HttpServer, Reply, Request, Route, Seldom

METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
"""Of these in_http.rb takes all that is neither GET nor OPTIONS for POST."""
LONGEST_TAG: Final = 1_024
_TAG: Final = re.compile(r"[!-~]*")
_SHOWN: Final = 200
_LARGE: Final = 256 * 1024
"""Bytes of a body that is read in a thread, so that others get a turn."""
_LINE: Final = 32 * 1024
"""Bytes of a request's line, where events may stand in parameters, and of each header."""
_SLOWEST: Final = 256 * 1024
"""Bytes a second at which a body may come, on average."""
_GIF: Final = bytes.fromhex("4749463839610100010080ff00ffffff0000002c00000000010001000002024401003b")
_TOO_LARGE: Final = Reply(b"Too large", TEXT, 413)
_DEFAULTS: Final = HttpLimits()


class HttpInput(Input[HttpOptions], type="http"):
    """Takes events from requests: the path is the tag, the body JSON, lines of JSON, MessagePack or a form.

    A record that is bad goes to `@ERROR`, and the others of its request go on; a request of which nothing can be read
    is answered with 400. While outputs take nothing, requests wait.
    """

    several_workers = True
    listens = "send events"
    protected_by: ClassVar = {"transport": "<transport tls> with client_cert_auth true"}
    compat: ClassVar = frozenset({"parser"})

    def __init__(self, options: HttpOptions, host: InputHost) -> None:
        super().__init__(options, host)
        parse = options.parse
        self._parser = None if parse.type == "in_http" else host.parser(parse)
        settings: Any = parse.options
        self._time_key: str | None = getattr(settings, "time_key", None)
        self._keeps_time = False
        self._timer: Timer = seconds
        if isinstance(settings, InHttpParseOptions):
            self._keeps_time = settings.keep_time_key
            if settings.time_type is not None or settings.time_format is not None:
                self._timer = compile_typed_parser(
                    settings.effective_time_type,
                    settings.time_format,
                    fallbacks=settings.time_format_fallbacks,
                    zone=settings.zone,
                ).one
        self._prefix = f"{options.add_tag_prefix}." if options.add_tag_prefix else ""
        self._origins = Origins(options.cors_allow_origins, credentials=options.cors_allow_credentials)
        self._taken = _taken(options)
        self._server = HttpServer(
            host.endpoint(Address.tcp(options.bind, options.port)),
            {ANY: Route(self._answer, METHODS, body_limit=options.body_size_limit, too_large=_TOO_LARGE)},
            log=host.log,
            start_task=host.start_task,
            transport=options.transport,
            limits=HttpLimits(
                connections=1024,
                line_bytes=_LINE,
                head_bytes=2 * _LINE,
                idle=options.keepalive_timeout,
                body=_DEFAULTS.body + options.body_size_limit / _SLOWEST,
                held_bytes=max(_DEFAULTS.held_bytes, 2 * options.body_size_limit),
            ),
            backlog=options.backlog,
        )
        self._log_error = Seldom(host.log.error, host.clock.monotonic, "requests")
        self._turn = asyncio.Lock()
        self._refused = host.counter("refused_requests", "Requests of which nothing was taken.")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.urls()[0].rpartition(":")[2])

    async def start(self) -> None:
        """Listen.

        Raises:
            LogpipeError: the address cannot be had, or a file of `<transport>` cannot be used.
        """
        await self._server.start()
        for url in self._server.urls():
            self.host.log.info("listening at %s", url)

    async def run(self) -> None:
        """Do nothing: requests are answered as they come."""

    async def quiesce(self) -> None:
        """Take no more requests; those that have come are answered."""
        await self._server.quiesce()

    async def stop(self) -> None:
        """Take no more requests."""
        await self._server.stop()

    async def _answer(self, request: Request) -> Reply:
        if request.method in {"GET", "HEAD"}:
            return Reply(b"", TEXT)  # compat: in_http.rb, for probes
        if request.method == "OPTIONS":
            return self._origins.preflight(request)
        if self._origins.refuses(request):
            return Reply(b"", TEXT, 403)
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            return Reply(b"", TEXT, 417)
        reply = await self._posted(request)
        marks = self._origins.marks(request)
        return Reply(reply.body, reply.content_type, reply.status, {**reply.headers, **marks}) if marks else reply

    async def _posted(self, request: Request) -> Reply:
        try:
            path, _, query = _path_and_query(request.target)
            tag = self._tag(path)
            if len(request.body) > _LARGE or "Content-Encoding" in request.headers:
                async with self._turn:  # one at a time, for each may become large
                    batch, found = await self.host.in_thread(self._read, request, query, tag)
            else:
                batch, found = self._read(request, query, tag)
        except RefusedError as problem:
            self._refused.add(1)
            self._say(f"failed to process request: {str(problem)[:_SHOWN]}")
            return _problem(400, "Bad Request", str(problem))
        try:
            await self._emit(batch, found)
        except Exception as error:  # noqa: BLE001 - whatever an output says, the client sends it again
            self._say(f"failed to emit data: {error!r}")
            text = str(error) if isinstance(error, LogpipeError) else "no output has taken it"
            return _problem(500, "Internal Server Error", text)
        return self._taken

    def _say(self, text: str) -> None:
        """Log what is wrong with a request, once a second: whoever sends them must not fill the log."""
        if self.options.dump_error_log:
            self._log_error("%s", text)

    def _tag(self, path: str) -> str:
        # compat: in_http.rb splits the path as it was sent, and Ruby drops empty parts at the end
        tag = ".".join(path[1:].rstrip("/").split("/"))
        if len(tag) > LONGEST_TAG or not _TAG.fullmatch(tag):
            raise RefusedError(f"a tag has {LONGEST_TAG} characters at most, letters, digits and signs of ASCII")
        return self._prefix + tag

    def _read(self, request: Request, query: str, tag: str) -> tuple[EventBatch, Found]:
        """Return the events of a request, and what else was found.

        Raises:
            RefusedError: there is nothing to be taken.
        """
        options = self.options
        body = unpacked(request, options.decompression_size_limit)
        given = parameters(query)
        if self._parser is None:
            given |= form(request, body)
            found = found_in(given)
        else:
            found = found_by(self._parser, body)
        now = self.host.clock.now()
        count = len(found.records)
        if (time := time_of_parameter(given.get("time"))) is not None:
            times = [time] * count
        else:
            times = timed(found, self._time_key, now, self._timer, keep=self._keeps_time)
        if found.bad and not found.records:
            raise RefusedError(found.bad[0][1])
        if options.add_http_headers or options.add_query_params or options.add_remote_addr:
            self._add(found.records, request, query)
        return EventBatch(tag, times, found.records), found

    def _add(self, records: list[Record], request: Request, query: str) -> None:
        """Add to records what the settings ask for."""
        added: Record = {}
        if self.options.add_http_headers:
            given: dict[str, list[str]] = {}
            for name, value in request.headers.items():
                given.setdefault(f"HTTP_{_upper(name)}", []).append(value)
            added |= {name: values[0] if len(values) == 1 else values for name, values in given.items()}
        if self.options.add_query_params:
            added |= {f"QUERY_{_upper(name)}": text_or_bytes(value) for name, value in parameters(query).items()}
        if self.options.add_remote_addr:
            # compat: the first header of that name, and its first address
            forwarded = request.headers.get("X-Forwarded-For", "").split(",")[0].strip()
            added["REMOTE_ADDR"] = forwarded or request.peer
        for record in records:
            record.update(added)

    async def _emit(self, batch: EventBatch, found: Found) -> None:
        """Emit a request's events, and give its bad records to `@ERROR`; returns when it may be answered."""
        settled: asyncio.Future[None] | None = None
        if self.options.answer_when == "settled":
            settled = asyncio.get_running_loop().create_future()
            batch.receipt = Receipt(lambda: None if settled.done() else settled.set_result(None), is_awaited=True)
        receipt = batch.receipt
        tag = batch.tag
        if len(batch):
            await self.host.emit(batch)
        self._report(tag, found, receipt)
        if settled is not None and receipt is not None:
            receipt.release()
            await settled

    def _report(self, tag: str, found: Found, receipt: Receipt | None) -> None:
        now = self.host.clock.now()
        rest = [({"message": found.more}, f"{len(found.more)} more that are no good")] if found.more else []
        for record, reason in (*found.bad, *rest):
            self.host.emit_error(tag, now, record, ParseError(reason), receipt=receipt)


def _taken(options: HttpOptions) -> Reply:
    if options.respond_with_empty_img:
        return Reply(_GIF, "image/gif; charset=utf-8")
    return Reply(b"", TEXT, 204 if options.use_204_response else 200)


def _problem(status: int, name: str, text: str) -> Reply:
    """Return an error as in_http.rb answers it, on a line of its own."""
    line = " ".join(text[: 2 * _SHOWN].split())[:_SHOWN]
    return Reply(f"{status} {name}\n{line}\n".encode("utf-8", "replace"), TEXT, status)


def _path_and_query(target: str) -> tuple[str, str, str]:
    if not target.startswith("/"):  # as proxies are asked: http://host/path
        try:
            parts = urlsplit(target)
        except ValueError:
            raise RefusedError("the request's target is no path") from None
        target = f"{parts.path or '/'}?{parts.query}"
    return target.partition("?")


def _upper(name: str) -> str:
    return name.replace("-", "_").upper()
