"""Parses configuration files to a tree of elements with places, includes followed and embedded code evaluated.

Nothing here raises for a user's mistake: each is reported, and the tree holds what could be read. A tree with a
reported error must not be run.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from logpipe.config.diagnostic import Position, Report, error
from logpipe.config.element import Element
from logpipe.config.includes import Evaluation, Fetch, Origin, ParseContext
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
    file_type: str = "v1",
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
        report: receives every mistake.
        dialect: which of fluentd's two syntaxes.
        file_type: as for `parse_file`; the file's name counts with `guess` alone.
        evaluate: whether to run embedded code; without, `#{…}` stays in the values as it is written.
        follow_includes: whether to read included files; without, each `@include` becomes an element of that name.
        env: the environment that embedded code sees; the process's own by default.
        hostname: the machine's name in embedded code; the machine's own by default.
        worker_id: the worker's number in embedded code.
    """
    evaluation = _evaluation(env, hostname, worker_id) if evaluate else None
    root = _root(file)
    context = ParseContext(report, evaluation, follow_includes)
    if _Form(dialect, file_type, "utf-8").is_yaml(file):
        _read_yaml(root, file, text, context)
    else:
        _reader(file, Path(file).parent, dialect, context).fill(root, text)
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
    include_dir: str = "",
    encoding: str = "utf-8",
    env: Mapping[str, str] | None = None,
    hostname: str = "",
    worker_id: str = "",
    fetch: Fetch | None = None,
    files: list[str] | None = None,
) -> Element:
    """Return the tree of a configuration file, as an element called ROOT.

    Arguments shared with `parse_text` have the same meaning. A file that cannot be read is reported and gives an empty
    tree.

    Args:
        path: the file; `.yaml` and `.yml` are YAML unless `file_type` says otherwise.
        report: receives every mistake.
        dialect: which of fluentd's two syntaxes, where the file is not YAML.
        file_type: `guess`, `yaml`, `yml` or `v1`, fluentd's `--config-file-type`.
        evaluate: whether to run embedded code.
        follow_includes: whether to read included files.
        inline: configuration to read after the file, fluentd's `--inline-config`.
        include_dir: a directory whose files are read last, fluentd's `/etc/fluent/conf.d`, unless `<system>` names
            another with `config_include_dir`; "" for none.
        encoding: the file's encoding.
        env: the environment that embedded code sees.
        hostname: what embedded code takes for the machine's name.
        worker_id: the worker's number in embedded code.
        fetch: reads included URLs; without it they are errors.
        files: the real path of every file that was read is appended to it.
    """
    name = os.fspath(path)
    evaluation = _evaluation(env, hostname, worker_id) if evaluate else None
    context = ParseContext(report, evaluation, follow_includes, fetch, [] if files is None else files)
    root = _root(name)
    _read_file(root, name, context, _Form(dialect, file_type, encoding))
    if inline:
        _reader(INLINE, Path(name).parent, dialect, context).fill(root, inline)
    for system in root.sections("system"):
        include_dir = system.get("config_include_dir", include_dir) or ""
    if include_dir:
        _add_directory(root, include_dir, context, _Form(dialect, "guess", encoding))
    return root


@dataclass(frozen=True, slots=True)
class _Form:
    """The language and encoding of a file."""

    dialect: Dialect
    file_type: str
    encoding: str

    def is_yaml(self, name: str) -> bool:
        guessed = self.file_type == "guess" and name.endswith((".yaml", ".yml"))
        return guessed or self.file_type in {"yaml", "yml"}


def _read_file(root: Element, name: str, context: ParseContext, form: _Form) -> None:
    if name.endswith(".rb"):
        hint = "write it as td-agent.conf or YAML; fluentd deprecated this format too"
        context.report(error("ruby-dsl", "configuration written in Ruby is not supported", Position(name), hint))
        return
    try:
        text = read_text(name, form.encoding)
    except UnreadableError as problem:
        place = Position(name, problem.line, problem.column)
        context.report(error("unreadable-file", str(problem), place, problem.hint))
        return
    context.files.append(os.path.realpath(name))
    if form.is_yaml(name):
        _read_yaml(root, name, text, context)
    else:
        _reader(name, Path(name).parent, form.dialect, context).fill(root, text)


def _read_yaml(root: Element, name: str, text: str, context: ParseContext) -> None:
    try:
        from logpipe.config.yaml_tree import fill_from_yaml  # noqa: PLC0415 - loads PyYAML, which only YAML needs
    except ModuleNotFoundError:
        message = "this is YAML, and the package that reads it is not installed"
        context.report(error("yaml-missing", message, Position(name), "pip install pyyaml"))
        return
    fill_from_yaml(root, text, name, context)


def _add_directory(root: Element, directory: str, context: ParseContext, form: _Form) -> None:
    """Read the files of a directory after all others, each file once.

    As fluentd's supervisor.rb since 1.19.0: sections come last, and parameters do not replace those that are there.
    """
    found = (os.path.join(folder, name) for folder, _, names in os.walk(directory) for name in names)  # noqa: PTH118 - os.walk gives strings
    for name in sorted(found):
        if name.endswith((".conf", ".yaml", ".yml")) and os.path.realpath(name) not in context.files:
            added = _root(name)
            _read_file(added, name, context, form)
            root.elements += added.elements
            for param in added.params.values():
                root.params.setdefault(param.name, param)


def _reader(file: str, directory: Path, dialect: Dialect, context: ParseContext) -> FileReader:
    from logpipe.config.tree import FileReader  # noqa: PLC0415 - loads lark, which only parsing needs

    return FileReader(file, directory, dialect, context, Origin((), (os.path.realpath(file),)))


def _root(file: str) -> Element:
    start = Position(file, 1, 1)
    return Element("ROOT", position=start, arg_position=start)


def _evaluation(env: Mapping[str, str] | None, hostname: str, worker_id: str) -> Evaluation:
    return Evaluation(os.environ if env is None else env, hostname or socket.gethostname(), worker_id)
