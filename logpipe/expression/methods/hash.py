"""Hash: its own methods and those that return a Hash; those shared with arrays are in `enumerable`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.members import Block, waiting
from logpipe.expression.runtime.comparison import equal, matches, truthy
from logpipe.expression.runtime.failures import BUDGET, RubyError
from logpipe.expression.runtime.indexing import dig, hash_value
from logpipe.expression.runtime.text import inspect
from logpipe.expression.runtime.values import DefaultHash, Enumerator, Yielded, as_key, from_key

methods = Methods()

Values = dict[Any, Any]

methods.of(dict, names="[]")(hash_value)
methods.of(dict, names="dig")(dig)


@methods.of(dict, names="size length", returns=int)
def size(values: Values) -> int:
    """Return the number of pairs."""
    return len(values)


@methods.of(dict, names="empty?", returns=bool)
def is_empty(values: Values) -> bool:
    """Return whether there are no pairs."""
    return not values


@methods.of(dict, names="key? has_key? include? member?", returns=bool)
def has_key(values: Values, key: Any) -> bool:
    """Return whether there is a value under the key."""
    return as_key(key) in values


@methods.of(dict, names="value? has_value?", returns=bool)
def has_value(values: Values, wanted: Any) -> bool:
    """Return whether any key has the value."""
    return any(equal(item, wanted) for item in values.values())


@methods.of(dict, names="key")
def key_of(values: Values, wanted: Any) -> Any:
    """Return the first key of a value."""
    return next((from_key(key) for key, item in values.items() if equal(item, wanted)), None)


@methods.of(dict, names="keys", returns=list)
def keys(values: Values) -> list[Any]:
    """Return the keys."""
    return list(map(from_key, values))


@methods.of(dict, names="values", returns=list)
def value_list(values: Values) -> list[Any]:
    """Return the values."""
    return list(values.values())


@methods.of(dict, names="fetch")
def fetch(values: Values, key: Any, *default: Any, block: Block | None = None) -> Any:
    """Return the value of a key, else the default or the block's result.

    Raises:
        RubyError: the key is missing and there is no default (KeyError).
    """
    plain = as_key(key)
    if plain in values:
        return values[plain]
    if block is not None:
        return block(key)
    if default:
        return default[0]
    raise RubyError("KeyError", f"key not found: {inspect(key)}")


@methods.of(dict, names="values_at", returns=list)
def values_at(values: Values, *wanted: Any) -> list[Any]:
    """Return the values of several keys."""
    return [hash_value(values, key) for key in wanted]


@methods.of(dict, names="fetch_values", returns=list)
def fetch_values(values: Values, *wanted: Any) -> list[Any]:
    """Return the values of several keys, which must exist."""
    return [fetch(values, key) for key in wanted]


@methods.of(dict, names="slice", returns=dict)
def sliced(values: Values, *wanted: Any) -> Values:
    """Return the pairs of several keys."""
    return {plain: values[plain] for key in wanted if (plain := as_key(key)) in values}


@methods.of(dict, names="except", returns=dict)
def without(values: Values, *unwanted: Any) -> Values:
    """Return the pairs of all other keys."""
    gone = set(map(as_key, unwanted))
    return {key: item for key, item in values.items() if key not in gone}


@methods.of(dict, names="invert", returns=dict)
def invert(values: Values) -> Values:
    """Return values as keys and keys as values."""
    return {as_key(item): from_key(key) for key, item in values.items()}


@methods.of(dict, names="compact", returns=dict)
def compact(values: Values) -> Values:
    """Return the pairs whose value is not nil."""
    return {key: item for key, item in values.items() if item is not None}


def _kept(values: Values, block: Block, *, wanted: bool) -> Values:
    BUDGET.spend(len(values))
    return {key: item for key, item in values.items() if truthy(block(Yielded((from_key(key), item)))) is wanted}


@methods.of(dict, names="select filter")
def select(values: Values, block: Block | None = None) -> Any:
    """Return the pairs for which the block returns true."""
    return waiting(values, "select") if block is None else _kept(values, block, wanted=True)


@methods.of(dict, names="reject")
def reject(values: Values, block: Block | None = None) -> Any:
    """Return the pairs for which the block returns false."""
    return waiting(values, "reject") if block is None else _kept(values, block, wanted=False)


@methods.of(dict, names="any?", returns=bool)
def any_of(values: Values, *pattern: Any, block: Block | None = None) -> bool:
    """Return whether the block returns true for a pair, or there is one."""
    if block is None and not pattern:
        return bool(values)
    BUDGET.spend(len(values))
    pairs = ([from_key(key), item] for key, item in values.items())
    return any(truthy(block(pair)) if block is not None else matches(pattern[0], pair) for pair in pairs)


@methods.of(dict, names="merge", yields=3, returns=dict)
def merge(values: Values, *others: Any, block: Callable[[Any, Any, Any], Any] | None = None) -> Values:
    """Return the pairs, updated by those of others; the block resolves conflicts."""
    return _merged(values.copy(), others, block)


@methods.of(dict, names="merge! update", yields=3, mutates=True)
def merge_here(values: Values, *others: Any, block: Callable[[Any, Any, Any], Any] | None = None) -> Values:
    """Update the receiver by the pairs of others."""
    return _merged(values, others, block)


def _merged(values: Values, others: tuple[Any, ...], block: Callable[[Any, Any, Any], Any] | None) -> Values:
    for other in others:
        if not isinstance(other, dict):
            raise RubyError("TypeError", f"no implicit conversion of {inspect(other)} into Hash")
        BUDGET.spend(len(other))
        for key, item in other.items():
            both = block is not None and key in values
            values[key] = block(from_key(key), values[key], item) if both and block is not None else item
    return values


@methods.of(dict, names="transform_values", returns=dict)
def transform_values(values: Values, block: Block) -> Values:
    """Return the pairs with each value replaced by the block's result."""
    BUDGET.spend(len(values))
    return {key: block(item) for key, item in values.items()}


@methods.of(dict, names="transform_keys", returns=dict)
def transform_keys(values: Values, names: Any = None, block: Block | None = None) -> Values:
    """Return the pairs with each key replaced by the result of the block, or by a hash's value."""
    BUDGET.spend(len(values))
    table = names if isinstance(names, dict) else {}
    return {
        as_key(table[key] if key in table else from_key(key) if block is None else block(from_key(key))): item
        for key, item in values.items()
    }


@methods.of(dict, names="each_key")
def each_key(values: Values, block: Block | None = None) -> Any:
    """Pass each key to the block."""
    if block is None:
        return Enumerator(keys(values), "each", values)
    BUDGET.spend(len(values))
    for key in list(values):
        block(from_key(key))
    return values


@methods.of(dict, names="each_value")
def each_value(values: Values, block: Block | None = None) -> Any:
    """Pass each value to the block."""
    if block is None:
        return Enumerator(value_list(values), "each", values)
    BUDGET.spend(len(values))
    for item in list(values.values()):
        block(item)
    return values


@methods.of(dict, names="to_hash", returns=dict)
def to_hash(values: Values) -> Values:
    """Return the receiver."""
    return values


@methods.of(dict, names="default")
def default_of(values: Values) -> Any:
    """Return the value of missing keys."""
    return values.default if isinstance(values, DefaultHash) else None


@methods.of(dict, names="delete", mutates=True)
def delete(values: Values, key: Any, block: Block | None = None) -> Any:
    """Remove a key and return its value; nil or the block's result where it is missing."""
    plain = as_key(key)
    if plain in values or block is None:
        return values.pop(plain, None)
    return block(key)


@methods.of(dict, names="store []=", mutates=True)
def store_pair(values: Values, key: Any, item: Any) -> Any:
    """Put a value under a key."""
    values[as_key(key)] = item
    return item


@methods.of(dict, names="clear", mutates=True)
def clear(values: Values) -> Values:
    """Remove all pairs."""
    values.clear()
    return values


@methods.of(dict, names="replace", mutates=True)
def replace(values: Values, other: Any) -> Values:
    """Put other pairs in their place."""
    pairs = dict(other)
    values.clear()
    values.update(pairs)
    return values


@methods.of(dict, names="shift", mutates=True)
def shift(values: Values) -> Any:
    """Remove the first pair and return it."""
    if not values:
        return None
    key = next(iter(values))
    return [from_key(key), values.pop(key)]


@methods.of(dict, names="compact!", mutates=True)
def compact_here(values: Values) -> Values | None:
    """Remove the pairs whose value is nil."""
    return _replaced(values, compact(values))


@methods.of(dict, names="delete_if", mutates=True)
def delete_if(values: Values, block: Block) -> Values:
    """Remove the pairs for which the block returns true."""
    _replaced(values, _kept(values, block, wanted=False))
    return values


@methods.of(dict, names="keep_if", mutates=True)
def keep_if(values: Values, block: Block) -> Values:
    """Remove the pairs for which the block returns false."""
    _replaced(values, _kept(values, block, wanted=True))
    return values


@methods.of(dict, names="reject!", mutates=True)
def reject_here(values: Values, block: Block) -> Values | None:
    """Remove the pairs for which the block returns true; nil where nothing changed."""
    return _replaced(values, _kept(values, block, wanted=False))


@methods.of(dict, names="select! filter!", mutates=True)
def select_here(values: Values, block: Block) -> Values | None:
    """Remove the pairs for which the block returns false; nil where nothing changed."""
    return _replaced(values, _kept(values, block, wanted=True))


@methods.of(dict, names="transform_values!", mutates=True)
def transform_values_here(values: Values, block: Block) -> Values:
    """Replace each value by the block's result."""
    for key in list(values):
        values[key] = block(values[key])
    return values


@methods.of(dict, names="transform_keys!", mutates=True)
def transform_keys_here(values: Values, names: Any = None, block: Block | None = None) -> Values:
    """Replace each key by the block's result."""
    _replaced(values, transform_keys(values, names, block))
    return values


def _replaced(values: Values, pairs: Values) -> Values | None:
    changed = len(pairs) != len(values) or list(pairs) != list(values)
    values.clear()
    values.update(pairs)
    return values if changed else None


@methods.function("Hash", names="new", yields=2)
def new_hash(default: Any = None, block: Callable[[Any, Any], Any] | None = None) -> DefaultHash:
    """Return a hash with a default value, or with a block that makes one."""
    return DefaultHash(default, block)


@methods.function("Hash", names="[]", returns=dict)
def hash_of(*items: Any) -> Values:
    """Return the Hash of pairs, of keys and values in turn, or a copy of one."""
    if len(items) == 1 and isinstance(items[0], dict):
        return dict(items[0])
    if len(items) == 1 and isinstance(items[0], list):
        return {as_key(pair[0]): pair[1] if len(pair) > 1 else None for pair in items[0]}
    if len(items) % 2:
        raise RubyError("ArgumentError", "odd number of arguments for Hash")
    return {as_key(key): item for key, item in zip(items[::2], items[1::2], strict=True)}
