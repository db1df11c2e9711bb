"""How each setting of each stage is chosen: by its type, unless it stands in one of the tables here.

A stage joins by being registered. Settings of kinds that are known (bool, number, size, seconds, one of several words,
a field's name, a regular expression) need nothing; others stand in `CHOICES`, or in `LEFT_OUT` with the reason.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import Any, Final

from logpipe.config.conversion import Seconds, Size
from tests.fuzz import community
from tests.fuzz.hostile import FIELDS
from tests.fuzz.place import BROKERS, FORWARD_PORT, Place

Choose = Callable[[Place], str]


def one_of(*words: str) -> Choose:
    """Return a choice among texts."""
    return lambda place: place.random.choice(words)


def _types(place: Place) -> str:
    kinds = ("string", "integer", "float", "bool", "array", "time:%Y")
    names = place.random.sample(FIELDS[:4], 2)  # not where a parser puts the line, and so its mark
    return json.dumps({name: place.random.choice(kinds) for name in names})


def _file_path(place: Place) -> str:
    place.paths.append(place.random.choice(PATHS))
    place.taps_before.append(str(place.taps - 1))
    return f"{place.output}/{len(place.paths) - 1}/{place.paths[-1]}"


PATHS: Final = (
    "f", "${k}/f", "${tag}/f", "x.${k}", "${k}", "${a}${k}/f", ".${k}/f", "%Y%m%d/f", "${tag[1]}/f", "${k}.${a}/f",
    "f.*",
)  # fmt: skip
PATTERNS: Final = (
    "/plain/", "/./", "/^.*$/", "/zq/", r"/\A[[:alnum:]]+\z/", "/(a|b)+/i", r"/\d{2,}/", "/(?<w>.)/", "/[^a]/m",
)  # fmt: skip
EXPRESSIONS: Final = (
    r"/^(?<id>zq\d+qz)(?<rest>.*)$/", r"/(?<log>(?<id>zq\d+qz).*)/m",
    r"/^(?<id>\S+) (?<k>.*)/", r"/(?<id>zq\d+qz[^ ]*) ?(?<time>\S*)/",
)  # fmt: skip
TIME_FORMATS: Final = (
    "%Y-%m-%dT%H:%M:%S.%L%z",
    "%s",
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y",
    "%iso8601",
    "%Y-%m-%d %j %U %c",
    "%N",
)
FIELD_PATHS: Final = ("k", "$.o.x", "$['a.b']", "$.o", "a", "message", "$.o[0]")
ENCODINGS: Final = ("UTF-8", "ASCII-8BIT", "ISO-8859-1", "Shift_JIS", "EUC-JP", "Windows-1252")
TAGS: Final = ("re.${tag}", "re.$1", "re.${tag_parts[1]}", "re.x", "re.${hostname}")

CHOICES: Final[Mapping[str, Choose]] = {
    "*.time_format": one_of(*TIME_FORMATS),
    "*.timezone": one_of("+09:00", "Asia/Tokyo", "America/New_York", "-1130"),
    "*.time_format_fallbacks": one_of("%Y,%s", "%d/%b/%Y", "%iso8601"),
    "*.types": _types,
    "*.null_value_pattern": one_of("/^-$/", "/^plain$/", "/^$/"),
    "*.timeout": one_of("1s"),
    "input tail.path": lambda place: place.input_glob,
    "input tail.tag": lambda place: place.random.choice(("in.tail", "in.*", "in.t.*.x")),
    "input tail.pos_file": lambda place: str(place.state / "tail.pos"),
    "input tail.read_from_head": one_of("true"),
    "input tail.path_delimiter": one_of(";", "|", ","),
    "input tail.exclude_path": one_of('["/nowhere/*"]', '["/nowhere/%Y"]'),
    "input tail.path_timezone": one_of("+09:00", "Asia/Tokyo"),
    "input tail.encoding": one_of(*ENCODINGS),
    "input tail.from_encoding": one_of(*ENCODINGS),
    "input tail.max_line_size": one_of("200", "4k", "1m"),
    "input tail.read_bytes_limit_per_second": one_of("-1", "8192", "1m"),
    "input tail.refresh_interval": one_of("1", "60"),
    "input tail.rotate_wait": one_of("0", "1"),
    "input tail.limit_recently_modified": one_of("1d"),
    "input tail.multiline_flush_interval": one_of("0.1", "1"),
    "input tail.group.pattern": one_of("/(?<namespace>[^/]*)(?<podname>.)$/"),
    "input tail.group.rate_period": one_of("1s"),
    "input tail.group.rule.match": one_of('{"namespace": "/./"}', '{"podname": "/x/", "namespace": "/.*/"}'),
    "input tail.group.rule.limit": one_of("-1", "1000"),
    "input (http|forward|syslog|tcp|udp).bind": one_of("127.0.0.1"),
    "input (http|forward|syslog|tcp|udp).port": one_of("0"),
    "input forward.chunk_size_*limit": one_of("1m"),
    "input forward.add_tag_prefix": one_of("in"),
    "input *.source_*_key": one_of("n", "nt"),  # not where the mark is
    "input syslog.*_key": one_of("n", "nt"),
    "input *.delimiter": one_of("||", ";;"),
    "input *.message_length_limit": one_of("200", "1m"),
    "input syslog.default_priority": one_of("13", "191"),
    "input http.add_tag_prefix": one_of("in"),
    "input http.body_size_limit": one_of("200", "1m"),
    "input http.cors_allow_origins": one_of('["*"]', '["http://a"]'),
    "input *.tag": one_of("in.other"),
    "input sample.size": one_of("1", "3"),
    "input sample.rate": one_of("1", "2"),  # so that there are moments in which nothing is on its way
    "input sample.sample": lambda _: json.dumps([{"k": "s"}, {"o": {"x": None}}]),
    "filter grep.*.key": lambda place: place.turn(FIELD_PATHS),
    "filter record_transformer.keep_keys": lambda place: ",".join(("id", *place.random.sample(FIELDS[:6], 2))),
    "filter record_transformer.remove_keys": one_of("k", "$.o.x", "a,nothing", "$['a.b']"),
    "filter record_transformer.renew_time_key": one_of("nt", "n", "k", "t"),
    "filter record_modifier.prepare_value": one_of("@a = 1", "@b = [1, 2].max"),
    "filter record_modifier.char_encoding": lambda place: ":".join(place.random.sample(ENCODINGS, 2)),
    "filter record_modifier.remove_keys": one_of("k", "$.o.x", "a,nothing"),
    "filter record_modifier.whitelist_keys": lambda place: ",".join(("id", *place.random.sample(FIELDS[:6], 2))),
    "filter record_modifier.replace.expression": one_of("/a/", "/[[:space:]]+/", "/./", "/(?<w>x)/"),
    "filter record_modifier.replace.replace": one_of("_", "", r"\\0", r"\\k<w>"),
    "filter kubernetes_metadata.*_regexp": one_of(
        r"^in\.(?<pod_name>.*)(?<namespace>)(?<container_name>)(?<docker_id>)",
        r"(?<namespace>[^_]+)_(?<pod_name>.*)_(?<container_name>.)",
    ),
    "filter kubernetes_metadata.annotation_match": one_of('["^a"]', '["."]'),
    "filter kubernetes_metadata.*_separator": one_of("_", "__", ""),
    "filter kubernetes_metadata.apiVersion": one_of("v1"),
        "output file.path": _file_path,
    "output file.path_suffix": one_of(".log", "", ".%Y", "x"),
    "output file.symlink_path": lambda place: f"{place.output}/link",
    "output file.time_slice_format": one_of("%Y%m%d", "%Y%m%d%H", "%Y"),
    "output relabel.@label": lambda place: place.next_label(),
    "output buffer.@label": lambda place: place.next_label(),
    "output rewrite_tag_filter.remove_tag_prefix": one_of("in", "in.", "x"),
    "output rewrite_tag_filter.remove_tag_regexp": one_of("/^in\\./", "/./"),
    "output rewrite_tag_filter.hostname_command": one_of("hostname", "hostname -s", "hostname -f"),
    "output rewrite_tag_filter.rule.key": one_of("k", "id", "$.o.x", "message"),
    "output rewrite_tag_filter.rule.tag": one_of(*TAGS),
    "output rewrite_tag_filter.rule.label": lambda place: place.next_label(),
    "output http.endpoint": lambda place: place.endpoint(),
    "output http.headers_from_placeholders": one_of('{"x":"${k}"}', '{"x":"${tag}"}'),
    "output http.retryable_response_codes": one_of("503", "429,503"),
    "output http.content_type": one_of("a/b"),
    "* (forward.server|static.service).host": one_of("127.0.0.1", "localhost"),
    "* (forward.server|static.service).port": one_of(FORWARD_PORT),
    "output forward.heartbeat_type": one_of("transport", "none"),
    "output forward.*_timeout": one_of("30", "60"),
    "output forward.phi_threshold": one_of("16", "1000"),
    "output forward.expire_dns_cache": one_of("0", "1"),
    "output kafka*.brokers": one_of(BROKERS),
    "output rdkafka*.brokers": one_of(BROKERS),
    "output *.required_acks": one_of("-1", "1"),
    "output *.compression_codec": one_of("gzip", "snappy", "lz4", "zstd"),
    "output *.default_topic": lambda place: place.topic("default"),
    "output *.topic": lambda place: place.topic(place.random.choice(("t", "${k}", "${tag}"))),
    "output *.topic_key": one_of("k", "topic"),
    "output *.partitioner_hash_function": one_of("crc32", "murmur2"),
    "output *.max_topics": one_of("3", "2000"),
    "output *.default_partition": one_of("0"),
    "output *.max_send_limit_bytes": one_of("1k", "1m"),
    "output *.output_data_type": one_of("json", "msgpack", "ltsv", "attr:id,k"),
    "output *.headers": one_of("a:b,c:d"),
    "output *.headers_from_record": one_of("h:$.k,i:$.o.x"),
    "output *.exclude_fields": one_of("$.k", "$.o.x,$.a"),
    "output *.ignore_exceptions": one_of("Foo"),
    "output *.monitoring_list": one_of("a"),
    "output *.kafka_agg_max_bytes": one_of("1k", "1m"),
    "formatter single_value.message_key": one_of("id"),
    "formatter stdout.output_type": one_of("json", "hash", "ltsv", "msgpack"),
    "formatter out_file.delimiter": one_of("SPACE", "COMMA", "x"),
    "parser multiline.format_firstline": one_of(r"/^zq\d{6}qz/"),
    "parser regexp.expression": one_of(*EXPRESSIONS),
    "parser (apache|apache_error|nginx).expression": one_of(*EXPRESSIONS[:2]),  # the mark is not where lines begin
    "parser apache_error.time_key": one_of("time", "k"),  # not where the line's end is
    "parser syslog.rfc5424_time_format": one_of(*TIME_FORMATS),
    "parser (csv|tsv).keys": one_of("id,k,a", "id,k", "id,time,a,b,message"),
    "parser (csv|tsv).delimiter": one_of(",", ";", "||", " ", "\t"),
    "parser ltsv.delimiter": one_of("\t", ","),
    "parser ltsv.delimiter_pattern": one_of(r"/[\t,]\s*/", r"/\t|(;)/"),
    "parser ltsv.label_delimiter": one_of(":"),
    "formatter csv.fields": one_of("id,k,n", "id,$.o.x,$['a.b']"),
    "formatter csv.delimiter": one_of(";", "TAB", "||"),
    "formatter tsv.keys": one_of("id,k,n", "n,id"),
    "filter parser.key_name": one_of(*FIELD_PATHS, "id", "log"),
    "parser cri.time_key": one_of("time", "k"),  # not where the line is
    "parser none.message_key": one_of("id", "message"),
    "buffer *.timekey": one_of("1d", "1h", "1"),
    "buffer *.timekey_zone": one_of("+09:00", "Asia/Tokyo", "America/New_York"),
    "buffer *.timekey_wait": one_of("0", "10m"),
    "buffer *.flush_at_shutdown": one_of("true"),
    "buffer *.flush_interval": one_of("0", "0.1", "60"),
    "buffer *.retry_wait": one_of("0.01", "1"),
    "buffer *.retry_max_times": one_of("3"),
    "buffer *.retry_timeout": one_of("72h"),
    "buffer *.retry_max_interval": one_of("2"),
    "buffer *.retry_exponential_backoff_base": one_of("2", "1.5"),
    "buffer *.retry_secondary_threshold": one_of("0.8", "0.1"),
    "buffer *.delayed_commit_timeout": one_of("60"),
    "buffer *.chunk_limit_size": one_of("2k", "1m"),
    "buffer *.total_limit_size": one_of("8m", "64m"),
    "buffer *.chunk_full_threshold": one_of("0.95", "0.5", "1"),
    "buffer *.queue_limit_length": one_of("64", "10000"),
    "buffer *.chunk_limit_records": one_of("1", "5"),
    "buffer *.memory_limit_size": one_of("1k", "1m"),
    "buffer *.file_permission": one_of("0600", "0644"),
    "buffer *.dir_permission": one_of("0700", "0755"),
    "buffer *.free_space_reserve": one_of("0", "1k"),
    "buffer *.path_suffix": one_of(".log", ".buf"),
    "buffer *.path": lambda place: place.new_folder("buffer"),
    "buffer *.decompression_size_limit": one_of("256m"),
    **community.CHOICES,
}  # fmt: skip
"""Patterns of `kind type.setting`, sections between dots; the first that fits."""

_NEEDS_PEER: Final = "takes a peer of its own: the plugin's tests have it"
_LOSES: Final = "is asked to lose events"

LEFT_OUT: Final[Mapping[str, str]] = {
    "input monitor_agent.*": "it makes no events",
    "input (http|forward|syslog|tcp|udp).transport*": _NEEDS_PEER,
    "input (forward|tcp).security*": _NEEDS_PEER,
    "input forward.deny_keepalive": "reads one message of a connection",
    "input *.(backlog|linger_timeout|blocking_timeout|send_keepalive_packet|receive_buffer_size)": "is the kernel's",
    "input syslog.(resolve_hostname|frame_type_*)": "goes with another",
    "input sample.storage*": "is about restarts, of which a case has none",
    "output null.never_flush": "fails for ever by its own word",
    "output *.discard_kafka_delivery_failed*": _LOSES,
    "output *.required_acks_0": _LOSES,
    "filter kubernetes_metadata.(kubernetes_url|client_*|*_file|secret_dir|verify_ssl|ssl_*|*_timeout)": _NEEDS_PEER,
    "output http.(allowed_hosts|proxy|tls_*|*_timeout|auth*)": _NEEDS_PEER,
    "output http.error_response_as_unrecoverable": _LOSES,
    "output forward.(security*|transport|tls_*|verify_connection_at_startup)": _NEEDS_PEER,
    "output forward.(read_*|send_keepalive_packet)": "needs keepalive, or has no effect",
    "output forward.buffer*": "is the buffer's",
    "output *.(ssl_*|principal|keytab|service_name|username|password|scram_mechanism|sasl_*|zookeeper*)": _NEEDS_PEER,
    "output *.active_support_notification_regex": "accepted for fluentd's sake",
    "output *.rdkafka_*": "accepted for fluentd's sake",
    "output *.record_key": "sends a part of the record, in which no mark is",
    "output *.share_producer": "is about two outputs",
    "output file.buffer*": "is the buffer's",
    "buffer *.disable_chunk_backup": _LOSES,
    "buffer *.retry_forever": "keeps what a fault refuses for ever, as no limit does",
    **community.LEFT_OUT,
}
"""What is not tried here, and why."""

_EVENTS: Final = (
    (("format1", r"/^(?<id>zq\d{6}qz)(?<message>.*)/"),),
    (("format1", r"/^(?<id>zq\d{6}qz)(?<k>[^\n]*)/"), ("format2", r"/(?<message>(?:\n.*)?)/")),
)
_EVENTS_OF_TWO: Final = (
    (("format1", r"/^(?<id>zq\d{6}qz)(?<k>[^\n]*)\n/"), ("format2", r"/^  at (?<message>[^\n]*)/")),
    (("format1", r"/^(?<id>zq\d{6}qz)[^\n]*\n/"), ("format2", "/ */"), ("format3", "/at(?<log> .*)/")),
)


def numbered(name: str, written: Collection[str], random: Random) -> Sequence[tuple[str, str]]:
    """Return the settings of a section whose names are numbered; those of `written` are there already."""
    if name != "parser multiline":
        return ()
    return random.choice(_EVENTS if "format_firstline" in written else _EVENTS_OF_TWO)


ALWAYS: Final = frozenset(
    {
        "output rewrite_tag_filter.rule", "input tail.pos_file", "input tail.read_from_head",
        "input tail.multiline_flush_interval",
        "formatter single_value.message_key", "input http.bind", "input http.port",
        *(f"input {name}.{word}" for name in ("forward", "syslog", "tcp", "udp") for word in ("bind", "port")),
        "output forward.server", "service_discovery static.service",
        "service_discovery static.service.port", "output forward.server.port",
        "buffer file.path", "buffer file_single.path",
        "buffer file.flush_at_shutdown", "buffer file_single.flush_at_shutdown",
        "output kafka.brokers", "output kafka2.brokers", "output kafka_buffered.brokers", "output rdkafka.brokers",
        "output rdkafka2.brokers", "output kafka.default_topic", "output kafka_buffered.default_topic",
        "output rdkafka.default_topic", "output kafka2.default_topic", "output rdkafka2.default_topic",
        *community.ALWAYS,
    }
)  # fmt: skip
"""Settings that every use of the stage has."""


ONE_OF: Final = (
    ("localtime", "utc", "timezone"),
    ("remove_tag_prefix", "remove_tag_regexp"),
    ("remove_keys", "whitelist_keys"),
)
"""Settings of which one section has one at most."""

NEEDS: Final = {
    "timezone": ("time_format", "%Y-%m-%dT%H:%M:%S.%L%z"),
    "utc": ("time_format", "%Y-%m-%dT%H:%M:%S.%L%z"),
    "localtime": ("time_format", "%Y-%m-%dT%H:%M:%S.%L%z"),
    "from_encoding": ("encoding", "UTF-8"),
    "keep_keys": ("renew_record", "true"),
    "renew_record": ("keep_keys", "id,k"),
}
"""Settings that another must stand beside, and its value."""


def reconcile(words: dict[str, str], random: Random) -> None:
    """Make settings fit together."""
    for names in ONE_OF:
        there = [name for name in names if name in words]
        for name in random.sample(there, max(0, len(there) - 1)):
            del words[name]
    for name, (other, text) in NEEDS.items():
        if name in words and (other not in words or text == "true"):
            words[other] = text
    if words.get("idempotent") == "true":
        words.pop("required_acks", None)
    if words.get("time_type") == "mixed":
        words.setdefault("time_format", "%s")
    if words.get("enable_watch_timer") == "false":
        words["enable_stat_watcher"] = "true"
        words.pop("read_bytes_limit_per_second", None)
    if words.get("skip_refresh_on_startup") == "true":
        words["refresh_interval"] = "0.1"
    if words.get("glob_policy") == "always":
        words["path_delimiter"] = ";"


def excludes(full: str, lines: list[str]) -> bool:
    """Return whether a section cannot stand beside the one just written: grep's groups have conditions of one kind."""
    return full.endswith(("and.exclude", "or.exclude")) and lines[-1] == "</regexp>"


def left_out(name: str) -> str:
    """Return why a setting is not tried, "" where it is."""
    return next((reason for pattern, reason in LEFT_OUT.items() if fits(pattern, name)), "")


def choose(name: str, hint: Any, place: Place) -> str:
    """Return a value for a setting of a type.

    Raises:
        LookupError: nothing is known of it: add it to `CHOICES`.
    """
    for pattern, chosen in CHOICES.items():
        if fits(pattern, name):
            return chosen(place)
    kinds = [kind for kind in (hint, *typing.get_args(hint)) if kind is not type(None)]
    for kind in kinds:
        words = _by_type(kind, place)
        if words is not None:
            return words
    raise LookupError(f"{name}: {hint} is of no known kind: add it to CHOICES of {__file__}")


def _by_type(kind: Any, place: Place) -> str | None:
    random = place.random
    if typing.get_origin(kind) is typing.Literal:
        return str(random.choice(typing.get_args(kind)))
    if kind is re.Pattern or typing.get_origin(kind) is re.Pattern:
        return random.choice(PATTERNS)
    simple: dict[Any, Callable[[], str]] = {
        bool: lambda: random.choice(("true", "false")),
        int: lambda: str(random.choice((1, 2, 10, 1000))),
        float: lambda: random.choice(("0.1", "1", "2.5")),
        Size: lambda: random.choice(("1k", "1m")),
        Seconds: lambda: random.choice(("0.1", "1")),
        str: lambda: random.choice(FIELDS),
    }
    if kind in simple:
        return simple[kind]()
    if typing.get_origin(kind) is list and typing.get_args(kind) == (str,):
        return json.dumps(random.sample(FIELDS, 2))
    return None


def fits(pattern: str, name: str) -> bool:
    """Return whether a setting's name is one of a pattern's: `*` stands for anything, `(a|b)` for either."""
    return re.fullmatch(pattern.replace(".", r"\.").replace("*", ".*"), name) is not None


def record_section(place: Place, *, ruby: bool) -> list[tuple[str, str]]:
    """Return the lines of a `<record>`: names and values."""
    values = (*_PLAIN, *_RUBY) if ruby else _PLAIN
    names = place.random.sample(("k", "a", "t", "new", "log", "time"), place.random.randrange(1, 4))
    return [(name, place.random.choice(values)) for name in names]


_PLAIN: Final = (
    '${record["k"]}',
    "${tag}",
    "x-${tag_parts[1]}",
    "${hostname}",
    '${record["a"]}',
    "text",
    '{"a": "${tag}"}',
)
_RUBY: Final = (
    '${record["k"].to_s.upcase}', '${record["o"].inspect}', "${time}", "${Time.at(time.to_i).utc.iso8601 rescue 0}",
    '${record["n"].to_i + 1}', "${record.keys.sort.join(44.chr)}", '${record["message"].to_s[0, 5]}',
    '${record["k"].to_s =~ /x/}',
)  # fmt: skip
