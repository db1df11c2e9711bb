"""Writer of Python source: lines, indentation, names, and the objects of the names."""

from __future__ import annotations

import keyword
import linecache
import re
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, NamedTuple

from logpipe.errors import ExpressionError

_SERIAL: Final = count(1)


class Code(NamedTuple):
    """A Python expression."""

    text: str
    kind: type | None = None
    """The Python type of its value, where that is known."""
    stable: bool = False
    """Whether its value does not change: a constant, a bound name, a temporary that is assigned once."""
    star: bool = False
    """Whether it is several arguments: the text is a list."""


NIL: Final = Code("None", type(None), stable=True)
"""Ruby's nil."""


class Namespace:
    """The globals of the generated source, without Python's builtins."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"__builtins__": {}}
        self._names: dict[int, str] = {}

    def name(self, value: Any, wanted: str) -> str:
        """Return the name of a value, which is added as `wanted` or a similar name.

        The same object gets the same name each time.
        """
        known = self._names.get(id(value))
        if known is not None:
            return known
        base = _identifier(wanted)
        name = base
        number = 2
        while name in self.values:
            name, number = f"{base}_{number}", number + 1
        self.values[name] = value
        self._names[id(value)] = name
        return name


_WORDS: Final = {
    "+": "plus", "-": "minus", "*": "times", "/": "divide", "%": "modulo", "**": "power", "==": "equal",
    "!=": "differ",
    "<=>": "compare", "<<": "append", ">>": "shift", "[]": "index", "[]=": "store", "=~": "match_place",
    "===": "covers", "!": "negate", "&": "common", "|": "either", "^": "exclusive", "<": "less", ">": "greater",
    "<=": "at_most", ">=": "at_least", "~": "invert", "-@": "negative", "+@": "positive",
}  # fmt: skip


def _identifier(text: str) -> str:
    """Convert a Ruby name to a Python one: `empty?` to `is_empty`, `gsub!` to `gsub_in_place`."""
    for operator, written in _WORDS.items():
        if text.endswith(operator):
            text = text.removesuffix(operator) + written
            break
    text = text.replace("?", "_p").replace("!", "_in_place").replace("::", "_")
    text = re.sub(r"\W", "_", text, flags=re.ASCII)
    text = text if text[:1].isalpha() else f"n{text}"
    return f"{text}_" if keyword.iskeyword(text) else text


class Writer:
    """Lines of one source, with the current indentation."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.lines: list[str] = []
        self.depth = 0
        self._temporaries = count(1)

    def emit(self, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.depth + text)

    def insert(self, place: int, text: str) -> None:
        """Write a line before another of the same block."""
        self.lines.insert(place, "    " * self.depth + text)

    @contextmanager
    def indented(self) -> Iterator[None]:
        """Write the lines of a nested block."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    @contextmanager
    def captured(self) -> Iterator[list[str]]:
        """Collect the lines of a block that is written or discarded later."""
        held, self.lines = self.lines, []
        captured = self.lines
        try:
            yield captured
        finally:
            self.lines = held

    def temporary(self, stem: str = "t") -> str:
        """Return a unique name."""
        return f"{stem}{self.serial()}"

    def serial(self) -> int:
        """Return a unique number."""
        return next(self._temporaries)

    def name(self, value: Any, wanted: str) -> str:
        """Return the name of an object that the source refers to."""
        return self.namespace.name(value, wanted)


def build(source: str, function: str, namespace: Mapping[str, Any], origin: str) -> Callable[..., Any]:
    """Compile generated source and return one of its functions; tracebacks show the source under `<origin>`.

    Raises:
        ExpressionError: the expression is too large or too deeply nested for Python's compiler.
    """
    filename = f"<{origin} #{next(_SERIAL)}>"
    values = dict(namespace)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", SyntaxWarning
            )  # such as of `1 is not None`, which comes from the user's expression
            code = compile(source, filename, "exec")
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        if isinstance(error, SyntaxError) and "too many" not in str(error) and "nested" not in str(error):
            raise
        raise ExpressionError("the expression is nested too deeply", offset=0, hint="use variables") from None
    exec(code, values)  # noqa: S102 - our own generated source, made of whitelisted nodes, without builtins
    built: Callable[..., Any] = values[function]
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    _SHOWN.add(filename, built)
    return built


class _Shown:
    """Which functions' sources tracebacks can show; those of functions that are gone are forgotten from time to time.

    No finalizer does it: the collector runs those wherever it is started, so also where an expression has just used up
    the stack, and then they fail, with a message on standard error and the source kept for ever.
    """

    def __init__(self) -> None:
        self._functions: dict[str, weakref.ref[Callable[..., Any]]] = {}
        self._limit = 64

    def add(self, filename: str, function: Callable[..., Any]) -> None:
        """Note a function; each time there are twice as many as lived the last time, look which of them still do."""
        if len(self._functions) >= self._limit:
            for name in [name for name, held in self._functions.items() if held() is None]:
                del self._functions[name]
                linecache.cache.pop(name, None)
            self._limit = max(64, 2 * len(self._functions))
        self._functions[filename] = weakref.ref(function)


_SHOWN: Final = _Shown()
