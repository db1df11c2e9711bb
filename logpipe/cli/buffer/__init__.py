"""`logpipe buffer`: looks at what waits in buffers and at dead letters, finds damage, takes it out, delivers again.

    folders, or -c CONFIG ──finding.py──► stores of items (store.py) ──► listing.py, printing.py, verifying.py …

A store is a folder's chunks (chunks.py) or its dead letters (letters.py).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser, add_reading
from logpipe.cli.buffer import listing, printing, repairing, replaying, verifying
from logpipe.cli.buffer.finding import find
from logpipe.cli.buffer.saying import say
from logpipe.cli.buffer.store import Store
from logpipe.errors import LogpipeError

Action = Callable[[list[Store], argparse.Namespace], int]

_EPILOG: Final = """\
TARGET is a folder, which is searched with the folders in it, or a single file of chunks or dead letters. Without one,
-c names a configuration, and every file buffer of its outputs is looked at, and all its dead letters.

ls, cat and verify change nothing, and may be used while logpipe runs: a chunk that is delivered meanwhile is left out,
one that is being written to counts as far as it is written. repair wants the folder for itself.
"""

_LS: Final = """\
A line for each chunk, oldest first: its id, state, key, tag, records, bytes, age, and what is wrong with it. A staged
chunk may still take events, a queued one waits for its delivery. Of chunks that logpipe wrote only the end is read
here: `verify` reads everything.
"""

_CAT: Final = """\
Prints events as JSON, one a line, with time, tag and record. What an output has encoded before it was stored is
printed as it is, and said on standard error. Of a damaged chunk all that is intact is printed. Secrets within events
are printed too; what the other commands say is masked as `logpipe config` does it.
"""

_VERIFY: Final = """\
Reads every frame of every chunk, and says where which are damaged.

exit status:
  0  all is intact
  1  something is damaged, or cannot be read
"""

_REPAIR: Final = """\
Says what would be done; with --apply it is done: what is damaged goes to the folder `corrupt` beside the chunks, with
a report, and the chunks keep what is intact. An engine does the same when a chunk's turn comes: repair is for who wants
to know beforehand. It refuses while a process uses the folder.

exit status:
  0  nothing was damaged, or all of it is repaired
  1  there is damage that was not repaired
"""


_REPLAY: Final = """\
Delivers dead letters: what an output could not take goes to that output again, what a filter or an input could not
handle to the label it stood in, past all its filters. A file whose events are all dealt with is deleted: delivered,
or dead letters again, which is said. Without TARGET, all dead letters of the configuration are meant.

Letters say which file configured what could not handle them. Those of other files are left out, in a TARGET too, unless
--all or --to is given: two configurations may share a folder, and an @id that they did not choose.

It runs the configuration's filters and outputs in a process of its own, without sources and with buffers in memory,
so that it may be used while logpipe runs. Broken off, it leaves the file, and another replay begins that file anew.
With --to, the chunks of a buffer that no engine uses any more can be delivered as well.

exit status:
  0  all was delivered
  1  something was not, or became a dead letter again
"""


def main(program: str, arguments: list[str]) -> int:
    """Do what is asked for; the status is 2 where the arguments cannot be used."""
    parser = _parser(program)
    given = parser.parse(arguments)
    action: Action = given.action
    is_replay = action is replaying.main
    if is_replay and not given.config:
        parser.error("say with -c which configuration delivers the events")
    if not is_replay and bool(given.target) == bool(given.config):
        parser.error("give the folder of a buffer, or a configuration with -c")
    try:
        status = action(replaying.find(given) if is_replay else find(given), given)
        sys.stdout.flush()
    except BrokenPipeError:
        # who read has seen enough; what is left in Python's own buffer must not fail again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (LogpipeError, OSError) as error:
        with suppress(BrokenPipeError):
            sys.stdout.flush()
        say(f"{program}: {error}", file=sys.stderr)
        return 2
    return status


def _parser(program: str) -> Parser:
    parser = _described(Parser(prog=program, allow_abbrev=False), COMMANDS["buffer"], _EPILOG)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str, action: Action, text: str, epilog: str) -> Parser:
        command = _described(commands.add_parser(name, help=text, allow_abbrev=False), text, f"{epilog}\n{_EPILOG}")
        command.set_defaults(action=action)
        command.add_argument("target", nargs="*", metavar="TARGET", help="folder or file of chunks or dead letters")
        command.add_argument("-c", "--config", metavar="FILE", help="configuration whose buffers are meant")
        add_reading(command)
        command.add_argument(
            "--all", action="store_true", help="dead letters of other configurations too, where they share a folder"
        )
        command.add_argument(
            "--chunk", metavar="ID", action="append", default=[], help="this chunk only: its id, or what it begins with"
        )
        return command

    listed = add("ls", listing.main, "list chunks", _LS)
    listed.add_argument("--format", choices=["text", "json"], default="text", help="json: one object a line")
    printed = add("cat", printing.main, "print what is in chunks", _CAT)
    printed.add_argument("--limit", metavar="N", type=_count, help="stop after so many events")
    add("verify", verifying.main, "read all of every chunk, and say what is damaged", _VERIFY)
    repaired = add("repair", repairing.main, "take damage out of chunks, into the folder corrupt", _REPAIR)
    repaired.add_argument("--apply", action="store_true", help="do it; without this, only say what would be done")
    replayed = add("replay", replaying.main, "deliver dead letters again", _REPLAY)
    replayed.add_argument("--to", metavar="PLACE", default="", help="the @id of an output, or a label: deliver there")
    replayed.add_argument("--dry-run", action="store_true", help="only say how many events would go where")
    return parser


def _described(parser: Parser, text: str, epilog: str) -> Parser:
    parser.description, parser.epilog = text, epilog
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of events: write 100 for example")
    return int(text)
