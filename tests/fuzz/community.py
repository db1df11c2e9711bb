"""How the settings of community's stages are chosen, and what the judge has to know of their events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tests.fuzz.place import Place


def _one_of(*words: str) -> Callable[[Place], str]:
    return lambda place: place.random.choice(words)


RETAGGING: Final = ("fork", "record_reformer")
"""Outputs that emit events under the tags below, `re.…`, so that a rule behind them has to take these."""
DROPPING: Final = frozenset({"concat", "detect_exceptions", "sampling", "sampling_filter", "throttle"})
"""Filters that drop events, or join several to one."""
REPEATING: Final = ("filter concat", "filter detect_exceptions", "output fork", "output route")
"""Stages behind which a mark may stand in several events, or beside others."""

JOINING: Final = ("parser multiline", "filter concat", "filter detect_exceptions")
"""Stages behind which an event, or a text that is unmatched, may be made of several lines."""

_TAGS: Final = ("re.${tag}", "re.${tag_parts[1]}", "re.x", "re.${hostname}", "re.${tag_suffix[1]}")

CHOICES: Final[Mapping[str, Callable[[Place], str]]] = {
    "filter concat.key": _one_of("id"),  # where the mark is, so that each is in what is joined
    "filter concat.multiline_*_regexp": _one_of("/plain/", r"/\d{5}0qz/", "/^zq/", r"/[135]qz/"),
    "filter concat.stream_identity_key": _one_of("k", "$.o.x", "$['a.b']", "o"),
    "filter concat.timeout_label": lambda place: place.next_label(),
    "filter detect_exceptions.languages": _one_of("java", "python,go", "all"),
    "filter throttle.group_reset_rate_s": _one_of("-1"),
    "filter dedot.de_dot_separator": _one_of("_", "", "__"),
    "filter de_dot.de_dot_separator": _one_of("_", "", "__"),
    "output record_reformer.(tag|output_tag)": _one_of(*_TAGS),
    "output record_reformer.keep_keys": _one_of("id,k", "id,o,message"),
    "output record_reformer.remove_keys": _one_of("k", "a,nothing", "message"),
    "output record_reformer.renew_time_key": _one_of("nt", "n", "k"),
    "output fork.output_tag": _one_of("re.x", "re.fork"),
    "output fork.fork_key": _one_of("k", "o", "message"),
    "output fork.(output_key|index_key)": _one_of("v", "n"),
    "output route.route.@label": lambda place: place.next_label(),
    "output route.*prefix": _one_of("in", "x.y"),
    "output forest.subtype": _one_of("stdout", "null"),
}
"""As those of `settings.py`."""

ALWAYS: Final = frozenset(
    {
        "filter concat.multiline_start_regexp",
        "filter concat.flush_interval",  # else a buffer before it owes what waits there for another line, until the end
        "filter detect_exceptions.multiline_flush_interval",
        "output route.route.@label",
    }
)

LEFT_OUT: Final[Mapping[str, str]] = {
    "filter concat.(n_lines|*partial_*|buffer_*)": "excludes the expressions: the plugin's tests have it",
    "output route.*_cache_size": "accepted for fluentd's sake",
    "output route.route.pattern": "is the argument of the section",
    "output forest.(template|case|pattern)": "holds another stage's settings, which have turns of their own",
}
