"""Configuration files as text: the files that a pattern matches, and why one cannot be read."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus

MAX_BYTES: Final = 64 * 1024 * 1024
"""Larger than any configuration; the limit stops reading from an endless device."""

_MAX_ALTERNATIVES: Final = 1000
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_URL: Final = re.compile(r"(?:https?|ftp):", re.IGNORECASE)
_BACKUP: Final = re.compile(r"[._](?:bak|old|backup|orig|prev|conf|tmp|temp|debug|wip)\.conf$")


class UnreadableError(Exception):
    """A file cannot be read; `line` and `column` are the place of an invalid byte, 0 for other reasons."""

    def __init__(self, message: str, hint: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.hint = hint
        self.line = line
        self.column = column


def read_text(path: str | os.PathLike[str], encoding: str = "utf-8") -> str:
    """Return a file's text.

    Raises:
        UnreadableError: it is missing, not readable, too large or not in this encoding.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableError("no such file", "check the path") from None
    except IsADirectoryError:
        raise UnreadableError(
            "this is a directory, not a file", "name a file, or use a pattern such as conf.d/*.conf"
        ) from None
    except PermissionError:
        hint = "let the user that runs logpipe read it, and enter the directories above it"
        raise UnreadableError("no permission to read the file", hint) from None
    except (OSError, ValueError) as problem:
        raise UnreadableError(f"cannot read the file: {problem}", "check the path") from None
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"the file is larger than {MAX_BYTES >> 20} MiB", "is this the right file?")
    return decode(data, encoding)


def decode(data: bytes, encoding: str = "utf-8") -> str:
    """Return text from a file's bytes.

    Raises:
        UnreadableError: the bytes are not in this encoding; it has the place of the first invalid one.
    """
    try:
        return data.decode(encoding)
    except LookupError:
        raise UnreadableError(f'unknown encoding "{encoding}"', "write a name such as utf-8 or iso-8859-1") from None
    except UnicodeDecodeError as problem:
        before = data[: problem.start]
        line_start = before.rfind(b"\n") + 1
        raise UnreadableError(
            f"the byte 0x{data[problem.start]:02x} is not {encoding}",
            "save the file as UTF-8, or name its encoding with --conf-encoding",
            line=before.count(b"\n") + 1,
            column=len(before[line_start:].decode(encoding, "replace")) + 1,
        ) from None


def is_url(path: str) -> bool:
    """Return whether an `@include` names a URL of another machine."""
    return _URL.match(path) is not None


def local_path(path: str) -> str:
    """Return the path that an `@include` names."""
    # compat: config/v1_parser.rb reads it as a URI: `%20` and `+` are blanks, `file://` may stand before it
    return unquote_plus(path.replace(" ", "+").removeprefix("file://"))


def is_pattern(path: str) -> bool:
    """Return whether an `@include` may match several files, or none."""
    return any(char in path for char in "*?[{")


def looks_like_backup(path: str) -> bool:
    """Return whether a file is probably a backup that a pattern matches by accident: `app.bak.conf`, `app_old.conf`."""
    return _BACKUP.search(path) is not None


def find_files(path: str, directory: Path) -> list[str]:
    """Return the files that an include in a file of `directory` matches, sorted; there may be none.

    Patterns are those of Ruby's Dir.glob: `*`, `**/`, `?`, `[…]`, `{a,b}`.

    Raises:
        ValueError: there are too many alternatives in braces.
    """
    pattern = str(directory / path)
    if not is_pattern(path):
        plain = os.path.normpath(pattern)
        return [plain] if os.path.lexists(plain) else []
    found = {name for option in _alternatives(pattern) for name in glob.glob(_python_glob(option), recursive=True)}  # noqa: PTH207 - Path.glob takes no absolute patterns
    return sorted(os.path.normpath(name) for name in found)


def _alternatives(pattern: str) -> list[str]:
    options = [pattern]
    while any(_BRACES.search(option) for option in options):
        options = [expanded for option in options for expanded in _first_braces(option)]
        if len(options) > _MAX_ALTERNATIVES:
            raise ValueError(f"more than {_MAX_ALTERNATIVES} alternatives in braces")
    return options


def _first_braces(pattern: str) -> list[str]:
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [f"{before}{choice}{after}" for choice in found[1].split(",")]


def _python_glob(pattern: str) -> str:
    # compat: in Ruby only a complete `**/` descends, and `[^a]` negates as `[!a]` does
    parts = pattern.replace("[^", "[!").split("/")
    inner = [part if part == "**" else re.sub(r"\*{2,}", "*", part) for part in parts[:-1]]
    return "/".join([*inner, re.sub(r"\*{2,}", "*", parts[-1])])
