"""Array: the methods that change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logpipe.expression.methods.array import compact, flatten, reverse, rotate, shuffle
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.enumerable import mapped, rejected, selected
from logpipe.expression.methods.enumerable_groups import count_argument, in_order, sort_by, unique
from logpipe.expression.methods.members import Block, members
from logpipe.expression.runtime.arithmetic import integer_argument
from logpipe.expression.runtime.comparison import equal
from logpipe.expression.runtime.failures import check_size
from logpipe.expression.runtime.indexing import array_part
from logpipe.expression.runtime.values import Range

methods = Methods()


@methods.of(list, names="<<", mutates=True)
def append(items: list[Any], item: Any) -> list[Any]:
    """Add a member."""
    check_size(len(items) + 1)
    items.append(item)
    return items


@methods.of(list, names="push append", mutates=True)
def push(items: list[Any], *more: Any) -> list[Any]:
    """Add members at the end."""
    check_size(len(items) + len(more))
    items.extend(more)
    return items


@methods.of(list, names="unshift prepend", mutates=True)
def unshift(items: list[Any], *more: Any) -> list[Any]:
    """Add members at the beginning."""
    check_size(len(items) + len(more))
    items[:0] = more
    return items


@methods.of(list, names="pop", mutates=True)
def pop(items: list[Any], count: Any = None) -> Any:
    """Remove the last member and return it, or the last ones."""
    if count is None:
        return items.pop() if items else None
    taken = items[max(0, len(items) - count_argument(count)) :]
    del items[len(items) - len(taken) :]
    return taken


@methods.of(list, names="shift", mutates=True)
def shift(items: list[Any], count: Any = None) -> Any:
    """Remove the first member and return it, or the first ones."""
    if count is None:
        return items.pop(0) if items else None
    taken = items[: count_argument(count)]
    del items[: len(taken)]
    return taken


@methods.of(list, names="insert", mutates=True)
def insert(items: list[Any], place: Any, *more: Any) -> list[Any]:
    """Add members before a place."""
    position = integer_argument(place)
    position += len(items) + 1 if position < 0 else 0
    check_size(max(position, len(items)) + len(more))
    items.extend([None] * (position - len(items)))
    items[position:position] = more
    return items


@methods.of(list, names="concat", mutates=True)
def concat(items: list[Any], *others: Any) -> list[Any]:
    """Add the members of other arrays."""
    for other in [list(other) for other in others]:
        check_size(len(items) + len(other))
        items.extend(other)
    return items


@methods.of(list, names="delete", mutates=True)
def delete(items: list[Any], wanted: Any) -> Any:
    """Remove all members equal to a value; returns it, or nil where there were none."""
    kept = [item for item in items if not equal(item, wanted)]
    found = len(kept) < len(items)
    items[:] = kept
    return wanted if found else None


@methods.of(list, names="delete_at", mutates=True)
def delete_at(items: list[Any], place: Any) -> Any:
    """Remove the member at a place and return it."""
    position = integer_argument(place)
    return items.pop(position) if -len(items) <= position < len(items) else None


@methods.of(list, names="slice!", mutates=True)
def take_part(items: list[Any], key: Any, length: Any = None) -> Any:
    """Remove a part and return it."""
    found = array_part(items, key, length)
    if found is None:
        return None
    if length is None and not isinstance(key, Range):
        return delete_at(items, key)
    start = key.low or 0 if isinstance(key, Range) else key
    start += len(items) if start < 0 else 0
    del items[start : start + len(found)]
    return found


@methods.of(list, names="clear", mutates=True)
def clear(items: list[Any]) -> list[Any]:
    """Remove all members."""
    items.clear()
    return items


@methods.of(list, names="replace", mutates=True)
def replace(items: list[Any], other: Any) -> list[Any]:
    """Put other members in their place."""
    items[:] = list(other)
    return items


@methods.of(list, names="delete_if", mutates=True)
def delete_if(items: list[Any], block: Block) -> list[Any]:
    """Remove the members for which the block returns true."""
    items[:] = rejected(items, block)
    return items


@methods.of(list, names="keep_if", mutates=True)
def keep_if(items: list[Any], block: Block) -> list[Any]:
    """Remove the members for which the block returns false."""
    items[:] = selected(items, block)
    return items


def _in_place(names: str, change: Callable[..., list[Any]], *, nil_if_same: bool, yields: int = 1) -> None:
    """Register the form with `!` of a method that returns a changed copy."""

    def changed(items: list[Any], *args: Any, block: Block | None = None) -> list[Any] | None:
        result = change(items, *args) if block is None else change(items, *args, block=block)
        same = len(result) == len(items) and all(new is old for new, old in zip(result, items, strict=True))
        items[:] = result
        return None if same and nil_if_same else items

    methods.of(list, names=names, yields=yields, mutates=True)(changed)


_in_place("compact!", compact, nil_if_same=True)
_in_place("flatten!", flatten, nil_if_same=True)
_in_place("uniq!", unique, nil_if_same=True)
_in_place("reject!", rejected, nil_if_same=True)
_in_place("select! filter!", selected, nil_if_same=True)
_in_place("map! collect!", mapped, nil_if_same=False)
_in_place("reverse!", reverse, nil_if_same=False)
_in_place("rotate!", rotate, nil_if_same=False)
_in_place("shuffle!", shuffle, nil_if_same=False)
_in_place("sort!", lambda items, block=None: in_order(members(items), block), nil_if_same=False, yields=2)
_in_place("sort_by!", sort_by, nil_if_same=False)
