"""Exceptions of running expressions: Ruby's own, the jumps of blocks, and the budget's."""

from __future__ import annotations

import time
from typing import Any, Final, NoReturn

from logpipe.errors import ExpressionError

_PARENTS: Final = {
    "StandardError": "Exception", "ScriptError": "Exception", "NoMemoryError": "Exception",
    "SystemStackError": "Exception", "NotImplementedError": "ScriptError", "LoadError": "ScriptError",
    "ArgumentError": "StandardError", "UncaughtThrowError": "ArgumentError", "EncodingError": "StandardError",
    "FiberError": "StandardError", "IOError": "StandardError", "EOFError": "IOError", "IndexError": "StandardError",
    "KeyError": "IndexError", "StopIteration": "IndexError", "LocalJumpError": "StandardError",
    "NameError": "StandardError", "NoMethodError": "NameError", "RangeError": "StandardError",
    "FloatDomainError": "RangeError", "RegexpError": "StandardError", "RuntimeError": "StandardError",
    "FrozenError": "RuntimeError", "SystemCallError": "StandardError", "TypeError": "StandardError",
    "Math::DomainError": "ArgumentError",
    "ThreadError": "StandardError", "ZeroDivisionError": "StandardError", "JSON::JSONError": "StandardError",
    "JSON::ParserError": "JSON::JSONError", "JSON::GeneratorError": "JSON::JSONError",
    "Date::Error": "ArgumentError", "URI::Error": "StandardError", "URI::InvalidURIError": "URI::Error",
    "URI::InvalidComponentError": "URI::Error", "IPAddr::Error": "ArgumentError",
    "IPAddr::InvalidAddressError": "IPAddr::Error", "Encoding::UndefinedConversionError": "EncodingError",
    "Encoding::InvalidByteSequenceError": "EncodingError", "Encoding::CompatibilityError": "EncodingError",
    "Regexp::TimeoutError": "RegexpError", "SocketError": "StandardError",
}  # fmt: skip
"""The exception classes that an expression can use, with their superclasses."""

EXCEPTION_CLASSES: Final = frozenset({*_PARENTS, "Exception"})


class RubyError(ExpressionError):
    """An exception as Ruby would raise it; `class_name` is the Ruby class, and `rescue` can catch it."""

    def __init__(self, class_name: str, message: str) -> None:
        super().__init__(message)
        self.class_name = class_name

    def is_a(self, class_name: str) -> bool:
        """Whether the exception belongs to a class or to one below it."""
        own: str | None = self.class_name
        while own is not None and own != class_name:
            own = _PARENTS.get(own)
        return own is not None


class MissingField(RubyError):  # noqa: N818 - named after the problem
    """A bare name that the record does not have; in an entry of its own it gives nil and a warning."""

    def __init__(self, name: str) -> None:
        super().__init__("NameError", f"undefined local variable or method `{name}'")
        self.name = name


class BudgetExceeded(ExpressionError):  # noqa: N818 - named after the problem
    """The expression exceeds the budget of an event; `rescue` does not catch it."""


class BreakBlock(BaseException):
    """`break` out of a block: unwinds to the block's call, past any `rescue`."""

    def __init__(self, block: int, value: Any) -> None:
        super().__init__()
        self.block = block
        self.value = value


class ReturnValue(BaseException):
    """`return` inside a block: unwinds to the end of the expression."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


_TRANSLATED: Final = (
    (ZeroDivisionError, "ZeroDivisionError", "divided by 0"),
    (OverflowError, "FloatDomainError", "Infinity"),
    (UnicodeError, "EncodingError", "the text has invalid bytes"),
    (KeyError, "KeyError", "key not found"),
    (IndexError, "IndexError", "index out of range"),
    (TimeoutError, "Regexp::TimeoutError", "regexp match timeout"),
    (TypeError, "TypeError", ""),
    (ValueError, "ArgumentError", ""),
)


def as_ruby_error(error: Exception) -> ExpressionError:
    """Return the Ruby exception for a Python exception of a running expression."""
    if isinstance(error, ExpressionError):
        return error
    if isinstance(error, (RecursionError, MemoryError)):
        return BudgetExceeded("the expression needs too much memory or depth for one event")
    for kind, class_name, message in _TRANSLATED:
        if isinstance(error, kind):
            return RubyError(class_name, message or str(error))
    return RubyError("StandardError", f"{type(error).__name__}: {error}")


def rescuable(error: Exception) -> RubyError:
    """Return the exception for a `rescue` clause.

    Raises:
        BudgetExceeded: the budget is spent, which cannot be rescued.
    """
    translated = as_ruby_error(error)
    if isinstance(translated, RubyError):
        return translated
    raise translated from None


class Budget:
    """The remaining steps of the running expression. Expressions run one at a time on the event loop's thread.

    Time is limited, too, since one step may process a text of megabytes.
    """

    __slots__ = ("_began", "_look", "left")

    STEPS: Final = 200_000
    SIZE: Final = 4_194_304
    """The longest text or list an expression may build, in characters or items."""
    SECONDS: Final = 2.0
    _EVERY: Final = 64
    """The number of steps between two checks of the clock."""

    def __init__(self) -> None:
        self.left = self.STEPS
        self._look = self.STEPS - self._EVERY
        self._began = 0.0

    def reset(self) -> None:
        """Begin a new evaluation."""
        self.left = self.STEPS
        self._look = self.STEPS - self._EVERY

    def spend(self, steps: int = 1) -> None:
        """Take steps: one per iteration of a loop or element passed to a block.

        Raises:
            BudgetExceeded: none are left, or the evaluation takes too long.
        """
        self.left -= steps
        if self.left < self._look:
            self._check()

    def _check(self) -> None:
        if self.left < 0:
            raise BudgetExceeded(f"the expression took more than {self.STEPS} steps for one event; simplify it")
        now = time.monotonic()
        if self._look == self.STEPS - self._EVERY:
            self._began = now
        elif now - self._began > self.SECONDS:
            self.left = 0
            raise BudgetExceeded(f"the expression took more than {self.SECONDS} s for one event; simplify it")
        self._look = self.left - self._EVERY


BUDGET: Final = Budget()


def check_size(size: int) -> None:
    """Take a step for each KiB that is built, and refuse more than `Budget.SIZE` characters or items.

    Raises:
        BudgetExceeded: it would be larger, or too much was built before.
    """
    if size > Budget.SIZE:
        raise BudgetExceeded(f"the expression builds a value of {size} characters or items; {Budget.SIZE} is the limit")
    if size > 1024:
        BUDGET.spend(size >> 10)


def no_method(name: str, described: str) -> NoReturn:
    """Raise NoMethodError for a receiver, described as by Ruby 3.2.

    Raises:
        RubyError: always.
    """
    raise RubyError("NoMethodError", f"undefined method `{name}' for {described}")
