"""Who a process becomes."""

from __future__ import annotations

import os
import pwd

import pytest

from logpipe import LogpipeError
from logpipe.supervisor.daemon import Account

NOBODY = pwd.getpwnam("nobody")


def test_only_root_becomes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody may ask for who they are."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getuid", lambda: NOBODY.pw_uid)
    monkeypatch.setattr(os, "getgid", lambda: NOBODY.pw_gid)
    assert Account.find("nobody", None) is None
    with pytest.raises(LogpipeError, match="--user root: only root can become another"):
        Account.find("root", None)
    with pytest.raises(LogpipeError, match="--group 0: only root can become another"):
        Account.find(None, "0")
