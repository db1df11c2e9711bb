"""Puts chunks into objects. Settings and keys: out_s3.rb of fluent-plugin-s3."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar, Final

from logpipe import Chunk, DeliveryError, EventBatch, Output, OutputHost, PermanentError
from logpipe.codec import compile_inject
from logpipe.discovery import Peer
from logpipe.net import check_header
from logpipe_aws.s3.bucket import CHUNK, Bucket
from logpipe_aws.s3.content import STORES, Store, checksum, zstd
from logpipe_aws.s3.keys import UNCHECKED, KeyTemplate, slice_format
from logpipe_aws.s3.options import HEADERS, S3Options

_DAY: Final = 86_400.0
_MOST_INDEXES: Final = 10_000
"""Objects that one attempt looks at for a free index; the next one goes on behind them."""
_MOST_CLAIMS: Final = 4096
_NANOS: Final = 1_000_000_000


class S3Output(Output[S3Options], type="s3"):
    """Puts each chunk into an object of S3, or of a server that speaks as S3 does.

    A chunk is delivered when S3 has its object. The object says of which chunk it is, so that a chunk that is sent
    again after a kill overwrites its own object and takes no other's.
    """

    compat: ClassVar = frozenset({"buffer", "formatter", "inject"})
    compat_kept: ClassVar = frozenset({"time_slice_format"})
    buffer_argument = "time"
    buffer_defaults: ClassVar[dict[str, str]] = {"timekey": "86400"}

    def __init__(self, options: S3Options, host: OutputHost) -> None:
        super().__init__(options, host)
        self._store: Store = STORES.get(options.store_as, STORES["text"])
        self._pack = self._store.pack
        if options.store_as == "zstd" and options.compress is not None:
            self._pack = partial(zstd, level=options.compress.level)
        self._template = self._read_template()
        self._metadata = dict(options.s3_metadata or {})
        self._headers = {HEADERS[name]: value for name, value in options.headers_by_setting().items()}
        if options.reduced_redundancy:
            self._headers[HEADERS["storage_class"]] = "REDUCED_REDUNDANCY"
        self._headers["Content-Type"] = self._store.content_type
        key = options.sse_customer_key
        if key:
            self._headers.pop(HEADERS["sse_customer_algorithm"], None)  # it is a header of each request
        self._bucket = Bucket(options, host, (options.sse_customer_algorithm or "AES256", key) if key else None)
        self._is_bucket_there = not options.check_bucket
        self._turn = asyncio.Lock()
        self._formatter = host.formatter(options.format)
        self._injected = compile_inject(options.inject, host)
        self._claims: OrderedDict[str, tuple[str, int]] = OrderedDict()
        """By chunk: its key, and which index that has; until it is delivered no other chunk takes the key."""

    def _read_template(self) -> KeyTemplate:
        options, host = self.options, self.host
        timekey = options.buffer.timekey if options.buffer is not None else None
        slices = ""
        if "time" in host.chunk_keys:
            slices = options.time_slice_format or slice_format(_DAY if timekey is None else timekey)
        text, default = options.s3_object_key_format, S3Options.settings()["s3_object_key_format"].default
        words = {
            "path": options.path,
            "file_extension": self._store.extension,
            "time_slice": slices,
            "hostname": host.hostname.replace("%", "%%"),
        }
        if not options.check_object:
            words["date_slice"] = slices
            if text == default:
                text = UNCHECKED
            host.log.warning(
                "with check_object false an object that has the key already is overwritten: each chunk needs a key of "
                "its own, by ${chunk_id}, %{uuid_flush} or %{hex_random} in s3_object_key_format"
            )
        template = KeyTemplate(
            text,
            words,
            is_checked=options.check_object,
            index_format=options.index_format,
            random_length=options.hex_random_length,
            host=host,
        )
        if host.workers > 1 and not template.is_own:
            # compat: the message of out_s3.rb
            host.log.warning(
                "No ${chunk_id}, %{uuid_flush} or %{hex_random} in s3_object_key_format with multiple workers. "
                "Recommend to set ${chunk_id}, %{uuid_flush} or %{hex_random} to avoid data lost by object conflict"
            )
        return template

    async def start(self) -> None:
        """Read the files of TLS, and look for the bucket in a task.

        Raises:
            TlsError: one of them cannot be used.
        """
        self._bucket.check()
        if self.options.check_apikey_on_start or self.options.check_bucket:
            self.host.start_task(self._begin(), name="look for the bucket")

    async def _begin(self) -> None:
        try:
            if self.options.check_bucket:
                await self._ensure_bucket()
            else:
                await self._bucket.exists()
        except DeliveryError as error:
            self.host.log.warning("can't call S3 API, which is tried again with the first chunk: %s", error)

    async def _ensure_bucket(self) -> None:
        """Return when the bucket is there.

        Raises:
            DeliveryError: it is not.
        """
        async with self._turn:
            if self._is_bucket_there:
                return
            if not await self._bucket.exists():
                if not self.options.auto_create_bucket:
                    # compat: the message of out_s3.rb
                    raise DeliveryError(f"The specified bucket does not exist: bucket = {self.options.s3_bucket}")
                self.host.log.info("Creating bucket %s on %s", self.options.s3_bucket, self._bucket.url)
                await self._bucket.create()
            self._is_bucket_there = True

    async def peers(self) -> list[Peer]:
        """Return the bucket, which is asked for."""
        return [Peer(self._bucket.url, self._bucket.probe)]

    async def stop(self) -> None:
        """Close the connections."""
        await self._bucket.stop()

    def encode(self, batch: EventBatch) -> list[bytes]:
        """Return each event's bytes; a bad record is empty and goes to `@ERROR`."""
        tag, times, records = batch.tag, batch.times, batch.records
        written = EventBatch(tag, times, self._injected(batch))

        def failed(index: int, error: Exception) -> None:
            self.host.emit_error(tag, times[index], records[index], error, receipt=batch.receipt)

        return self._formatter.format_batch(written, failed)

    async def write(self, chunk: Chunk) -> None:
        """Put a chunk into an object.

        Raises:
            PermanentError: its events make no key, or S3 takes no such object.
            DeliveryError: it is to be tried again.
        """
        if self.host.is_secondary:  # its chunks may have to be encoded, which is not for threads
            parts = list(chunk.payloads()) or [data for batch in chunk.batches() for data in self.encode(batch)]
        else:
            parts = await self.host.in_thread(lambda: list(chunk.payloads()))
        if not any(parts):
            return  # none of its records could be written
        hms_slice = datetime.fromtimestamp(self.host.clock.now() // _NANOS, UTC).strftime("%H%M%S")
        key_of = self._template.of(chunk, hms_slice)
        await self._ensure_bucket()
        body = await self.host.in_thread(self._pack, parts)
        key, index = await self._claim(chunk, key_of)
        headers = self._headers | self._metadata_of(chunk, index)
        if (algorithm := self.options.checksum_algorithm) is not None:
            value = await self.host.in_thread(checksum, algorithm, body)
            headers |= {f"x-amz-checksum-{algorithm.lower()}": value, "x-amz-sdk-checksum-algorithm": algorithm}
        try:
            await self._bucket.put(key, headers, body)
        except PermanentError:
            self._claims.pop(chunk.id, None)
            raise
        self._claims.pop(chunk.id, None)
        self.host.log.debug("chunk %s is in s3://%s/%s", chunk.id, self.options.s3_bucket, key)
        self._tell_delay(chunk, key)

    async def _claim(self, chunk: Chunk, key_of: Callable[[int], str]) -> tuple[str, int]:
        """Return the key for a chunk: the first that no other's object has, or that of its own.

        Raises:
            DeliveryError: nobody can tell, or there is none.
        """
        claims = self._claims
        first = index = claims[chunk.id][1] if chunk.id in claims else 0
        while True:
            key = key_of(index)
            is_taken = any(other == key for of, (other, _) in claims.items() if of != chunk.id)
            claims[chunk.id] = (key, index)  # before anything is awaited: another chunk may come meanwhile
            if len(claims) > _MOST_CLAIMS:
                claims.popitem(last=False)
            if not self.options.check_object:
                return key, index
            if not is_taken:
                holder = await self._bucket.holder(key)
                if holder is None or holder == chunk.id:
                    return key, index
            if not self._template.has_index:
                if self.options.overwrite:
                    self.host.log.warning("%s already exists, but will overwrite", key)
                    return key, index
                claims.pop(chunk.id, None)
                # compat: the message of out_s3.rb
                raise DeliveryError(
                    f"duplicated path is generated. use %{{index}} in s3_object_key_format: path = {key}"
                )
            index += 1
            if index - first >= _MOST_INDEXES:
                raise DeliveryError(f"{key} exists, and so do the {_MOST_INDEXES} before it: more are looked at later")

    def _metadata_of(self, chunk: Chunk, index: int) -> dict[str, str]:
        """Return the headers of an object's metadata.

        Raises:
            PermanentError: what its events say cannot stand in a header.
        """
        found = {CHUNK: chunk.id}
        for name, template in self._metadata.items():
            value = self.host.expand(template.replace("%{index}", "\0"), chunk)
            value = value.replace("\0", self._template.written(index))
            try:
                check_header(name, value)
                value.encode()
            except ValueError as problem:
                raise PermanentError(f"no metadata can have this value: {problem}") from None
            found[f"x-amz-meta-{name.lower()}"] = value
        return found

    def _tell_delay(self, chunk: Chunk, key: str) -> None:
        limit, timekey = self.options.warn_for_delay, chunk.key.timekey
        if limit is not None and timekey is not None and timekey < self.host.clock.now() / _NANOS - limit:
            self.host.log.warning("out_s3: delayed events were put to s3://%s/%s", self.options.s3_bucket, key)
