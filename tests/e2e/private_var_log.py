"""A /var/log of a program's own: what it sees there is a folder of the test's, and the machine's stays untouched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# The new mounts are seen by this shell and what it becomes, and by nobody else.
SCRIPT = 'mount --bind "$1" /var/log && shift && exec "$@"'


def private_var_log(folder: Path) -> list[str]:
    """Return a command that runs the command given to it with the folder as its /var/log.

    Raises:
        PermissionError: this user may not do that here; the message says what would be needed.
    """
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    command = [*unshare, "sh", "-c", SCRIPT, "sh", str(folder)]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        reason = tried.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise PermissionError(f"no private /var/log: unshare --mount needs root or user namespaces ({reason[0]})")
    return command
