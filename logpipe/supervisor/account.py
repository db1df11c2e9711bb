"""`--user` and `--group`: the account that the process switches to."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from logpipe.errors import LogpipeError


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
