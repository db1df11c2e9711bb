"""`logpipe buffer`: shows, verifies, repairs, replays, exports and prunes chunks and dead letters.

    folders, or -c CONFIG ──targets.py──► stores of items (store.py) ──► listing.py, printing.py, damage.py …

A store is a folder's chunks (chunks.py) or its dead letters (dead_letters.py).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser, add_config_options
from logpipe.cli.buffer import damage, exporting, listing, printing, pruning, replaying
from logpipe.cli.buffer.store import Store, print_masked
from logpipe.cli.buffer.targets import find
from logpipe.config.values import convert_size, convert_time
from logpipe.errors import LogpipeError

Action = Callable[[list[Store], argparse.Namespace], int]

_EPILOG: Final = """\
TARGET is a folder, which is searched with the folders in it, or a single file of chunks or dead letters. With -c
instead, the targets are the file buffers and dead letters of that configuration.

ls, cat and verify change nothing, and may be used while logpipe runs: a chunk that is delivered meanwhile is left out,
one that is being written to is read as far as it is written. repair and export need the folder for themselves.
"""

_LS: Final = """\
A line for each chunk, oldest first: its id, state, key, tag, records, bytes, age, and any damage. A staged chunk may
still take events, a queued one waits for its delivery. Of chunks that logpipe wrote only the end is read here: `verify`
reads everything.
"""

_CAT: Final = """\
Prints events as JSON, one a line, with time, tag and record. Chunks that an output stored in an encoding of its own
are printed as they are, with a note on standard error. Of a damaged chunk the intact part is printed. Secrets within
events are printed too; the output of the other commands is masked as by `logpipe config`.
"""

_VERIFY: Final = """\
Reads every frame of every chunk, and lists the damaged places.

exit status:
  0  all is intact
  1  something is damaged, or cannot be read
"""

_REPAIR: Final = """\
Shows what would be done; with --apply it is done: damaged parts go to the folder `corrupt` beside the chunks, with a
report, and the chunks keep what is intact. logpipe does the same by itself before it delivers a chunk. The command is
refused while a process uses the folder.

exit status:
  0  nothing was damaged, or all of it is repaired
  1  there is damage that was not repaired
"""


_REPLAY: Final = """\
Delivers dead letters: those of an output go to that output again, those of a filter or an input to its label, past all
filters there. A file is deleted when all its events are delivered or have become dead letters again; the latter are
counted. Without TARGET, all dead letters of the configuration are replayed.

A dead letter has the path of its configuration file. Those of other files are left out, in a TARGET too, unless --all
or --to is given, since two configurations may share a folder and have the same generated @id.

The configuration's filters and outputs run in this process, without sources and with buffers in memory, so that the
command may be used while logpipe runs. When it is interrupted the file stays, and another replay begins it anew.
With --to, the chunks of a buffer that no process uses any more can be delivered as well.

What Fluentd has given up is replayed, too: its backups (BACKUP/workerN/ID/*.log) go to the output of that @id, the
files of its <secondary> where --to says, with --secondary and their names:

  logpipe buffer replay -c FILE --secondary --to ID --tag TAG DIR/dump.bin.*

Fluentd keeps no tag in either: --tag says it, which the names of files, topics and so on may need.

exit status:
  0  all was delivered
  1  something was not, or became a dead letter again
"""


_EXPORT: Final = """\
Writes chunks as Fluentd's buffer has them, so that Fluentd delivers them when it is started again: stop logpipe, then

  logpipe buffer export --in-place --move -c FILE

and start Fluentd. With --in-place each chunk is written beside ours, where Fluentd with the same configuration looks;
with --fluentd it goes to another folder, which takes the chunks of one buffer. Of `@type file` each chunk has its
.meta, of `@type file_single` its key in its name. Fluentd passes over the chunks of logpipe, and logpipe delivers them
when it is started again: --move deletes each as soon as Fluentd's is on the disk. Positions need no export: Fluentd
reads the pos_file as it is. The command is refused while logpipe uses the folder; Fluentd must not run on it either.

exit status:
  0  all is written
  1  something is not: it is damaged, say, or its tag too long for a file's name
"""


_PRUNE: Final = """\
Shows which dead letters would be deleted, oldest first; with --apply they are, for good. Chunks of buffers are never
deleted: they are still to be delivered. logpipe does the same by itself with the dead letters of its own beyond
`dead_letter_limit_size` and `dead_letter_limit_age` of <system>; Fluentd's backups go by this command alone.

exit status:
  0  done
  1  a file could not be deleted: it is being replayed, say
"""


def main(program: str, arguments: list[str]) -> int:
    """Run the subcommand; the status is 2 for invalid arguments."""
    parser = _parser(program)
    given = parser.parse(arguments)
    action: Action = given.action
    is_replay = action is replaying.main
    if is_replay and not given.config:
        parser.error("give with -c the configuration that delivers the events")
    if not is_replay and bool(given.target) == bool(given.config):
        parser.error("give the folder of a buffer, or a configuration with -c")
    try:
        status = action(replaying.find(given) if is_replay else find(given), given)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader has closed the pipe; flushing Python's own buffer at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (LogpipeError, OSError) as error:
        with suppress(BrokenPipeError):
            sys.stdout.flush()
        print_masked(f"{program}: {error}", file=sys.stderr)
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
        add_config_options(command)
        command.add_argument(
            "--all", action="store_true", help="dead letters of other configurations too, where they share a folder"
        )
        command.add_argument(
            "--secondary", action="store_true", help="TARGET is a file that a <secondary> of Fluentd's has written"
        )
        command.add_argument(
            "--chunk", metavar="ID", action="append", default=[], help="this chunk only: its id, or what it begins with"
        )
        return command

    listed = add("ls", listing.main, "list chunks", _LS)
    listed.add_argument("--format", choices=["text", "json"], default="text", help="json: one object a line")
    printed = add("cat", printing.main, "print what is in chunks", _CAT)
    printed.add_argument("--limit", metavar="N", type=_count, help="stop after so many events")
    add("verify", damage.verify, "read all of every chunk, and say what is damaged", _VERIFY)
    repaired = add("repair", damage.repair, "take damage out of chunks, into the folder corrupt", _REPAIR)
    repaired.add_argument("--apply", action="store_true", help="do it; without this, only say what would be done")
    exported = add("export", exporting.main, "write chunks as Fluentd reads them", _EXPORT)
    where = exported.add_mutually_exclusive_group(required=True)
    where.add_argument("--fluentd", metavar="DIR", help="write to this folder")
    where.add_argument("--in-place", action="store_true", help="write beside the chunks")
    exported.add_argument("--move", action="store_true", help="delete each chunk of logpipe's that is written")
    pruned = add("prune", pruning.main, "delete dead letters that are too old or too many", _PRUNE)
    pruned.add_argument("--older-than", metavar="AGE", type=_age, help="those last written so long ago: 30d, 12h")
    pruned.add_argument("--keep", metavar="SIZE", type=_size, help="the oldest, until no more is left than 1g, say")
    pruned.add_argument("--apply", action="store_true", help="do it; without this, only say what would be done")
    replayed = add("replay", replaying.main, "deliver dead letters again", _REPLAY)
    replayed.add_argument("--to", metavar="PLACE", default="", help="the @id of an output, or a label: deliver there")
    replayed.add_argument("--tag", metavar="TAG", default="", help="the tag of events that have none")
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


def _age(text: str) -> float:
    if not re.fullmatch(r"\d+[smhd]?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 30d, 12h, 90m or seconds")
    return convert_time(text)


def _size(text: str) -> int:
    if not re.fullmatch(r"(?i)\d+[kmgt]?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 1g, 500m or bytes")
    return convert_size(text)
