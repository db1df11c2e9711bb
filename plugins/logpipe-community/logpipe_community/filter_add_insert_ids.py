"""Numbers events for Google's logging: the filter of fluent-plugin-google-cloud 0.13, filter_add_insert_ids.rb."""

from __future__ import annotations

import secrets
from typing import Final

from logpipe import Filter, FilterHost, Options, Record, Time, param

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_SIZE: Final = 17
_MOST: Final = 36**_SIZE


class AddInsertIdsOptions(Options):
    """Settings of `<filter> @type add_insert_ids`."""

    insert_id_key: str = param("Field that gets the identity.", default="logging.googleapis.com/insertId")


class AddInsertIds(Filter[AddInsertIdsOptions], type="add_insert_ids"):
    """Gives each event without one an identity of 17 digits and letters, so that one which is sent twice is kept once.

    It begins anywhere, and each is greater than those before it, as text too, so that events of one time keep their
    order. In the original the next one of `9` and `z` is found digit by digit, each within its kind; here all are
    numbers to the base of 36.
    """

    def __init__(self, options: AddInsertIdsOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._last = secrets.randbelow(_MOST // 2)

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        """Return the record with its identity."""
        del tag, time
        if self.options.insert_id_key not in record:
            self._last += 1
            record[self.options.insert_id_key] = _text(self._last)
        return record


def _text(number: int) -> str:
    digits = []
    for _ in range(_SIZE):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
