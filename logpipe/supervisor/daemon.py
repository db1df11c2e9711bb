"""What the process becomes: another account (`--user`, `--group`), and a daemon with a file of its process id."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from logpipe import signals
from logpipe.errors import LogpipeError
from logpipe.plugin import Files


@dataclass(frozen=True, slots=True)
class Account:
    """A user with its groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Its supplementary groups, `gid` among them."""

    @classmethod
    def find(cls, user: str | None, group: str | None) -> Self | None:
        """Return the given account, user and group each by name or number; None where it is the current one.

        Without a group, the user's groups apply. Fluentd keeps the group it was started with (serverengine's
        privilege.rb), which may be root's.

        Raises:
            LogpipeError: there is no such user or group, or only root could switch to it.
        """
        if not user and not group:
            return None
        entry = _user(user) if user else None
        gid = _group(group) if group else entry.pw_gid if entry is not None else os.getgid()
        uid = entry.pw_uid if entry is not None else os.getuid()
        name = entry.pw_name if entry is not None else str(uid)
        groups = tuple({gid, *(os.getgrouplist(name, gid) if entry is not None else os.getgroups())})
        if os.geteuid() != 0:
            if (uid, gid) == (os.getuid(), os.getgid()):
                return None
            word = f"--user {user}" if user and uid != os.getuid() else f"--group {group or gid}"
            raise LogpipeError(f"{word}: only root can become another: start as root, or leave it out")
        return cls(name, uid, gid, groups)

    def become(self) -> None:
        """Switch the process to this user and its groups."""
        os.setgroups(self.groups)
        os.setgid(self.gid)
        os.setuid(self.uid)

    def own(self, path: Path) -> None:
        """Make the user the owner of a file or folder."""
        os.chown(path, self.uid, self.gid)


def _user(text: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(text)) if text.isdecimal() else pwd.getpwnam(text)
    except (KeyError, OverflowError):
        raise LogpipeError(f"--user {text}: there is no such user: `getent passwd` lists them") from None


def _group(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise LogpipeError(f"--group {text}: there is no such group: `getent group` lists them") from None


PID_FILE_FD: Final = "LOGPIPE_PID_FILE_FD"
"""The variable with the process id, and the descriptor of its file, which the program before has left."""
_FLUENTD: Final = (b"fluentd", b"td-agent")


class Daemon:
    """The locked file with the process id, and the launching command, which waits until the inputs have started.

    Args:
        pid_file: the file.
        files: the modes to make it with.
        account: the owner to set; None leaves the current user.
    """

    def __init__(self, pid_file: Path, files: Files, account: Account | None = None) -> None:
        self._path = pid_file.absolute()
        self._files = files
        self._account = account
        self._descriptor: int | None = None
        self._start_pipe: int | None = None
        self._is_detached = False
        """Whether the program before, in the same process, has done it."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the file locked in the block, and remove it at the end.

        Raises:
            LogpipeError: another process has locked it, or it cannot be written.
        """
        self._descriptor = _left_descriptor()
        self._is_detached = self._descriptor is not None
        is_new = self._is_detached or not self._path.exists()
        try:
            if self._descriptor is None:
                self._descriptor = self._locked_file()
        except OSError as problem:
            reason = problem.strerror or problem
            raise LogpipeError(f"-d {self._path}: {reason}: give a file in a folder that can be written to") from None
        launcher = os.getpid()
        try:
            yield
        finally:
            if os.getpid() != launcher or is_new:
                self._remove()

    def _locked_file(self) -> int:
        self._files.make_folder(self._path.parent)
        while True:
            descriptor = self._files.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK)
            try:
                self._lock(descriptor)
                if self._is_ours(descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its previous owner removed it between our open and our lock

    def _lock(self, descriptor: int) -> None:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise LogpipeError(f"-d {self._path}: it is no regular file: give another one")
        pid = os.pread(descriptor, 32, 0).strip()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_used = True
        else:
            is_used = _is_fluentd(pid)  # fluentd does not lock its file
        if is_used:
            owner = pid.decode("ascii", "replace") or "unknown"
            raise LogpipeError(f"-d {self._path}: process {owner} runs with this file: stop it, or give another file")

    def _is_ours(self, descriptor: int) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        return False

    def detach(self) -> None:
        """Continue in the background; the launching command exits when `started` is called, or this process ends.

        In the second case its status is 1.
        """
        if self._is_detached:
            return
        reader, self._start_pipe = os.pipe()
        sys.stdout.flush()
        if os.fork():
            os.close(self._start_pipe)
            for number in signals.STOPS:  # an interrupted wait must not exit with 0
                signal.signal(number, lambda _number, _frame: os._exit(1))
            os._exit(0 if os.read(reader, 1) else 1)
        os.close(reader)
        os.setsid()
        if os.fork():
            os._exit(0)
        assert self._descriptor is not None  # noqa: S101 - held was entered
        line = b"%d\n" % os.getpid()
        os.pwrite(self._descriptor, line, 0)
        os.ftruncate(self._descriptor, len(line))
        if self._account is not None:
            os.fchown(self._descriptor, self._account.uid, self._account.gid)

    def hand_over(self) -> dict[str, str]:
        """Keep the file locked over an exec, and return what has to be added to the environment for that."""
        assert self._descriptor is not None  # noqa: S101 - held was entered
        os.set_inheritable(self._descriptor, True)
        return {PID_FILE_FD: f"{os.getpid()} {self._descriptor}"}

    def started(self) -> None:
        """Leave the terminal, and make the launching command exit with 0; later calls do nothing."""
        if self._start_pipe is None:
            return
        leave_terminal()
        with suppress(BrokenPipeError):  # the launching command was interrupted
            os.write(self._start_pipe, b".")
        os.close(self._start_pipe)
        self._start_pipe = None

    def _remove(self) -> None:
        """Remove the file if it is still ours; empty it where the folder is not writable."""
        assert self._descriptor is not None  # noqa: S101 - held was entered
        if self._is_ours(self._descriptor):
            try:
                self._path.unlink()
            except OSError:
                os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def _left_descriptor() -> int | None:
    pid, _, descriptor = os.environ.pop(PID_FILE_FD, "").partition(" ")
    if pid != str(os.getpid()):
        return None
    os.set_inheritable(int(descriptor), False)
    return int(descriptor)


def leave_terminal() -> None:
    """Redirect the standard streams to /dev/null, except regular files, so that no reader waits for their end."""
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.dup2(null, descriptor)
    os.close(null)


def _is_fluentd(pid: bytes) -> bool:
    """Return whether that process is fluentd rather than another that has got its id since."""
    if not pid.isdigit() or int(pid) in {os.getpid(), os.getppid()}:
        return False
    with suppress(OSError):
        command = Path(f"/proc/{int(pid)}/cmdline").read_bytes()
        return any(program in command for program in _FLUENTD)
    return False
