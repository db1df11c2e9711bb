"""Settings that say what documents are, in which index, and under which id."""

from __future__ import annotations

from collections.abc import Iterator

from logpipe import InvalidSetting, Options, Size, param, section
from logpipe.codec import compile_typed_parser
from logpipe_elasticsearch.failures import unknown_names
from logpipe_elasticsearch.options.connection import text_or_none


def listed(text: str) -> list[str]:
    """Return the items of a list with commas."""
    return [item for part in text.split(",") if (item := part.strip())]


class MetadataOptions(Options):
    """`<metadata>`."""

    include_chunk_id: bool = param("Whether each document has the id of its chunk.", default=False)
    chunk_id_key: str = param("The field with it.", default="chunk_id")


class DocumentOptions(Options):
    """What is written."""

    index_name: str = param(
        "Index of the documents, with `${tag}`, `${key}` and `%Y%m%d` for chunk keys; in lower case.", default="fluentd"
    )
    logstash_format: bool = param(
        "Add `@timestamp`, and write to the index `logstash_prefix`-`logstash_dateformat` in place of `index_name`.",
        default=False,
    )
    logstash_prefix: str = param("What such an index begins with, with placeholders.", default="logstash")
    logstash_prefix_separator: str = param("What stands between prefix and date.", default="-")
    logstash_dateformat: str = param("Its date, from `@timestamp`.", default="%Y.%m.%d")
    utc_index: bool = param("Whether that is the date in UTC, not the one of the time's own zone.", default=True)
    target_index_key: str | None = param(
        "Field, `a.b`, with the document's index; it is removed. Events choose any index then but one that begins with "
        "`.`, `_`, `-` or `+`.",
        default=None,
        convert=text_or_none,
    )
    target_index_affinity: bool = param(
        "With `logstash_format`, `id_key` and `write_operation` update or upsert: ask in which index a document is.",
        default=False,
    )
    include_index_in_url: bool = param("Name the index in the URL, and not in each line.", default=False)
    write_operation: str = param("What is done with a document: index, create, update or upsert.", default="index")
    id_key: str | None = param("Field with the document's id, `$.a.b`.", default=None, convert=text_or_none)
    parent_key: str | None = param("Field with the id of its parent.", default=None, convert=text_or_none)
    routing_key: str | None = param("Field with its routing.", default=None, convert=text_or_none)
    pipeline: str | None = param(
        "Ingest pipeline that changes documents, with placeholders.", default=None, convert=text_or_none
    )
    include_timestamp: bool = param("Add `@timestamp` without `logstash_format`.", default=False)
    time_key: str | None = param(
        "Field with the time, where there is no `@timestamp`.", default=None, convert=text_or_none
    )
    time_key_format: str | None = param(
        "Its format; unset: any that Ruby's DateTime.parse reads.", default=None, convert=text_or_none
    )
    time_key_exclude_timestamp: bool = param("Add no `@timestamp` where there is `time_key`.", default=False)
    time_precision: int = param("Digits of the seconds' fraction in `@timestamp`.", default=9)
    time_parse_error_tag: str = param(
        "Accepted for compatibility; a time that cannot be read is logged, and the event's own is taken.", default=""
    )
    include_tag_key: bool = param("Add the tag.", default=False)
    tag_key: str = param("The field with it.", default="tag")
    remove_keys: list[str] = param("Fields to leave out, `a,b`.", default=[], convert=listed)
    remove_keys_on_update: list[str] = param(
        "Fields to leave out of an update; an upsert that creates has them.", default=[], convert=listed
    )
    remove_keys_on_update_key: str | None = param(
        "Field with a list of those, in place of `remove_keys_on_update`; it is removed.",
        default=None,
        convert=text_or_none,
    )
    flatten_hashes: bool = param("Make `{a: {b: 1}}` to `{a_b: 1}`.", default=False)
    flatten_hashes_separator: str = param("What stands between the names then.", default="_")
    suppress_doc_wrap: bool = param("Send an update's fields as they are, without `doc` around them.", default=False)
    bulk_message_request_threshold: Size = param(
        "Bytes of a request; unset, or below 0: 20 MB, since a server takes 100 MB at most.", default=-1
    )
    emit_error_for_missing_id: bool = param(
        "With create, update and upsert: give events without id to `@ERROR` in place of dropping them.", default=False
    )
    retry_tag: str | None = param(
        "Accepted for compatibility; records that the server is too busy for stay in their chunk, and are sent again "
        "alone by the `retry_*` settings.",
        default=None,
        convert=text_or_none,
    )
    ignore_exceptions: list[str] = param(
        "Failures of a bulk request after which its documents are not sent again, by their names in Ruby "
        "(`Faraday::TimeoutError`); `Elasticsearch::Transport::Transport::ServerError` is any status but 2xx.",
        default=[],
    )
    exception_backup: bool = param(
        "Whether such documents go to `<secondary>`, `@ERROR` or the dead letters; else they are thrown away.",
        default=True,
    )
    catch_transport_exception_on_retry: bool = param(
        "Accepted for compatibility; what the server refuses while indexes are set up is tried again.", default=True
    )
    metainfo: MetadataOptions | None = section("What is added about the chunk.", name="metadata")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used."""
        yield from super().check()
        if self.time_key_format is not None:
            try:
                compile_typed_parser("string", self.time_key_format)
            except ValueError as problem:
                yield InvalidSetting(str(problem), param="time_key_format")
        for name in unknown_names(self.ignore_exceptions):
            yield InvalidSetting(
                f"no failure of a request is called {name!r}, so none is ignored: write `Faraday::TimeoutError`, "
                "or `Elasticsearch::Transport::Transport::ServerError` for any status but 2xx",
                param="ignore_exceptions",
                severity="warning",
            )
        if not 0 <= self.time_precision <= 9:
            yield InvalidSetting("time_precision must be from 0 to 9", param="time_precision")
