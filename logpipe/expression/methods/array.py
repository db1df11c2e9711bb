"""Array."""

from __future__ import annotations

import random
from typing import Any

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.enumerable_groups import count_argument, unique
from logpipe.expression.methods.members import Block, members
from logpipe.expression.runtime.arithmetic import bit_and, bit_or, integer_argument, minus, plus, times
from logpipe.expression.runtime.comparison import equal, truthy
from logpipe.expression.runtime.failures import BUDGET, BudgetExceeded, RubyError, check_size
from logpipe.expression.runtime.indexing import array_part, dig, store
from logpipe.expression.runtime.text import join, to_s
from logpipe.expression.runtime.values import Range

methods = Methods()

methods.of(list, names="+", returns=list)(plus)
methods.of(list, names="-", returns=list)(minus)
methods.of(list, names="*")(times)
methods.of(list, names="&", returns=list)(bit_and)
methods.of(list, names="|", returns=list)(bit_or)
methods.of(list, names="[] slice")(array_part)
methods.of(list, names="dig")(dig)


@methods.of(list, names="size length", returns=int)
def size(items: list[Any]) -> int:
    """Return the number of members."""
    return len(items)


@methods.of(list, names="empty?", returns=bool)
def is_empty(items: list[Any]) -> bool:
    """Return whether there are no members."""
    return not items


@methods.of(list, names="join", returns=str)
def joined(items: list[Any], separator: Any = None) -> str:
    """Return the members' texts, joined."""
    return join(items, "" if separator is None else to_s(separator))


@methods.of(list, names="last")
def last(items: list[Any], count: Any = None) -> Any:
    """Return the last member, or the last ones."""
    if count is None:
        return items[-1] if items else None
    return items[max(0, len(items) - count_argument(count)) :]


@methods.of(list, names="at")
def at(items: list[Any], place: Any) -> Any:
    """Return the member at a place, nil outside."""
    return array_part(items, integer_argument(place))


@methods.of(list, names="fetch")
def fetch(items: list[Any], place: Any, *default: Any, block: Block | None = None) -> Any:
    """Return the member at a place; outside, the default or the block's result.

    Raises:
        RubyError: the place is outside and there is no default (IndexError).
    """
    position = integer_argument(place)
    if -len(items) <= position < len(items):
        return items[position]
    if block is not None:
        return block(place)
    if default:
        return default[0]
    raise RubyError("IndexError", f"index {position} outside of array bounds: {-len(items)}...{len(items)}")


@methods.of(list, names="values_at", returns=list)
def values_at(items: list[Any], *places: Any) -> list[Any]:
    """Return the members at several places."""
    found: list[Any] = []
    for place in places:
        part = array_part(items, place)
        found += part or [] if isinstance(place, Range) else [part]
    return found


@methods.of(list, names="compact", returns=list)
def compact(items: list[Any]) -> list[Any]:
    """Return the members that are not nil."""
    return [item for item in items if item is not None]


@methods.of(list, names="flatten", returns=list)
def flatten(items: list[Any], levels: Any = -1) -> list[Any]:
    """Return the members, nested arrays replaced by theirs.

    Raises:
        BudgetExceeded: the arrays are nested more than 100 deep.
    """
    return _flattened(items, -1 if levels is None else integer_argument(levels), 0)


def _flattened(items: list[Any], levels: int, depth: int) -> list[Any]:
    if depth > 100:
        raise BudgetExceeded("the array is nested too deeply to be flattened")
    flat: list[Any] = []
    for item in items:
        if isinstance(item, list) and depth != levels:
            flat += _flattened(item, levels, depth + 1)
        else:
            flat.append(item)
        check_size(len(flat))
    BUDGET.spend(len(flat))
    return flat


@methods.of(list, names="reverse", returns=list)
def reverse(items: list[Any]) -> list[Any]:
    """Return the members from last to first."""
    return items[::-1]


@methods.of(list, names="rotate", returns=list)
def rotate(items: list[Any], places: Any = 1) -> list[Any]:
    """Return the members with the first ones moved to the end."""
    by = integer_argument(places) % len(items) if items else 0
    return items[by:] + items[:by]


@methods.of(list, names="rindex")
def last_place(items: list[Any], *wanted: Any, block: Block | None = None) -> int | None:
    """Return the last place of a member, or of one for which the block returns true."""
    for place in range(len(items) - 1, -1, -1):
        BUDGET.spend()
        if equal(items[place], wanted[0]) if wanted else block is not None and truthy(block(items[place])):
            return place
    return None


@methods.of(list, names="transpose", returns=list)
def transpose(items: list[Any]) -> list[Any]:
    """Return rows as columns.

    Raises:
        RubyError: the rows differ in length (IndexError).
    """
    if len({len(row) for row in items}) > 1:
        raise RubyError("IndexError", "element size differs")
    return [list(column) for column in zip(*items, strict=True)]


@methods.of(list, names="product", returns=list)
def product(items: list[Any], *others: Any) -> list[Any]:
    """Return all combinations of one member of each array."""
    rows: list[list[Any]] = [[item] for item in items]
    for other in others:
        BUDGET.spend(len(rows) * len(other))
        rows = [[*row, item] for row in rows for item in other]
    return rows


@methods.of(list, names="combination", returns=list)
def combination(items: list[Any], count: Any) -> list[Any]:
    """Return all combinations of so many members, in their order."""
    from itertools import combinations  # noqa: PLC0415 - rarely used

    found: list[Any] = []
    for chosen in combinations(items, min(integer_argument(count), len(items) + 1)):
        BUDGET.spend()
        found.append(list(chosen))
    return found


@methods.of(list, names="sample")
def sample(items: list[Any]) -> Any:
    """Return a random member, nil of none."""
    return random.choice(items) if items else None


@methods.of(list, names="shuffle", returns=list)
def shuffle(items: list[Any]) -> list[Any]:
    """Return the members in random order."""
    return random.sample(items, len(items))


@methods.of(list, names="assoc")
def assoc(items: list[Any], key: Any) -> Any:
    """Return the first pair that begins with `key`."""
    return next((item for item in items if isinstance(item, list) and item and equal(item[0], key)), None)


@methods.of(list, names="intersection", returns=list)
def intersection(items: list[Any], *others: Any) -> list[Any]:
    """Return the members that all arrays have."""
    for other in others:
        items = bit_and(items, other)
    return items


@methods.of(list, names="union", returns=list)
def union(items: list[Any], *others: Any) -> list[Any]:
    """Return the members that any of the arrays has."""
    for other in others:
        items = bit_or(items, other)
    return unique(items)


@methods.of(list, names="difference", returns=list)
def difference(items: list[Any], *others: Any) -> list[Any]:
    """Return the members that none of the others has."""
    for other in others:
        items = minus(items, other)
    return items


@methods.of(list, names="intersect?", returns=bool)
def intersects(items: list[Any], other: Any) -> bool:
    """Return whether the two have a member in common."""
    return bool(bit_and(items, other))


@methods.of(list, names="bsearch")
def search_sorted(items: list[Any], block: Block) -> Any:
    """Return the first member for which the block returns true."""
    return next((item for item in members(items) if truthy(block(item))), None)


@methods.of(list, names="fill", mutates=True)
def fill(items: list[Any], value: Any = None) -> list[Any]:
    """Put one value in every place."""
    items[:] = [value] * len(items)
    return items


@methods.of(list, names="[]=", mutates=True)
def put(items: list[Any], place: Any, value: Any) -> Any:
    """Put a value in a place."""
    store(items, place, value)
    return value
