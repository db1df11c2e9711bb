"""Enumerable: members by pattern, extremes by a block, and less common pieces and arrangements."""

from __future__ import annotations

import itertools
from functools import cmp_to_key
from typing import Any

from logpipe.expression.methods.array import flatten
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.enumerable import each
from logpipe.expression.methods.members import WALKED, Block, members
from logpipe.expression.runtime.arithmetic import integer_argument
from logpipe.expression.runtime.comparison import equal, matches, ordered, truthy
from logpipe.expression.runtime.failures import BUDGET
from logpipe.expression.runtime.values import Enumerator, as_key

methods = Methods()


@methods.of(*WALKED, names="grep", returns=list)
def grep(value: Any, pattern: Any, block: Block | None = None) -> list[Any]:
    """Return the members that a pattern matches by `===`, or the block's results for them."""
    return [member if block is None else block(member) for member in members(value) if matches(pattern, member)]


@methods.of(*WALKED, names="grep_v", returns=list)
def grep_others(value: Any, pattern: Any, block: Block | None = None) -> list[Any]:
    """Return the members that a pattern does not match by `===`, or the block's results for them."""
    return [member if block is None else block(member) for member in members(value) if not matches(pattern, member)]


@methods.of(*WALKED, names="minmax_by", returns=list)
def minimum_and_maximum_by(value: Any, block: Block) -> list[Any]:
    """Return the members with the least and the greatest result of the block."""
    order = cmp_to_key(ordered)
    keyed = [(order(block(member)), member) for member in members(value)]
    if not keyed:
        return [None, None]
    return [min(keyed, key=lambda pair: pair[0])[1], max(keyed, key=lambda pair: pair[0])[1]]


@methods.of(*WALKED, names="chunk")
def chunk(value: Any, block: Block) -> Enumerator:
    """Return runs of members with the same result of the block, each after that result."""
    runs: list[list[Any]] = []
    for member in members(value):
        key = block(member)
        if runs and as_key(runs[-1][0]) == as_key(key):
            runs[-1][1].append(member)
        else:
            runs.append([key, [member]])
    return Enumerator(runs, "each", value)


@methods.of(*WALKED, names="slice_before")
def slice_before(value: Any, *pattern: Any, block: Block | None = None) -> Enumerator:
    """Return runs of members, each beginning where a pattern or the block matches."""
    runs: list[list[Any]] = []
    for member in members(value):
        if runs and not _chosen(member, pattern, block):
            runs[-1].append(member)
        else:
            runs.append([member])
    return Enumerator(runs, "each", value)


@methods.of(*WALKED, names="slice_after")
def slice_after(value: Any, *pattern: Any, block: Block | None = None) -> Enumerator:
    """Return runs of members, each ending where a pattern or the block matches."""
    runs: list[list[Any]] = []
    is_open = False
    for member in members(value):
        if is_open:
            runs[-1].append(member)
        else:
            runs.append([member])
        is_open = not _chosen(member, pattern, block)
    return Enumerator(runs, "each", value)


def _chosen(member: Any, pattern: tuple[Any, ...], block: Block | None) -> bool:
    return matches(pattern[0], member) if pattern else block is not None and truthy(block(member))


@methods.of(list, names="permutation")
def permutations(value: list[Any], size: Any = None, block: Block | None = None) -> Any:
    """Pass each order of so many members to the block."""
    found: list[Any] = []
    for arrangement in itertools.permutations(value, len(value) if size is None else max(0, integer_argument(size))):
        BUDGET.spend(len(arrangement) + 1)
        found.append(list(arrangement))
    return each(Enumerator(found, "each", value), block) if block is None else each(found, block) and value


@methods.of(list, dict, names="rassoc")
def pair_with_value(value: Any, wanted: Any) -> Any:
    """Return the first pair with this value."""
    pairs = (item for item in members(value) if isinstance(item, list) and len(item) > 1)
    return next((pair for pair in pairs if equal(pair[1], wanted)), None)


@methods.of(dict, names="assoc")
def pair_with_key(value: dict[Any, Any], wanted: Any) -> Any:
    """Return the pair with this key."""
    key = as_key(wanted)
    return [wanted, value[key]] if key in value else None


@methods.of(dict, names="flatten", returns=list)
def flat_pairs(value: dict[Any, Any], depth: Any = 1) -> list[Any]:
    """Return keys and values one after the other; `depth` beyond 1 flattens arrays among them."""
    found = [part for pair in members(value) for part in pair]
    levels = integer_argument(depth)
    return found if levels == 1 else flatten(found, levels - 1 if levels > 0 else levels)
