"""The common methods of arrays, hashes, ranges and enumerators: iteration over members."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.members import WALKED, Block, members, waiting
from logpipe.expression.runtime.arithmetic import integer_argument, plus
from logpipe.expression.runtime.comparison import equal, matches, truthy
from logpipe.expression.runtime.failures import BUDGET, RubyError
from logpipe.expression.runtime.values import Enumerator, Range

methods = Methods()


@methods.of(*WALKED, names="each each_pair each_entry")
def each(value: Any, block: Block | None = None) -> Any:
    """Pass each member to the block and return the receiver."""
    if block is None:
        return waiting(value, "each")
    if isinstance(value, list):  # Ruby includes members that the block adds
        place = 0
        while place < len(value):
            BUDGET.spend()
            block(value[place])
            place += 1
        return value
    for member in members(value):
        block(member)
    return value


@methods.of(*WALKED, names="reverse_each")
def reverse_each(value: Any, block: Block | None = None) -> Any:
    """Pass each member to the block, the last one first."""
    if block is None:
        return Enumerator(members(value)[::-1], "each", value)
    for member in members(value)[::-1]:
        block(member)
    return value


@methods.of(list, dict, Range, names="each_with_index", yields=2)
def each_with_index(value: Any, block: Block | None = None) -> Any:
    """Pass each member and its number to the block."""
    pairs = [[member, place] for place, member in enumerate(members(value))]
    if block is None:
        return Enumerator(pairs, "each", value)
    for member, place in pairs:
        block(member, place)
    return value


@methods.of(*WALKED, names="each_index")
def each_index(value: Any, block: Block | None = None) -> Any:
    """Pass each number of a place to the block."""
    places = list(range(len(members(value))))
    if block is None:
        return Enumerator(places, "each", value)
    for place in places:
        block(place)
    return value


@methods.of(*WALKED, names="each_with_object", yields=2)
def each_with_object(value: Any, memo: Any, block: Block) -> Any:
    """Pass each member and one object to the block, and return the object."""
    for member in members(value):
        block(member, memo)
    return memo


@methods.of(*WALKED, names="map collect", returns=None)
def mapped(value: Any, block: Block | None = None) -> Any:
    """Return the result of the block for each member."""
    if block is None:
        return waiting(value, "map")
    return [block(member) for member in members(value)]


@methods.of(*WALKED, names="flat_map collect_concat")
def flat_mapped(value: Any, block: Block | None = None) -> Any:
    """Return the results of the block for each member, arrays flattened."""
    if block is None:
        return waiting(value, "flat_map")
    found: list[Any] = []
    for member in members(value):
        result = block(member)
        if isinstance(result, list):
            found += result
        else:
            found.append(result)
    return found


@methods.of(*WALKED, names="filter_map")
def filter_mapped(value: Any, block: Block | None = None) -> Any:
    """Return the true results of the block for the members."""
    if block is None:
        return waiting(value, "filter_map")
    return [result for member in members(value) if truthy(result := block(member))]


@methods.of(*WALKED, names="find_all")
@methods.of(list, Range, Enumerator, names="select filter")
def selected(value: Any, block: Block | None = None) -> Any:
    """Return the members for which the block returns true."""
    if block is None:
        return waiting(value, "select")
    return [member for member in members(value) if truthy(block(member))]


@methods.of(list, Range, Enumerator, names="reject")
def rejected(value: Any, block: Block | None = None) -> Any:
    """Return the members for which the block returns false."""
    if block is None:
        return waiting(value, "reject")
    return [member for member in members(value) if not truthy(block(member))]


@methods.of(*WALKED, names="partition")
def parted(value: Any, block: Block) -> Any:
    """Return the members for which the block returns true, and the others."""
    liked: list[Any] = []
    others: list[Any] = []
    for member in members(value):
        (liked if truthy(block(member)) else others).append(member)
    return [liked, others]


@methods.of(*WALKED, names="find detect")
def found(value: Any, block: Block | None = None) -> Any:
    """Return the first member for which the block returns true, nil where there is none."""
    if block is None:
        return waiting(value, "find")
    return next((member for member in members(value) if truthy(block(member))), None)


@methods.of(*WALKED, names="find_index index")
def place_of(value: Any, *wanted: Any, block: Block | None = None) -> Any:
    """Return the place of a member, or of the first for which the block returns true; nil where there is none."""
    test = _test(wanted, block)
    return next((place for place, member in enumerate(members(value)) if test(member)), None)


def _test(pattern: tuple[Any, ...], block: Block | None) -> Callable[[Any], bool]:
    if pattern:
        return lambda member: equal(member, pattern[0])
    if block is None:
        return truthy
    return lambda member: truthy(block(member))


def _pattern_test(pattern: tuple[Any, ...], block: Block | None) -> Callable[[Any], bool]:
    if pattern:
        return lambda member: matches(pattern[0], member)
    return _test((), block)


@methods.of(*WALKED, names="all?", returns=bool)
def all_of(value: Any, *pattern: Any, block: Block | None = None) -> bool:
    """Return whether all members match a pattern, or the block returns true for them, or they are true."""
    return all(map(_pattern_test(pattern, block), members(value)))


@methods.of(list, Range, Enumerator, names="any?", returns=bool)
def any_of(value: Any, *pattern: Any, block: Block | None = None) -> bool:
    """Return whether a member matches a pattern, or the block returns true for it, or it is true."""
    return any(map(_pattern_test(pattern, block), members(value)))


@methods.of(*WALKED, names="none?", returns=bool)
def none_of(value: Any, *pattern: Any, block: Block | None = None) -> bool:
    """Return whether no member matches, or is true, or has a true result of the block."""
    return not any_of(value, *pattern, block=block)


@methods.of(*WALKED, names="one?", returns=bool)
def one_of(value: Any, *pattern: Any, block: Block | None = None) -> bool:
    """Return whether exactly one member matches, or is true, or has a true result of the block."""
    return sum(map(_pattern_test(pattern, block), members(value))) == 1


@methods.of(list, dict, Enumerator, names="count", returns=int)
def counted(value: Any, *wanted: Any, block: Block | None = None) -> int:
    """Return the number of members, of those equal to one, or of those for which the block returns true."""
    if not wanted and block is None:
        return len(members(value))
    return sum(map(_test(wanted, block), members(value)))


@methods.of(list, Enumerator, names="include? member?", returns=bool)
def includes(value: Any, wanted: Any) -> bool:
    """Return whether a member equals the value."""
    return any(equal(member, wanted) for member in members(value))


@methods.of(*WALKED, names="sum")
def total(value: Any, start: Any = 0, block: Block | None = None) -> Any:
    """Return the sum of the members, or of the block's results for them.

    As in Ruby, errors of adding Floats are compensated (Kahan and Babuska).
    """
    result, lost = start, 0.0
    for member in members(value):
        item = member if block is None else block(member)
        if type(item) in (int, float) and type(result) in (int, float) and float in (type(item), type(result)):
            before, result = result, plus(result, item)
            if math.isfinite(result):
                lost += (before - result) + item if abs(before) >= abs(item) else (item - result) + before
        else:
            result = plus(result, item)
    return plus(result, lost) if lost else result


@methods.of(*WALKED, names="to_a entries", returns=list)
def to_a(value: Any) -> list[Any]:
    """Return the members as an Array."""
    return value if isinstance(value, list) else list(members(value))


@methods.of(list, dict, Range, Enumerator, names="each_slice", returns=None)
def slices(value: Any, size: Any, block: Block | None = None) -> Any:
    """Pass slices of so many members to the block.

    Raises:
        RubyError: the number is not positive (ArgumentError).
    """
    width = integer_argument(size)
    if width <= 0:
        raise RubyError("ArgumentError", "invalid slice size")
    items = members(value)
    return _handed(value, [items[at : at + width] for at in range(0, len(items), width)], block)


def _handed(value: Any, pieces: list[Any], block: Block | None) -> Any:
    """Pass pieces to the block and return the receiver, or an Enumerator without a block."""
    if block is None:
        return Enumerator(pieces, "each", value)
    for piece in pieces:
        block(piece)
    return value


@methods.of(list, dict, Range, Enumerator, names="each_cons", returns=None)
def windows(value: Any, size: Any, block: Block | None = None) -> Any:
    """Pass each run of so many members to the block.

    Raises:
        RubyError: the number is not positive (ArgumentError).
    """
    width = integer_argument(size)
    if width <= 0:
        raise RubyError("ArgumentError", "invalid size")
    items = members(value)
    BUDGET.spend(min(width, len(items)) * max(0, len(items) - width))
    return _handed(value, [items[at : at + width] for at in range(len(items) - width + 1)], block)


@methods.of(Enumerator, names="with_index each_with_index", yields=2)
def with_index(value: Enumerator, offset: Any = 0, block: Block | None = None) -> Any:
    """Run the method that waits for its block, which also gets each member's number."""
    first = 0 if offset is None else integer_argument(offset)
    pairs = [[member, place] for place, member in enumerate(members(value), start=first)]
    if block is None:
        return Enumerator(pairs, value.method, value.receiver)
    results = [block(member, place) for member, place in pairs]
    return _finish(value, [member for member, _ in pairs], results)


@methods.of(Enumerator, names="with_object", yields=2)
def with_object(value: Enumerator, memo: Any, block: Block) -> Any:
    """Pass each member and one object to the block, and return the object."""
    return each_with_object(value, memo, block=block)


def _finish(value: Enumerator, items: list[Any], results: list[Any]) -> Any:
    """Return the waiting method's result from the block's results."""
    pairs = zip(items, results, strict=True)
    match value.method:
        case "map":
            return results
        case "flat_map":
            return [part for result in results for part in (result if isinstance(result, list) else [result])]
        case "filter_map":
            return [result for result in results if truthy(result)]
        case "select":
            return [item for item, result in pairs if truthy(result)]
        case "reject":
            return [item for item, result in pairs if not truthy(result)]
        case "find":
            return next((item for item, result in pairs if truthy(result)), None)
    return value.receiver


@methods.of(Enumerator, names="size length", returns=int)
def size(value: Enumerator) -> int:
    """Return the number of members."""
    return len(value.values)


@methods.of(*WALKED, names="lazy eager force")
def lazy(value: Any) -> Any:
    """Return the receiver, since nothing here is infinite."""
    return value
