"""`receiver[key]` and `receiver[key] = value` over every type."""

from __future__ import annotations

from typing import Any

from logpipe.expression.regexp.pattern import python_group
from logpipe.expression.runtime.arithmetic import integer_argument, string_argument
from logpipe.expression.runtime.failures import RubyError, check_size, no_method
from logpipe.expression.runtime.matches import LAST_MATCH, MatchData, Regexp
from logpipe.expression.runtime.text import class_name, describe, inspect
from logpipe.expression.runtime.values import DefaultHash, Proc, Range, Symbol, as_key


def index(receiver: Any, *keys: Any) -> Any:
    """Return `receiver[key]`, or `receiver[start, length]`.

    Raises:
        RubyError: the receiver has no parts (nil: NoMethodError), or the key's type is wrong (TypeError).
    """
    kind = type(receiver)
    if kind is dict and len(keys) == 1:
        key = keys[0]
        return receiver.get(key if type(key) is str else as_key(key))
    if kind is str:
        return string_part(receiver, *keys)
    if isinstance(receiver, list):
        return array_part(receiver, *keys)
    if isinstance(receiver, DefaultHash):
        return hash_value(receiver, *keys)
    if isinstance(receiver, MatchData):
        return group(receiver, *keys)
    if isinstance(receiver, Proc):
        return receiver(*keys)
    if isinstance(receiver, Symbol):
        return string_part(receiver.name, *keys)
    if kind is not int:
        no_method("[]", describe(receiver))
    return bit(receiver, *keys)


def bit(value: int, place: Any) -> int:
    """Return one bit of a number."""
    return value >> min(integer_argument(place), 1 << 16) & 1


def hash_value(values: dict[Any, Any], key: Any) -> Any:
    """Return a hash's value, its default where the key is missing."""
    plain = as_key(key)
    if plain in values:
        return values[plain]
    if isinstance(values, DefaultHash):
        return values.default if values.maker is None else values.maker(values, key)
    return None


def bounds(values: Range, length: int) -> tuple[int, int] | None:
    """Return start and count of a range of places; None where it begins outside."""
    start = 0 if values.low is None else integer_argument(values.low)
    end = length - 1 if values.high is None else integer_argument(values.high)
    start += length if start < 0 else 0
    end += length if end < 0 else 0
    if not 0 <= start <= length:
        return None
    return start, max(0, end - start + (0 if values.exclusive and values.high is not None else 1))


def _span(key: Any, size: Any, length: int) -> tuple[int, int] | None:
    """Return start and count for `[start, count]`; None where it begins outside."""
    start, count = integer_argument(key), integer_argument(size)
    start += length if start < 0 else 0
    return (start, count) if 0 <= start <= length and count >= 0 else None


def string_part(text: str, key: Any, length: Any = None) -> str | None:
    """Return a character, a span, a match or one of its groups, or the given text if it is contained; else nil.

    Raises:
        RubyError: the key's type is wrong (TypeError).
    """
    if isinstance(key, Regexp):
        found = LAST_MATCH.note(key.search(text), key)
        if found is None:
            return None
        result: str | None = found.match[0] if length is None else group(found, length)
        return result
    if length is not None:
        span = _span(key, length, len(text))
        return None if span is None else text[span[0] : sum(span)]
    if type(key) is int:
        return text[key] if -len(text) <= key < len(text) else None
    if isinstance(key, str):
        return key if key in text else None
    if isinstance(key, Range):
        span = bounds(key, len(text))
        return None if span is None else text[span[0] : sum(span)]
    return string_part(text, integer_argument(key))


def array_part(items: list[Any], key: Any, length: Any = None) -> Any:
    """Return a member, or a list of them for a span; nil outside.

    Raises:
        RubyError: the key is no number or range (TypeError).
    """
    if length is not None:
        span = _span(key, length, len(items))
        return None if span is None else items[span[0] : sum(span)]
    if type(key) is int:
        return items[key] if -len(items) <= key < len(items) else None
    if isinstance(key, Range):
        span = bounds(key, len(items))
        return None if span is None else items[span[0] : sum(span)]
    return array_part(items, integer_argument(key))


def group(data: MatchData, key: Any, length: Any = None) -> Any:
    """Return a group of a match by number, name or range.

    Raises:
        RubyError: there is no group of that name (IndexError).
    """
    if isinstance(key, (str, Symbol)):
        name = key.name if isinstance(key, Symbol) else key
        if python_group(name) not in data.match.re.groupindex:
            raise RubyError("IndexError", f"undefined group name reference: {name}")
        return data.match[python_group(name)]
    return array_part([data.match[0], *data.match.groups()], key, length)


def dig(receiver: Any, *keys: Any) -> Any:
    """Return the value at the end of a path of keys; nil where a step is nil.

    Raises:
        RubyError: a step is no hash, array or match (TypeError).
    """
    for key in keys:
        if receiver is None:
            return None
        if isinstance(receiver, dict):
            receiver = receiver.get(key) if type(key) is str and type(receiver) is dict else hash_value(receiver, key)
        elif isinstance(receiver, (list, MatchData)):
            receiver = index(receiver, key)
        else:
            raise RubyError("TypeError", f"{class_name(receiver)} does not have #dig method")
    return receiver


def store(receiver: Any, key: Any, value: Any) -> None:
    """Do `receiver[key] = value` for a hash or an array; for strings see `replace_part`.

    Raises:
        RubyError: the receiver has no such members (NoMethodError), or the place is outside (IndexError).
    """
    if isinstance(receiver, dict):
        receiver[as_key(key)] = value
    elif isinstance(receiver, list):
        _store_in_array(receiver, key, value)
    else:
        no_method("[]=", describe(receiver))


def _store_in_array(items: list[Any], key: Any, value: Any) -> None:
    if isinstance(key, Range):
        span = bounds(key, len(items))
        if span is None:
            raise RubyError("RangeError", f"{inspect(key)} out of range")
        items[span[0] : sum(span)] = value if isinstance(value, list) else [value]
        return
    place = integer_argument(key)
    place += len(items) if place < 0 else 0
    if place < 0:
        raise RubyError("IndexError", f"index {key} too small for array")
    check_size(place)
    items.extend([None] * (place + 1 - len(items)))
    items[place] = value


def replace_part(text: str, key: Any, value: Any) -> str:
    """Return the text after `text[key] = value`.

    Raises:
        RubyError: there is no such part (IndexError), or the value is no String.
    """
    put = string_argument(value)
    if type(key) is int:
        start = key + len(text) if key < 0 else key
        if not 0 <= start < len(text) + (key >= 0):
            raise RubyError("IndexError", f"index {key} out of string")
        end = start + 1
    elif isinstance(key, Range):
        span = bounds(key, len(text))
        if span is None:
            raise RubyError("RangeError", f"{inspect(key)} out of range")
        start, end = span[0], sum(span)
    elif isinstance(key, Regexp):
        found = LAST_MATCH.note(key.search(text), key)
        if found is None:
            raise RubyError("IndexError", "regexp not matched")
        start, end = found.match.span()
    else:
        start = text.find(string_argument(key))
        if start < 0:
            raise RubyError("IndexError", "string not matched")
        end = start + len(key)
    check_size(len(text) + len(put))
    return text[:start] + put + text[end:]
