"""The command line: fluentd's flags to run, and commands to look at a configuration without running it.

Each command is the module of its name beside this one, imported only when it is given.
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
}
"""The purpose of each command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    program = Path(sys.argv[0]).name if Path(sys.argv[0]).name in {"td-agent", "fluentd"} else "logpipe"
    if given[:1] == ["--version"]:
        return print_version(program)
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
    command: Callable[[str, list[str]], int] = import_module(f"logpipe.cli.{name}").main
    return command


def print_version(program: str) -> int:
    """Print the version; a program of another name, such as fluentd, adds logpipe's."""
    print(f"{program} {__version__}" if program == "logpipe" else f"{program} (logpipe {__version__})")
    return 0
