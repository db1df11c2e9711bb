"""Records as the lines of a bulk request. Rules: out_elasticsearch.rb, process_message and what it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

import orjson

from logpipe import EventBatch, LogpipeError, ParseError, PermanentError, Record, Time
from logpipe.bulk import Entry, Made
from logpipe.codec import dump_record
from logpipe.ruby import RecordAccessor, to_s
from logpipe_elasticsearch.documents.names import identifier, whole_name
from logpipe_elasticsearch.documents.times import Clockwork, Moment
from logpipe_elasticsearch.options.documents import DocumentOptions

TIMESTAMP: Final = "@timestamp"
_WRAPPED: Final = frozenset({"update", "upsert"})
OPERATIONS: Final = frozenset({"index", "create", *_WRAPPED})
MOST_TARGETS: Final = 10_000
"""Targets of one chunk whose first lines are kept."""


class MissingIdError(LogpipeError):
    """An event has no id, and its operation needs one."""


class Names(NamedTuple):
    """What the settings are for one chunk, or for one event where they are dynamic."""

    index_name: str
    prefix: str
    dateformat: str
    type_name: str | None
    pipeline: str | None
    application: str
    operation: str
    time_key: str | None
    tag_key: str
    id_key: str | None
    parent_key: str | None
    routing_key: str | None
    index_is_own: bool = True
    """Whether the configuration says how the index's name begins."""
    prefix_is_own: bool = True
    is_stream: bool = False
    """Whether the index is a data stream: documents have a time, and need no id."""


@dataclass(frozen=True, slots=True)
class Server:
    """What depends on the server's version."""

    type_name: Callable[[str | None], str | None] = field(default=lambda _: None)
    """From the setting to the `_type` of each document, None for none."""
    routing: str = "routing"
    """The name of the routing."""


@dataclass(eq=False, slots=True)
class Target:
    """Where documents go, one object for all of a chunk that go there."""

    url_index: str = ""
    """In the URL; "" where each line names its own."""
    index: str = ""
    alias: str = ""
    """What is set up for them, with `logstash_format`."""
    settings: Any = None
    """Whatever the output needs to know of the chunk."""


class Naming(Protocol):
    """Gives the names for an event."""

    def __call__(self, tag: str, time: Time, record: Record) -> Names:
        """Return them; an exception makes it an error."""


class Documents:
    """Makes entries of records.

    Args:
        options: the settings.
        tell: is told of times that cannot be read, `%`-formatted.
        adds_fields: whether records get fields though no setting says so.
        is_set_up_by_index: whether each index of `logstash_format` is a target of its own, since it is set up.
    """

    def __init__(
        self,
        options: DocumentOptions,
        tell: Callable[..., None],
        *,
        is_set_up_by_index: bool = False,
        adds_fields: bool = False,
    ) -> None:
        self._options = options
        self._tell = tell
        self._clock = Clockwork(options.time_key_format, options.time_precision)
        self._has_time = options.logstash_format or options.include_timestamp
        self._by_index = is_set_up_by_index and options.logstash_format
        target = options.target_index_key
        self._target_path = None if target is None else target.split(".")
        self._changes = bool(
            adds_fields
            or self._has_time
            or options.include_tag_key
            or options.remove_keys
            or options.remove_keys_on_update_key
            or self._target_path
            or (options.metainfo is not None and options.metainfo.include_chunk_id)
        )

    def maker(
        self,
        naming: Naming,
        server: Server,
        *,
        chunk_id: str = "",
        affinity: Mapping[str, str] | None = None,
        settings: Any = None,
    ) -> Callable[[EventBatch], Made]:
        """Return what makes entries of a chunk's batches.

        Args:
            naming: gives the names.
            server: what depends on its version.
            chunk_id: for documents that have it.
            affinity: the index of documents that are there already, by their id.
            settings: of each target.
        """
        maker = _Maker(self, naming, server, settings, chunk_id=chunk_id, affinity=affinity or {})
        return maker.batch

    def moment(self, names: Names, time: Time, record: Record) -> Moment | None:
        """Return the time of a document, which is added to its record; None where the settings want none."""
        if not self._has_time and not names.is_stream:
            return None
        if TIMESTAMP in record:
            return self._read(record[TIMESTAMP], time)
        if names.time_key is not None and names.time_key in record:
            moment = self._read(record[names.time_key], time)
            if not self._options.time_key_exclude_timestamp:
                record[TIMESTAMP] = self._clock.timestamp(moment)
            return moment
        moment = Moment(time, None)
        record[TIMESTAMP] = self._clock.timestamp(moment)
        return moment

    def _read(self, value: Any, time: Time) -> Moment:
        try:
            return self._clock.moment(value)
        except (ParseError, ValueError, TypeError, ArithmeticError) as problem:
            self._tell("the event's own time is taken for one that cannot be read: %s", problem)
            return Moment(time, None)

    def own(self, record: Record) -> Record:
        """Return a record that may be changed at its top level."""
        if self._options.flatten_hashes:
            return flattened(record, self._options.flatten_hashes_separator)
        return record.copy() if self._changes else record

    def index(self, names: Names, moment: Moment | None, record: Record) -> tuple[str, str]:
        """Return the index of a document, and what its alias is made of.

        Raises:
            PermanentError: an event must not choose it.
        """
        options = self._options
        chosen = None if self._target_path is None or names.is_stream else _taken(record, self._target_path)
        if chosen is not None and chosen is not False:
            if not isinstance(chosen, str):
                raise PermanentError(
                    f"an index is named by a text, and {options.target_index_key} is {to_s(chosen)[:60]}"
                )
            name = whole_name(chosen, is_own=False)
            return name, name
        if options.logstash_format and moment is not None and not names.is_stream:
            separator = options.logstash_prefix_separator
            date = self._clock.date(moment, names.dateformat, utc=options.utc_index)
            name = whole_name(f"{names.prefix}{separator}{date}", is_own=names.prefix_is_own)
            if not self._by_index:
                return name, name
            return name, f"{names.prefix}{separator}{names.application}{separator}{date}".lower()
        name = whole_name(names.index_name, is_own=names.index_is_own)
        return name, name

    def finish(self, names: Names, tag: str, record: Record, chunk_id: str) -> None:
        """Add and remove the fields that do not depend on the index."""
        options = self._options
        if options.metainfo is not None and options.metainfo.include_chunk_id:
            record[options.metainfo.chunk_id_key] = chunk_id
        if options.include_tag_key:
            record[names.tag_key] = tag

    def source(self, operation: str, record: Record) -> bytes:
        """Return the second line of a document."""
        options = self._options
        if operation not in _WRAPPED:
            return dumped(record)
        key = options.remove_keys_on_update_key
        listed = record.pop(key, None) if key is not None else None
        unwanted = listed if isinstance(listed, list) and listed else options.remove_keys_on_update
        update = {name: value for name, value in record.items() if name not in unwanted} if unwanted else record
        if options.suppress_doc_wrap:
            return dumped(update)
        body: Record = {"doc": update}
        if operation == "upsert":
            body |= {"doc_as_upsert": True} if update is record else {"upsert": record}
        return dumped(body)

    @property
    def options(self) -> DocumentOptions:
        """The settings."""
        return self._options

    @property
    def is_target_by_index(self) -> bool:
        """Whether documents of several indexes are several targets."""
        return self._by_index or self._options.include_index_in_url


class _Maker:
    """Makes the entries of one chunk."""

    def __init__(
        self,
        documents: Documents,
        naming: Naming,
        server: Server,
        settings: Any,
        *,
        chunk_id: str,
        affinity: Mapping[str, str],
    ) -> None:
        self._documents = documents
        self._naming = naming
        self._server = server
        self._chunk_id = chunk_id
        self._affinity = affinity
        self._targets: dict[tuple[str, str], Target] = {}
        self._common = Target(settings=settings)
        self._heads: dict[tuple[str, str, str | None, str | None], bytes] = {}

    def batch(self, batch: EventBatch) -> Made:
        """Return the entry of each record, or why it has none."""
        made: list[Entry | Exception | None] = []
        tag = batch.tag
        for time, record in zip(batch.times, batch.records, strict=True):
            try:
                made.append(self._entry(tag, time, record))
            except MemoryError:
                raise  # not the fault of a record
            except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch
                made.append(error)
        return made

    def _entry(self, tag: str, time: Time, record: Record) -> Entry | None:
        documents = self._documents
        options = documents.options
        names = self._naming(tag, time, record)
        record = documents.own(record)
        moment = documents.moment(names, time, record)
        index, alias = documents.index(names, moment, record)
        documents.finish(names, tag, record, self._chunk_id)
        meta = self._meta(names, record)
        if meta and self._affinity:
            index = self._affinity.get(meta.get("_id", ""), index)
        for key in options.remove_keys:
            record.pop(key, None)
        operation = names.operation
        if operation not in OPERATIONS:
            raise PermanentError(f"write_operation is none of {', '.join(sorted(OPERATIONS))}: {operation[:60]!r}")
        if operation != "index" and "_id" not in meta and not names.is_stream:
            if options.emit_error_for_missing_id:
                # compat: the message of out_elasticsearch.rb
                raise MissingIdError(f"Missing '_id' field. Write operation is {operation}")
            return None
        head = self._head(names, operation, index, meta)
        return Entry(self._target(index, alias), head + documents.source(operation, record))

    def _meta(self, names: Names, record: Record) -> dict[str, Any]:
        """Return what the first line says of this document alone."""
        if names.id_key is None and names.routing_key is None and names.parent_key is None:
            return {}
        meta: dict[str, Any] = {}
        for path, name in (
            (names.id_key, "_id"),
            (names.parent_key, "_parent"),
            (names.routing_key, self._server.routing),
        ):
            if path is not None:
                value = accessor(path).get(record)
                if value is not None and value is not False:
                    meta[name] = identifier(name, value)
        return meta

    def _head(self, names: Names, operation: str, index: str, meta: dict[str, Any]) -> bytes:
        """Return the first line, up to and with its end."""
        key = (operation, index, names.type_name, names.pipeline)
        if not meta and (known := self._heads.get(key)) is not None:
            return known
        line: dict[str, Any] = {} if self._documents.options.include_index_in_url else {"_index": index}
        type_name = self._server.type_name(names.type_name)
        if type_name is not None:
            line["_type"] = type_name
        if names.pipeline is not None:
            line["pipeline"] = names.pipeline
        # compat: an upsert is an update, whatever the setting's word
        head = dumped({"update" if operation == "upsert" else operation: {**line, **meta}})
        if not meta and len(self._heads) < MOST_TARGETS:
            self._heads[key] = head
        return head

    def _target(self, index: str, alias: str) -> Target:
        documents = self._documents
        if not documents.is_target_by_index:
            return self._common
        target = self._targets.get((index, alias))
        if target is None:
            in_url = documents.options.include_index_in_url
            target = Target(index if in_url else "", index, alias, self._common.settings)
            self._targets[index, alias] = target
        return target


def dumped(value: Any) -> bytes:
    """Return JSON with the end of a line.

    Raises:
        FormatError: it is nested too deep.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return dump_record(value) + b"\n"


def flattened(record: Record, separator: str) -> Record:
    """Return a record without objects in it: the names of their fields are joined. Lists stay as they are."""
    found: Record = {}
    waiting: list[tuple[str, Any]] = [(str(key), value) for key, value in reversed(record.items())]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}{separator}{key}", inner) for key, inner in reversed(value.items())]
        else:
            found[name] = value
    return found


def _taken(record: Record, path: list[str]) -> Any:
    """Return the value at a path and remove it; what is nested is copied before it is changed."""
    *parents, last = path
    place: Any = record
    for key in parents:
        inner = place.get(key)
        if not isinstance(inner, dict):
            return None
        place[key] = dict(inner)
        place = place[key]
    return place.pop(last, None)


@lru_cache(256)
def accessor(path: str) -> RecordAccessor:
    """Return the path of an id, a parent or a routing; `a.b` is `$.a.b`, as in out_elasticsearch.rb.

    Raises:
        ExpressionError: it is none.
    """
    nested = "." in path and not path.startswith(("$[", "$."))
    return RecordAccessor(f"$.{path}" if nested else path)
