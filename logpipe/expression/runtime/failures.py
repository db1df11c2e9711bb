"""How an expression fails while it runs: Ruby's exceptions, the jumps of blocks, and the budget."""

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
"""Each exception class that an expression can name or raise, with its superclass."""

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


class MissingField(RubyError):  # noqa: N818 - named for what happened
    """A bare name that the record does not have; in an entry of its own it gives nil and a warning."""

    def __init__(self, name: str) -> None:
        super().__init__("NameError", f"undefined local variable or method `{name}'")
        self.name = name


class BudgetExceeded(ExpressionError):  # noqa: N818 - named for what happened
    """The expression does more than one event may cost; `rescue` does not catch it."""


class BreakBlock(BaseException):
    """`break` out of a block: unwinds to the call that the block belongs to, past any `rescue`."""

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
    """Return the Ruby exception for what Python raised while an expression ran."""
    if isinstance(error, ExpressionError):
        return error
    if isinstance(error, (RecursionError, MemoryError)):
        return BudgetExceeded("the expression needs too much memory or depth for one event")
    for kind, class_name, message in _TRANSLATED:
        if isinstance(error, kind):
            return RubyError(class_name, message or str(error))
    return RubyError("StandardError", f"{type(error).__name__}: {error}")


def rescuable(error: Exception) -> RubyError:
    """Return what a `rescue` clause sees.

    Raises:
        BudgetExceeded: the budget is spent, which nothing may catch.
    """
    translated = as_ruby_error(error)
    if isinstance(translated, RubyError):
        return translated
    raise translated from None


class Budget:
    """Steps left for the expression that runs now. Expressions run one at a time on the event loop's thread.

    Steps alone would not do, since one step may walk through a text of megabytes: time is limited too.
    """

    __slots__ = ("_began", "_look", "left")

    STEPS: Final = 200_000
    SIZE: Final = 4_194_304
    """The longest text or list an expression may build, in characters or items."""
    SECONDS: Final = 2.0
    _EVERY: Final = 64
    """After how many steps the clock is looked at."""

    def __init__(self) -> None:
        self.left = self.STEPS
        self._look = self.STEPS - self._EVERY
        self._began = 0.0

    def reset(self) -> None:
        """Begin a new evaluation."""
        self.left = self.STEPS
        self._look = self.STEPS - self._EVERY

    def spend(self, steps: int = 1) -> None:
        """Take steps: one per turn of a loop or per element handed to a block.

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
    """Raise NoMethodError for a receiver that is described as Ruby 3.2 does.

    Raises:
        RubyError: always.
    """
    raise RubyError("NoMethodError", f"undefined method `{name}' for {described}")
