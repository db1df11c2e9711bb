"""`"#{…}"` in a configuration: small Ruby programs that run once, when the file is read.

The configuration's parser finds the end of the code with `find_end` and its value with `evaluate_embedded`. This code
may read files, since the author of a configuration may name files anyway; records' templates may not.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from logpipe.errors import ExpressionError
from logpipe.expression.methods.file import OpenFile
from logpipe.expression.runtime.failures import RubyError, as_ruby_error
from logpipe.expression.runtime.text import to_s
from logpipe.expression.syntax.parser import code_end, parse

_MOST_BYTES: Final = 1_048_576
"""The largest file that embedded code may read, which is meant for secrets and names."""


class ValueRequest(enum.Enum):
    """A request (nil or the default) in place of a value; it decides the whole parameter."""

    NIL = "use_nil"
    DEFAULT = "use_default"


USE_NIL: Final = ValueRequest.NIL
USE_DEFAULT: Final = ValueRequest.DEFAULT


class _Unwind(BaseException):
    """Raised by a request; not caught by any `rescue`."""

    def __init__(self, wanted: ValueRequest) -> None:
        super().__init__(wanted.value)
        self.wanted = wanted


def find_end(text: str, start: int) -> int:
    """Return the offset of the `}` that closes the code beginning at `start`, just after `#{`.

    Braces and quotes nested in the code are respected.

    Raises:
        ExpressionError: no brace closes it.
    """
    try:
        return code_end(text, start)
    except ExpressionError:
        return _end_by_braces(text, start)


def _end_by_braces(text: str, start: int) -> int:
    """Find the end of code that does not parse, so that its error does not include the rest of the file."""
    depth, quote, position = 0, "", start
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "}" and depth == 0:
            return position
        else:
            depth += (char == "{") - (char == "}")
        position += 1
    raise ExpressionError("embedded code without its closing }", offset=start, hint="add the closing }")


_read_files: Final[ContextVar[list[str] | None]] = ContextVar("read_files", default=None)


def evaluate_embedded(
    code: str, *, env: Mapping[str, str], hostname: str, worker_id: str = "", read_files: list[str] | None = None
) -> Any:
    """Run embedded code and return its value: text, number, true, false, None, USE_NIL or USE_DEFAULT.

    Values unknown to JSON (symbols, times, ranges) are returned as text. The path of each file that the code has read
    is appended to `read_files`.

    Raises:
        ExpressionError: the code is not supported, or it failed; `offset` counts from the code's beginning.
    """
    compute = _compile(code)
    token = _read_files.set(read_files)
    try:
        return compute(dict(env), hostname, worker_id)
    except _Unwind as unwind:
        return unwind.wanted
    except Exception as error:  # noqa: BLE001 - any error is reported as one of the code
        problem = as_ruby_error(error)
        problem.offset = problem.offset or 0
        if isinstance(problem, RubyError) and problem.is_a("KeyError"):
            problem.hint = "set the environment variable, or give a default"
        raise problem from None
    finally:
        _read_files.reset(token)


def _compile(code: str) -> Callable[..., Any]:
    from logpipe.expression.compiler.context import Context  # noqa: PLC0415 - most configurations embed nothing
    from logpipe.expression.compiler.entry import write_entry  # noqa: PLC0415 - the same
    from logpipe.expression.compiler.source import Code, Namespace, Writer, build  # noqa: PLC0415 - the same

    names = {
        "hostname": Code("hostname", str, stable=True),
        "worker_id": Code("worker_id", str, stable=True),
        "use_nil": Code("use_nil()"),
        "use_default": Code("use_default()"),
    }
    values = {"use_nil": _use_nil, "use_default": _use_default}
    context = Context(names, late=True, functions=_FILES, values=values)
    writer = Writer(Namespace())
    write_entry(writer, "compute", parse(code, variables=names), context, "env, hostname, worker_id")
    return build("\n".join(writer.lines) + "\n", "compute", writer.namespace.values, "embedded code")


def _use_nil() -> None:
    raise _Unwind(USE_NIL)


def _use_default() -> None:
    raise _Unwind(USE_DEFAULT)


def to_text(value: Any) -> str:
    """Return a value's text between quotes, as by Ruby's to_s: empty for None, `true` for True."""
    return to_s(value)


def _read(path: Any, *_options: Any) -> str:
    file = Path(str(path))
    try:
        with file.open("rb") as content:
            data = content.read(_MOST_BYTES + 1)
    except OSError as problem:
        raise RubyError("SystemCallError", f"cannot read {file}: {problem.strerror or problem}") from None
    if len(data) > _MOST_BYTES:
        raise RubyError("IOError", f"{file} is larger than {_MOST_BYTES} bytes")
    if (seen := _read_files.get()) is not None:
        seen.append(str(file))
    return data.decode("utf-8", "surrogateescape")


def _open(path: Any, *_mode: Any, block: Callable[[Any], Any] | None = None) -> Any:
    file = OpenFile(_read(path))
    return file if block is None else block(file)


def _lines_of(path: Any) -> list[str]:
    return _read(path).splitlines(keepends=True)


def _exists(path: Any) -> bool:
    return Path(str(path)).exists()


def _is_file(path: Any) -> bool:
    return Path(str(path)).is_file()


def _is_folder(path: Any) -> bool:
    return Path(str(path)).is_dir()


def _working_folder() -> str:
    return str(Path.cwd())


def _absolute(path: Any, folder: Any = ".") -> str:
    return os.path.normpath(Path.cwd() / str(folder) / str(path))


_FILES: Final[dict[str, dict[str, Callable[..., Any]]]] = {
    "File": {
        "read": _read,
        "open": _open,
        "readlines": _lines_of,
        "exist?": _exists,
        "expand_path": _absolute,
        "absolute_path": _absolute,
        "file?": _is_file,
        "directory?": _is_folder,
    },
    "IO": {"read": _read, "readlines": _lines_of},
    "Dir": {"pwd": _working_folder, "exist?": _is_folder},
}
