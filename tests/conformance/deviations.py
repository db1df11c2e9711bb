"""Rows where logpipe differs from fluentd on purpose, with the reason: the one list of them."""

from __future__ import annotations

from typing import Final

_BARE = "a bare name reads the record's field, as in 0.12; today's fluentd makes every such event an error"
_OUTSIDE = "an expression must not reach outside the process"
_WHOLE_BATCH = "fluentd loses the whole batch for a group that matched nothing; here it is empty, as without capitals"
_PATH = "a path that is no path is refused when the configuration is read"

_IDS: Final = {
    _BARE: (
        "filter-38703dbcb2", "filter-047dc85792", "filter-9f9d14e5ce", "ruby-5686faa73e", "ruby-43a06673dc",
        "ruby-wild-292111fea8", "ruby-wild-1961b2d90c", "ruby-wild-fb479a7143", "ruby-wild-ccd7bb1c35",
        "ruby-wild-3810440fb5", "ruby-wild-2e87659ac4", "ruby-wild-f2b67a9839", "ruby-wild-02ee90b9f2",
        "ruby-wild-9fc1cba3a0", "ruby-wild-0f3e16e99e", "ruby-wild-63c91eb04e", "ruby-wild-bda2f91221",
        "ruby-wild-11625269b0", "ruby-wild-5f415a30c2",
        "ruby-wild-53300be530", "ruby-wild-820bde6905", "ruby-wild-a8609ec9ff",
    ),
    _OUTSIDE: (
        "ruby-429e2bbfed", "ruby-c7043f8645", "ruby-b93dfcfe31", "ruby-1a56377de5", "ruby-cd674ac4ee",
        "ruby-db70a73b99", "ruby-0.12-bf5ceb9744", "ruby-0.12-4b01f00a1e", "ruby-0.12-e072a4424c",
        "ruby-0.12-1abaf69ad4", "ruby-0.12-d4e87106e1", "ruby-0.12-5cd1b5c528",
    ),
    _WHOLE_BATCH: ("retag-c238c990e5",),
    _PATH: ("retag-429d762e66",),
}  # fmt: skip

DEVIATIONS: Final = {row: reason for reason, ids in _IDS.items() for row in ids}
