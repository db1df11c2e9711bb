"""0.12's flat parameters in today's sections."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe.config.compat import convert
from logpipe.config.diagnostic import Diagnostic

BUFFER = """
buffer_type file
buffer_path /var/b
num_threads 2
flush_interval 5s
try_flush_interval 1
queued_chunk_flush_interval 2
disable_retry_limit true
retry_limit 3
max_retry_wait 10
buffer_chunk_limit 8m
buffer_queue_limit 64
buffer_queue_full_action exception
flush_at_shutdown
"""

TODAY = """
@type file
path /var/b
flush_thread_count 2
flush_interval 5s
flush_thread_interval 1
flush_thread_burst_interval 2
retry_forever true
retry_max_times 3
retry_max_interval 10
chunk_limit_size 8m
queue_limit_length 64
overflow_action throw_exception
flush_at_shutdown
"""

CASES: dict[str, tuple[str, str, str]] = {
    "buffer": ("buffer", BUFFER, f"<buffer>{TODAY}</buffer>"),
    "time slices": (
        "buffer",
        "time_slice_format %Y%m%d%H\ntime_slice_wait 10m\ntimezone +09:00",
        "<buffer time>\ntimekey 3600\ntimekey_wait 10m\ntimekey_zone +09:00\n</buffer>",
    ),
    "time slices in utc": (
        "buffer",
        "time_slice_format %Y%m%d\nutc",
        "<buffer time>\ntimekey 86400\ntimekey_use_utc true\n</buffer>",
    ),
    "time slices in local time": (
        "buffer",
        "time_slice_format %H%M\nlocaltime",
        "<buffer time>\ntimekey 60\ntimekey_use_utc false\n</buffer>",
    ),
    "a regexp": (
        "parser",
        "format /^(?<a>.*)$/\ntime_format %Y\nkeep_time_key true",
        "<parse>\n@type regexp\nexpression ^(?<a>.*)$\ntime_format %Y\nkeep_time_key true\n</parse>",
    ),
    "a parser": ("parser", "format json\nutc", "<parse>\n@type json\nlocaltime false\n</parse>"),
    "types": (
        "parser",
        "format csv\nkeys a,b\ntypes a:integer,b:time:%Y",
        '<parse>\n@type csv\nkeys a,b\ntypes {"a":"integer","b":"time:%Y"}\n</parse>',
    ),
    "types with other delimiters": (
        "parser",
        "types a=integer|b=bool\ntypes_delimiter |\ntypes_label_delimiter =",
        '<parse>\ntypes {"a":"integer","b":"bool"}\n</parse>',
    ),
    "multiline": (
        "parser",
        "format multiline\nformat_firstline /^a/\nformat1 /b/\nformat20 /c/",
        "<parse>\n@type multiline\nformat_firstline /^a/\nformat1 /b/\nformat20 /c/\n</parse>",
    ),
    "multiline beside parse": (
        "parser",
        "format1 /b/\n<parse>\n@type multiline\n</parse>",
        "<parse>\n@type multiline\nformat1 /b/\n</parse>",
    ),
    "a formatter": (
        "formatter",
        "format ltsv\ndelimiter ,\ntime_as_epoch true\nutc",
        "<format>\n@type ltsv\ndelimiter ,\nutc\ntime_type unixtime\n</format>",
    ),
    "inject": (
        "inject",
        "include_time_key true\ntime_format %Y\ninclude_tag_key true\ntag_key t\nlocaltime",
        "<inject>\ntime_key time\ntime_type string\ntime_format %Y\ntag_key t\nlocaltime true\n</inject>",
    ),
    "inject the tag": ("inject", "include_tag_key true", "<inject>\ntag_key tag\n</inject>"),
    "inject seconds": (
        "inject",
        "include_time_key true\ntime_as_epoch true\ntime_key at",
        "<inject>\ntime_key at\ntime_type unixtime\n</inject>",
    ),
    "do not inject": ("inject", "include_time_key false", "<inject>\n</inject>"),
    "extract": (
        "extract",
        "tag_key t\nutc false",
        "<extract>\ntag_key t\nlocaltime true\n</extract>",
    ),
    "extract seconds": (
        "extract",
        "time_key at\ntime_as_epoch true",
        "<extract>\ntime_key at\ntime_type unixtime\n</extract>",
    ),
    "nothing flat": ("buffer", "path x", "path x"),
    "other groups' words": ("parser", "buffer_path x", "buffer_path x"),
    "a section of the user's": ("buffer", "retry_limit 1\n<buffer>\n</buffer>", "retry_limit 1\n<buffer>\n</buffer>"),
    "the engine's words": ("buffer", "type t\nid i\nlog_level warn", "@type t\n@id i\n@log_level warn"),
    "both spellings": ("buffer", "type t\n@type u", "type t\n@type u"),
}


def shape(element: Any) -> Any:
    params = {name: param.value for name, param in element.params.items()}
    return element.name, element.arg, params, [shape(child) for child in element.elements]


@pytest.mark.parametrize(("group", "flat", "today"), CASES.values(), ids=CASES)
def test_conversion(load: Any, group: Any, flat: str, today: str) -> None:
    root = load(flat).root

    convert(root, {group})

    assert shape(root) == shape(load(today).root)


def test_one_parameter_serves_several_groups(load: Any) -> None:
    """`utc` counts for the buffer and for the formatter."""
    root = load("time_slice_format %Y%m%d\nutc\nformat json").root

    convert(root, {"buffer", "formatter"})

    assert [section.name for section in root.elements] == ["buffer", "format"]
    assert (root.elements[0].get("timekey_use_utc"), root.elements[1].get("utc"), root.params) == ("true", "", {})


def test_rewrites_have_their_places(load: Any) -> None:
    root = load("type t\n  retry_limit 3").root

    rewrites = convert(root, {"buffer"})

    assert [str(rewrite) for rewrite in rewrites] == [
        "f.conf:1:1: type is read as @type",
        "f.conf:2:3: retry_limit is read as <buffer> retry_max_times",
    ]
    param = root.elements[0].params["retry_max_times"]
    assert [str(param.position), str(param.value_position)] == ["f.conf:2:3", "f.conf:2:15"]


def test_what_the_plugin_reads_flat_stays(load: Any) -> None:
    root = load("flush_interval 5s").root

    convert(root, {"buffer"}, keep={"flush_interval"})

    assert (root.get("flush_interval"), root.elements[0].get("flush_interval")) == ("5s", "5s")


def test_outputs_that_cut_by_time_do_so_by_default(load: Any) -> None:
    root = load("buffer_path x").root

    convert(root, {"buffer"}, default_chunk_key="time")

    assert (root.elements[0].arg, root.elements[0].get("timekey")) == ("time", "86400")


SAID = {
    "time_slice_format %Y%m": (
        'f.conf:1:1: error: <ROOT>: "%Y%m" cuts no slices of a day or less (add %d, %H, %M or %S) [cannot-convert]'
    ),
    "time_slice_format %d\nutc\nlocaltime": (
        'f.conf:2:1: error: <ROOT>: "utc" and "localtime" contradict each other (write only one of them)'
        " [cannot-convert]"
    ),
    "retry_wait 3": (
        'f.conf:1:1: warning: <ROOT>: "retry_wait" is ignored outside <buffer>, as in fluentd'
        " (move it into <buffer>; without it the first retry comes after 1s) [lost-parameter]"
    ),
}


@pytest.mark.parametrize(("text", "message"), SAID.items())
def test_what_cannot_be_converted(load: Any, text: str, message: str) -> None:
    said: list[Diagnostic] = []

    convert(load(text).root, {"buffer"}, report=said.append)

    assert [str(problem) for problem in said] == [message]
