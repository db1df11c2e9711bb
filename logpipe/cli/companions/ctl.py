"""`logpipe ctl`, and `fluent-ctl`: signals to a running process. Fluentd's command/ctl.rb."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Final

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser

SIGNALS: Final = {
    "shutdown": signal.SIGTERM,
    "restart": signal.SIGHUP,
    "flush": signal.SIGUSR1,
    "reload": signal.SIGUSR2,
    "dump": signal.SIGCONT,
}
"""What each command sends."""


def main(program: str, arguments: list[str]) -> int:
    """Send a signal; 1 where there is no such process."""
    given = parser(program).parse(arguments)
    number = SIGNALS[given.command]
    try:
        pid = _pid(given.pid)
        os.kill(pid, number)
    except ProcessLookupError:
        return _failed(program, f"there is no process {given.pid}: is it running?")
    except PermissionError:
        return _failed(program, f"process {given.pid} belongs to another user: try it as that user, or as root")
    except (ValueError, OverflowError) as problem:
        return _failed(program, str(problem))
    return 0


def parser(program: str) -> Parser:
    """Return the parser of its arguments."""
    made = Parser(prog=program, description=COMMANDS["ctl"])
    made.add_argument("command", choices=SIGNALS, help="; ".join(f"{name}: {SIGNALS[name].name}" for name in SIGNALS))
    made.add_argument("pid", help="the process id, or the file of -d that has it")
    return made


def _pid(text: str) -> int:
    """Return a process id.

    Raises:
        ValueError: it is none, and no file has one. 0 is refused: it stands for every process of this group.
    """
    path = Path(text)
    if not text.isdecimal() and path.is_file():
        text = path.read_bytes()[:32].strip().decode("ascii", "replace")
    if not text.isdecimal() or not text.isascii() or int(text) == 0:
        raise ValueError(f"{text!r} is no process id, and no file that has one")
    return int(text)


def _failed(program: str, why: str) -> int:
    print(f"{program}: {why}", file=sys.stderr)
    return 1
