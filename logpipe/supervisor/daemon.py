"""What a service does before it works: leave the terminal, write its process id, give up privileges."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from logpipe.supervisor.settings import Settings


def detach(pid_file: Path) -> None:
    """Go on in the background; the command that was given ends when the process id is in the file.

    It ends with status 1 where the file cannot be written, which is said on standard error. What was printed to a
    terminal or a pipe goes nowhere from then on, so that nobody waits for its end; a file is still written to.
    """
    written, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os._exit(0 if os.read(written, 1) else 1)
    os.close(written)
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        pid_file.write_text(f"{os.getpid()}\n")
    except OSError as problem:
        print(f"logpipe: error: {problem}: give -d a file that can be written", file=sys.stderr)  # noqa: T201
        os._exit(1)
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.dup2(null, descriptor)
    os.close(null)
    os.write(tell, b".")
    os.close(tell)


@contextmanager
def pid_file_of(settings: Settings) -> Iterator[None]:
    """Remove the file with the process id at the end of the block, if there is one and it is still ours."""
    try:
        yield
    finally:
        path = settings.daemon
        if path is not None and settings.worker_id is None:
            with suppress(OSError):
                if path.read_text().strip() == str(os.getpid()):
                    path.unlink()


def drop_privileges(settings: Settings) -> None:
    """Become the user and the group of the command line."""
    import grp  # noqa: PLC0415 - only with --user and --group
    import pwd  # noqa: PLC0415

    if settings.group:
        os.setgid(grp.getgrnam(settings.group).gr_gid)
    if settings.user:
        account = pwd.getpwnam(settings.user)
        os.initgroups(settings.user, account.pw_gid)
        os.setuid(account.pw_uid)
