"""Configuration files to a tree of elements with places, includes followed and embedded code evaluated.

Nothing here raises for what a user wrote: every mistake is reported, and the tree holds what could be read. An error
among the reports means that the tree is not to be run.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from logpipe.config.diagnostic import Position, Report, error
from logpipe.config.element import Element
from logpipe.config.includes import Origin
from logpipe.config.reading import Evaluation, Fetch, Reading
from logpipe.config.sources import UnreadableError, read_text

if TYPE_CHECKING:
    from logpipe.config.tree import FileReader

Dialect: TypeAlias = Literal["v1", "v0"]

INLINE: Final = "<inline>"
"""The file name of text that was given on the command line."""


def parse_text(
    text: str,
    file: str,
    *,
    report: Report,
    dialect: Dialect = "v1",
    evaluate: bool = True,
    follow_includes: bool = True,
    env: Mapping[str, str] | None = None,
    hostname: str = "",
    worker_id: str = "",
) -> Element:
    """Return the tree of a configuration text, as an element called ROOT.

    Args:
        text: the configuration.
        file: the name that places have; includes are relative to its directory.
        report: is told every mistake.
        dialect: which of fluentd's two syntaxes.
        evaluate: whether to run embedded code; without, `#{…}` stays in the values as it is written.
        follow_includes: whether to read included files; without, each `@include` becomes an element of that name.
        env: the environment that embedded code sees; the process's own by default.
        hostname: what embedded code takes for the machine's name; the machine's own by default.
        worker_id: what embedded code takes for the worker's number.
    """
    evaluation = _evaluation(env, hostname, worker_id) if evaluate else None
    root = _root(file)
    reading = Reading(report, evaluation, follow_includes)
    _reader(file, Path(file).parent, dialect, reading).fill(root, text)
    return root


def parse_file(
    path: str | os.PathLike[str],
    *,
    report: Report,
    dialect: Dialect = "v1",
    file_type: str = "guess",
    evaluate: bool = True,
    follow_includes: bool = True,
    inline: str = "",
    encoding: str = "utf-8",
    env: Mapping[str, str] | None = None,
    hostname: str = "",
    worker_id: str = "",
    fetch: Fetch | None = None,
    files: list[str] | None = None,
) -> Element:
    """Return the tree of a configuration file, as an element called ROOT.

    The arguments that `parse_text` has too mean the same. A file that cannot be read is reported and gives an empty
    tree.

    Args:
        path: the file; `.yaml` and `.yml` are YAML unless `file_type` says otherwise.
        report: is told every mistake.
        dialect: which of fluentd's two syntaxes, where the file is not YAML.
        file_type: `guess`, `yaml`, `yml` or `v1`, fluentd's `--config-file-type`.
        evaluate: whether to run embedded code.
        follow_includes: whether to read included files.
        inline: configuration to read after the file, fluentd's `--inline-config`.
        encoding: the file's encoding.
        env: the environment that embedded code sees.
        hostname: what embedded code takes for the machine's name.
        worker_id: what embedded code takes for the worker's number.
        fetch: reads included URLs; without it they are errors.
        files: the real path of every file that was read is appended to it.
    """
    name = os.fspath(path)
    evaluation = _evaluation(env, hostname, worker_id) if evaluate else None
    reading = Reading(report, evaluation, follow_includes, fetch, [] if files is None else files)
    root = _root(name)
    text = _text_of(name, encoding, report)
    if text is not None and _is_yaml(name, file_type):
        from logpipe.config.yaml_tree import fill_from_yaml  # noqa: PLC0415 - loads PyYAML, which only YAML needs

        fill_from_yaml(root, text, name, reading)
    elif text is not None:
        _reader(name, Path(name).parent, dialect, reading).fill(root, text)
    if inline:
        _reader(INLINE, Path(name).parent, dialect, reading).fill(root, inline)
    return root


def _text_of(name: str, encoding: str, report: Report) -> str | None:
    if name.endswith(".rb"):
        hint = "write it as td-agent.conf or YAML; fluentd deprecated this format too"
        report(error("ruby-dsl", "configuration written in Ruby is not supported", Position(name), hint))
        return None
    try:
        return read_text(name, encoding)
    except UnreadableError as problem:
        place = Position(name, problem.line, problem.column)
        report(error("unreadable-file", str(problem), place, problem.hint))
        return None


def _is_yaml(name: str, file_type: str) -> bool:
    return file_type in {"yaml", "yml"} or (file_type == "guess" and name.endswith((".yaml", ".yml")))


def _reader(file: str, directory: Path, dialect: Dialect, reading: Reading) -> FileReader:
    from logpipe.config.tree import FileReader  # noqa: PLC0415 - loads lark, which only parsing needs

    real = os.path.realpath(file)
    reading.files.append(real)
    return FileReader(file, directory, dialect, reading, Origin((), (real,)))


def _root(file: str) -> Element:
    start = Position(file, 1, 1)
    return Element("ROOT", position=start, arg_position=start)


def _evaluation(env: Mapping[str, str] | None, hostname: str, worker_id: str) -> Evaluation:
    return Evaluation(os.environ if env is None else env, hostname or socket.gethostname(), worker_id)
