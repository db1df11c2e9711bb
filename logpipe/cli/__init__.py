"""The command line: fluentd's flags to run, and commands to look at a configuration without running it.

Each command is the module of its name beside this one, or in `companions`, imported only when it is given. A link to
the program that has the name of one of fluentd's is that program.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from logpipe import signals
from logpipe.version import __version__

COMMANDS: Final = {
    "buffer": "look at what waits in buffer files, find damage, take it out",
    "check": "say what is wrong with configuration files, without running them",
    "config": "print a configuration as it is read: includes in place, secrets masked",
    "eval": "try a Ruby expression on records: the result, its type, the generated function",
    "explain": "show what is made of a configuration: the way of events, the functions of its expressions",
    "plugins": "list the plugins that a configuration may name",
    "docs": "write the reference of every setting",
    "cat": "send events of standard input by the forward protocol",
    "ctl": "signal a running process: stop, restart, flush, reload, dump",
    "binlog": "print the events of fluentd's buffer files",
    "ca": "make a certificate authority for <transport tls>",
    "settings": "print the settings of a plugin",
    "generate": "write the skeleton of a plugin",
    "gem": "say what to install here for a plugin that fluentd has as a gem",
    "companions": "give the programs that come with fluentd their names, as links",
}
"""The purpose of each command."""

ENGINES: Final = ("fluentd", "td-agent")
"""Names of the program itself."""

COMPANIONS: Final = {
    "fluent-cat": "cat",
    "fluent-ctl": "ctl",
    "fluent-binlog-reader": "binlog",
    "fluent-ca-generate": "ca",
    "fluent-plugin-config-format": "settings",
    "fluent-plugin-generate": "generate",
    "fluent-gem": "gem",
    "fluent-debug": "refused",
    "fluent-cap-ctl": "refused",
}
"""The programs that come with fluentd, and the modules that do what they do."""

_TD_AGENT: Final = {"FLUENT_PLUGIN": "/etc/td-agent/plugin", "FLUENT_SOCKET": "/var/run/td-agent/td-agent.sock"}
# compat: td-agent's own script, which runs fluentd with its paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = Path(sys.argv[0]).name
    program = name if name in ENGINES or name in COMPANIONS else "logpipe"
    if given[:1] == ["--version"]:
        return print_version(program)
    if program in COMPANIONS:
        return _print(lambda: _command(COMPANIONS[program])(program, given))
    if program == "td-agent":
        os.environ.update({name: path for name, path in _TD_AGENT.items() if name not in os.environ})
    if given and given[0] in COMMANDS:
        return _print(lambda: _command(given[0])(f"{program} {given[0]}", given[1:]))
    signals.hold(under_supervisor="--under-supervisor" in given)  # before what takes time to import
    gc.disable()  # until malloc.tune: what is imported and built now is no garbage
    return _command("run")(program, given)


def _print(command: Callable[[], int]) -> int:
    """Run a command that prints; an interrupt, or a closed pipe as with `head`, ends it without a traceback."""
    from logpipe.printable import PrintableStream

    out, err = cast("Any", PrintableStream(sys.stdout)), cast("Any", PrintableStream(sys.stderr))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return status


def _command(name: str) -> Callable[[str, list[str]], int]:
    folder = "companions." if name in COMPANIONS.values() else ""
    command: Callable[[str, list[str]], int] = import_module(f"logpipe.cli.{folder}{name}").main
    return command


def print_version(program: str) -> int:
    """Print the version; a program of another name, such as fluentd, adds logpipe's."""
    print(f"{program} {__version__}" if program == "logpipe" else f"{program} (logpipe {__version__})")
    return 0
