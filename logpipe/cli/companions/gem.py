"""`logpipe gem`, and `fluent-gem`: what to install here for a plugin that fluentd has as a gem."""

from __future__ import annotations

import sys
from typing import Final

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser
from logpipe.registry import ELSEWHERE, Registry

GEMS: Final = {
    "fluent-plugin-kafka": ("output kafka2",),
    "fluent-plugin-kubernetes_metadata_filter": ("filter kubernetes_metadata",),
    "fluent-plugin-parser-cri": ("parser cri",),
    "fluent-plugin-record-modifier": ("filter record_modifier",),
    "fluent-plugin-rewrite-tag-filter": ("output rewrite_tag_filter",),
    "fluent-plugin-secure-forward": ("input secure_forward", "output secure_forward"),
    "fluent-plugin-elasticsearch": ("output elasticsearch",),
    "fluent-plugin-opensearch": ("output opensearch",),
    "fluent-plugin-s3": ("output s3",),
    "fluent-plugin-cloudwatch-logs": ("output cloudwatch_logs",),
    "fluent-plugin-kinesis": ("output kinesis_streams",),
    "fluent-plugin-grafana-loki": ("output loki",),
    "fluent-plugin-splunk-hec": ("output splunk_hec",),
    "fluent-plugin-prometheus": ("input prometheus",),
    "fluent-plugin-systemd": ("input systemd",),
    "fluent-plugin-concat": ("filter concat",),
    "fluent-plugin-detect-exceptions": ("output detect_exceptions",),
    "fluent-plugin-multi-format-parser": ("parser multi_format",),
    "fluent-plugin-grok-parser": ("parser grok",),
    "fluent-plugin-dedot_filter": ("filter dedot",),
}
"""Plugins of fluentd's, and stages that each of them brings."""

_EPILOG: Final = "`install GEM` prints what to install in its place; `list` prints the plugins that are installed"


def main(program: str, arguments: list[str]) -> int:
    """Say for each gem what it is here; 0 where all of them are there already."""
    given = parser(program).parse([word for word in arguments if word not in _flags(arguments)])
    registry = Registry()
    installed = {f"{found.kind} {found.type}": found.origin for found in registry.installed()}
    if given.action == "list":
        print("\n".join(sorted(set(installed.values()))))
        return 0
    if given.action != "install" or not given.gems:
        print(f"{program}: {given.action}: plugins are Python packages here: use pip; {_EPILOG}", file=sys.stderr)
        return 2
    lacking = [not _explain(gem, installed) for gem in given.gems]
    return 1 if any(lacking) else 0


def parser(program: str) -> Parser:
    """Return the parser of its arguments."""
    made = Parser(prog=program, description=COMMANDS["gem"], epilog=_EPILOG, allow_abbrev=False)
    made.add_argument("action", help="install, list; nothing else is known")
    made.add_argument("gems", nargs="*", metavar="GEM", help="fluent-plugin-kafka, for example")
    return made


def _flags(arguments: list[str]) -> set[str]:
    """Return RubyGems' flags with their values, none of which matters here."""
    flags = {word for word in arguments if word.startswith("-") and word not in {"-h", "--help"}}
    valued = {arguments[at + 1] for at, flag in enumerate(arguments[:-1]) if flag in {"-v", "--version"}}
    return flags | valued


def _explain(gem: str, installed: dict[str, str]) -> bool:
    """Print what a gem is here; returns whether it is installed."""
    stages = GEMS.get(gem.partition(":")[0], ())
    if not stages:
        print(f"{gem}: not known here: `logpipe check` says of a configuration what it lacks")
        return False
    missing = [stage for stage in stages if stage not in installed]
    if not missing:
        print(f"{gem}: nothing to install: {stages[0]} is in {installed[stages[0]]}")
        return True
    kind, _, name = missing[0].partition(" ")
    distribution = ELSEWHERE.get((kind, name))
    if distribution is None:
        print(f"{gem}: logpipe has no {missing[0]} yet")
    else:
        print(f"{gem}: pip install 'logpipe[{distribution.removeprefix('logpipe-')}]'")
    return False
