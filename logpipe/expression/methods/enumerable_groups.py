"""Enumerable: order, groups, and pieces."""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.members import WALKED, Block, first_members, members, waiting
from logpipe.expression.runtime.arithmetic import integer_argument
from logpipe.expression.runtime.comparison import ordered, truthy
from logpipe.expression.runtime.failures import BUDGET, BudgetExceeded, RubyError
from logpipe.expression.runtime.text import class_name
from logpipe.expression.runtime.values import Enumerator, Range, as_key, from_key

methods = Methods()


def in_order(items: list[Any], block: Block | None = None) -> list[Any]:
    """Return the members sorted, by their own order or by the block's comparison.

    Raises:
        RubyError: two members have no order (ArgumentError).
    """
    if block is None and (all(type(item) is str for item in items) or all(type(item) is int for item in items)):
        return sorted(items)
    compare = ordered if block is None else lambda left, right: _decided(block(left, right))
    return sorted(items, key=cmp_to_key(compare))


def _decided(order: Any) -> int:
    if type(order) not in (int, float):
        raise RubyError("ArgumentError", f"comparison of {class_name(order)} with 0 failed")
    return int(order > 0) - int(order < 0)


@methods.of(*WALKED, names="sort", yields=2, returns=list)
def sort(value: Any, block: Block | None = None) -> list[Any]:
    """Return the members sorted."""
    return in_order(members(value), block)


@methods.of(*WALKED, names="sort_by")
def sort_by(value: Any, block: Block | None = None) -> Any:
    """Return the members sorted by the result of the block for each."""
    if block is None:
        return waiting(value, "sort_by")
    keyed = [(block(member), member) for member in members(value)]
    order = cmp_to_key(ordered)
    return [member for _, member in sorted(keyed, key=lambda pair: order(pair[0]))]


def _extreme(value: Any, count: Any, block: Block | None, *, last: bool) -> Any:
    items = in_order(members(value), block)
    if last:
        items = items[::-1]
    if count is None:
        return items[0] if items else None
    return items[: integer_argument(count)]


@methods.of(list, dict, Enumerator, names="min", yields=2)
def minimum(value: Any, count: Any = None, block: Block | None = None) -> Any:
    """Return the least member, or the least ones."""
    return _extreme(value, count, block, last=False)


@methods.of(list, dict, Enumerator, names="max", yields=2)
def maximum(value: Any, count: Any = None, block: Block | None = None) -> Any:
    """Return the greatest member, or the greatest ones."""
    return _extreme(value, count, block, last=True)


@methods.of(*WALKED, names="minmax", yields=2, returns=list)
def minimum_and_maximum(value: Any, block: Block | None = None) -> list[Any]:
    """Return the least and the greatest member."""
    items = in_order(members(value), block)
    return [items[0], items[-1]] if items else [None, None]


@methods.of(*WALKED, names="min_by")
def minimum_by(value: Any, count: Any = None, block: Block | None = None) -> Any:
    """Return the member with the least result of the block."""
    items = sort_by(value, block=block)
    return (items[0] if items else None) if count is None else items[: integer_argument(count)]


@methods.of(*WALKED, names="max_by")
def maximum_by(value: Any, count: Any = None, block: Block | None = None) -> Any:
    """Return the member with the greatest result of the block."""
    keyed = [(block(member), member) for member in members(value)] if block is not None else []
    order = cmp_to_key(ordered)
    items = [member for _, member in sorted(keyed, key=lambda pair: order(pair[0]), reverse=True)]
    return (items[0] if items else None) if count is None else items[: integer_argument(count)]


@methods.of(*WALKED, names="group_by")
def group_by(value: Any, block: Block | None = None) -> Any:
    """Return the members grouped by the block's result for them."""
    if block is None:
        return waiting(value, "group_by")
    groups: dict[Any, Any] = {}
    for member in members(value):
        groups.setdefault(as_key(block(member)), []).append(member)
    return groups


@methods.of(*WALKED, names="chunk_while", yields=2)
def chunk_while(value: Any, block: Block) -> list[Any]:
    """Return runs of members, as long as the block returns true for adjacent ones."""
    return _runs(value, lambda left, right: truthy(block(left, right)))


@methods.of(*WALKED, names="slice_when", yields=2)
def slice_when(value: Any, block: Block) -> list[Any]:
    """Return runs of members, cut where the block returns true."""
    return _runs(value, lambda left, right: not truthy(block(left, right)))


def _runs(value: Any, together: Callable[[Any, Any], bool]) -> list[Any]:
    runs: list[list[Any]] = []
    for member in members(value):
        if runs and together(runs[-1][-1], member):
            runs[-1].append(member)
        else:
            runs.append([member])
    return runs


@methods.of(*WALKED, names="tally", returns=dict)
def tally(value: Any) -> dict[Any, Any]:
    """Return the number of occurrences of each member."""
    counts: dict[Any, Any] = {}
    for member in members(value):
        key = as_key(member)
        counts[key] = counts.get(key, 0) + 1
    return counts


@methods.of(*WALKED, names="uniq", returns=list)
def unique(value: Any, block: Block | None = None) -> list[Any]:
    """Return the members without duplicates, of themselves or of the block's results for them."""
    seen: dict[Any, Any] = {}
    for member in members(value):
        seen.setdefault(as_key(member if block is None else block(member)), member)
    return list(seen.values())


@methods.of(*WALKED, names="to_set", returns=list)
def to_set(value: Any) -> list[Any]:
    """Return the members once each; a set is an Array here."""
    return unique(value)


@methods.of(*WALKED, names="zip")
def zipped(value: Any, *others: Any, block: Block | None = None) -> Any:
    """Return each member with those at the same place of other arrays, or hand that to the block.

    Raises:
        RubyError: an argument has no members (TypeError).
    """
    for other in others:
        if not isinstance(other, WALKED):
            raise RubyError("TypeError", f"wrong argument type {class_name(other)} (must respond to :each)")
    lists = [members(other) for other in others]
    rows = [
        [member, *(items[place] if place < len(items) else None for items in lists)]
        for place, member in enumerate(members(value))
    ]
    if block is None:
        return rows
    for row in rows:
        block(row)
    return None


@methods.of(list, dict, Enumerator, names="first")
def first(value: Any, count: Any = None) -> Any:
    """Return the first member, or the first ones."""
    if count is None:
        if isinstance(value, dict):
            return next(([from_key(key), item] for key, item in value.items()), None)
        items = members(value)
        return items[0] if items else None
    return members(value)[: count_argument(count)]


def count_argument(count: Any) -> int:
    """Return a number of members.

    Raises:
        RubyError: it is negative (ArgumentError).
    """
    wanted = integer_argument(count)
    if wanted < 0:
        raise RubyError("ArgumentError", "negative array size (or size too big)")
    return wanted


@methods.of(*WALKED, names="take", returns=list)
def take(value: Any, count: Any) -> list[Any]:
    """Return the first members."""
    wanted = count_argument(count)
    return first_members(value, wanted) if isinstance(value, Range) else members(value)[:wanted]


@methods.of(*WALKED, names="drop", returns=list)
def drop(value: Any, count: Any) -> list[Any]:
    """Return the members after the first ones."""
    return members(value)[count_argument(count) :]


@methods.of(*WALKED, names="take_while", returns=list)
def take_while(value: Any, block: Block) -> list[Any]:
    """Return the members before the first for which the block returns false."""
    taken: list[Any] = []
    for member in members(value):
        if not truthy(block(member)):
            break
        taken.append(member)
    return taken


@methods.of(*WALKED, names="drop_while", returns=list)
def drop_while(value: Any, block: Block) -> list[Any]:
    """Return the members from the first on for which the block returns false."""
    items = members(value)
    for place, member in enumerate(items):
        if not truthy(block(member)):
            return items[place:]
    return []


@methods.of(*WALKED, names="cycle")
def cycle(value: Any, turns: Any = None, block: Block | None = None) -> Any:
    """Pass the members to the block again and again, until the budget ends it."""
    items = members(value)
    if block is None:
        if turns is None:
            raise BudgetExceeded("cycle never ends: give it a number of turns, or a block that breaks")
        count = max(0, integer_argument(turns))
        BUDGET.spend(count * len(items))
        return Enumerator(list(items) * count, "each", value)
    turn = 0
    while items and (turns is None or turn < integer_argument(turns)):
        for member in items:
            BUDGET.spend()
            block(member)
        turn += 1
    return None


@methods.of(*WALKED, names="to_h", returns=dict)
def to_h(value: Any, block: Block | None = None) -> dict[Any, Any]:
    """Return the pairs as a Hash, or the pairs that the block makes of the members.

    Raises:
        RubyError: a member is not a pair (TypeError).
    """
    if block is None and isinstance(value, dict):
        return value
    result: dict[Any, Any] = {}
    for place, member in enumerate(members(value)):
        pair = member if block is None else block(member)
        if not isinstance(pair, list) or len(pair) != 2:
            raise RubyError("TypeError", f"wrong element type {class_name(pair)} at {place} (expected array)")
        result[as_key(pair[0])] = pair[1]
    return result
