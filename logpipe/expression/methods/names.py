"""The parts of File, Pathname and Dir that only work on text; whatever touches a disk is refused by the compiler."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from logpipe.expression.arithmetic import string_argument
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.text import to_s

methods = Methods()


@methods.function("File", names="basename", returns=str)
def basename(path: Any, suffix: Any = "") -> str:
    """Return the last part of a path, without a suffix; `.*` is any suffix."""
    name = posixpath.basename(string_argument(path).rstrip("/")) or ("/" if path.startswith("/") else "")
    if suffix == ".*":
        return name[: len(name) - len(extname(name))] if extname(name) else name
    return name.removesuffix(string_argument(suffix)) if name != suffix else name


@methods.function("File", names="dirname", returns=str)
def dirname(path: Any, _levels: Any = 1) -> str:
    """Return a path without its last part."""
    return posixpath.dirname(string_argument(path).rstrip("/")) or ("/" if path.startswith("/") else ".")


@methods.function("File", names="extname", returns=str)
def extname(path: Any) -> str:
    """Return the suffix of a path's last part, with its dot."""
    return posixpath.splitext(posixpath.basename(string_argument(path)))[1]


@methods.function("File", names="join", returns=str)
def join(*parts: Any) -> str:
    """Return the parts with one slash between them."""
    flat = [to_s(item) for part in parts for item in (part if isinstance(part, list) else [part])]
    joined = flat[0] if flat else ""
    for part in flat[1:]:
        joined = f"{joined.rstrip('/')}/{part.lstrip('/')}"
    return re.sub(r"//+$", "/", joined)


@methods.function("File", names="split", returns=list)
def split(path: Any) -> list[str]:
    """Return a path without its last part, and that part."""
    return [dirname(path), basename(path)]


@methods.function("File", names="fnmatch fnmatch?", returns=bool)
def fnmatch(pattern: Any, path: Any, _flags: Any = 0) -> bool:
    """Return whether a path matches a pattern with `*`, `?` and `[…]`."""
    from fnmatch import fnmatchcase  # noqa: PLC0415 - rarely used

    return fnmatchcase(string_argument(path), string_argument(pattern))
