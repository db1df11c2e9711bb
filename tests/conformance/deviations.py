"""Rows where logpipe differs from fluentd on purpose, with the reason: the one list of them."""

from __future__ import annotations

from typing import Final

_OUTSIDE = "an expression must not reach outside the process"
_WHOLE_BATCH = "fluentd loses the whole batch for a group that matched nothing; here it is empty, as without capitals"
_PATH = "a path that is no path is refused when the configuration is read"

_IDS: Final = {
    _OUTSIDE: (
        "ruby-429e2bbfed", "ruby-c7043f8645", "ruby-b93dfcfe31", "ruby-1a56377de5", "ruby-cd674ac4ee",
        "ruby-db70a73b99", "ruby-0.12-bf5ceb9744", "ruby-0.12-4b01f00a1e", "ruby-0.12-e072a4424c",
        "ruby-0.12-1abaf69ad4", "ruby-0.12-d4e87106e1", "ruby-0.12-5cd1b5c528",
    ),
    _WHOLE_BATCH: ("retag-c238c990e5",),
    _PATH: ("retag-429d762e66",),
}  # fmt: skip

DEVIATIONS: Final = {row: reason for reason, ids in _IDS.items() for row in ids}
