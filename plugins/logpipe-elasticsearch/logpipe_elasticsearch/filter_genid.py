"""`@type elasticsearch_genid` and `opensearch_genid`: ids for documents. Rules: filter_elasticsearch_genid.rb."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from logpipe import Filter, FilterHost, InvalidSetting, Options, Record, Time, param
from logpipe.ruby import to_s

_NANOS: Final = 1_000_000_000


class GenIdOptions(Options):
    """Settings of `<filter> @type elasticsearch_genid`."""

    hash_id_key: str = param("The field that gets the id.", default="_hash")
    use_record_as_seed: bool = param(
        "Make the id of what the event says, so that the same event has the same one; else it is random.", default=False
    )
    use_entire_record: bool = param("Make it of all fields.", default=False)
    record_keys: list[str] = param("The fields to make it of.", default=[])
    include_tag_in_seed: bool = param("Make it of the tag, too.", default=False)
    include_time_in_seed: bool = param("Make it of the second, too.", default=False)
    separator: str = param("What stands between them.", default="_")
    hash_type: Literal["md5", "sha1", "sha256", "sha512"] = param("How it is hashed.", default="sha1")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is missing."""
        if self.use_record_as_seed and not self.use_entire_record and not self.record_keys:
            message = "When using record as hash seed, users must specify `record_keys`."  # compat
            yield InvalidSetting(message, param="use_record_as_seed")


class GenId(Filter[GenIdOptions], type=("elasticsearch_genid", "opensearch_genid")):
    """Adds an id to each event, random or made of what it says.

    A random one lasts through retries of its chunk: with it as `id_key` no document is there twice because of them.
    """

    def __init__(self, options: GenIdOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._make: Callable[[str, Time, Record], bytes] = self._hashed if options.use_record_as_seed else _random

    def filter(self, tag: str, time: Time, record: Record) -> Record:
        """Return the record with its id."""
        record[self.options.hash_id_key] = base64.b64encode(self._make(tag, time, record)).decode()
        return record

    def _hashed(self, tag: str, time: Time, record: Record) -> bytes:
        options = self.options
        seed = ""
        if options.include_tag_in_seed:
            seed += f"{tag}{options.separator}"
        if options.include_time_in_seed:
            seed += f"{time // _NANOS}{options.separator}"
        if options.use_entire_record:
            seed += "".join(f"|{key}|{to_s(record[key])}" for key in sorted(record))
        else:
            seed += options.separator.join(_texts([record.get(key) for key in options.record_keys]))
        data = seed.encode("utf-8", "surrogateescape")
        return hashlib.new(options.hash_type, data, usedforsecurity=False).digest()


def _random(_tag: str, _time: Time, _record: Record) -> bytes:
    return str(uuid.uuid4()).encode()


def _texts(values: list[Any]) -> Iterator[str]:
    """Yield values as Ruby's Array#join writes them: lists as their items."""
    for value in values:
        if isinstance(value, list):
            yield from _texts(value)
        else:
            yield to_s(value)
