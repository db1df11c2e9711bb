"""Names the fields of journal entries. Settings: fluent-plugin-systemd 1.0.5, filter_systemd_entry.rb."""

from __future__ import annotations

from logpipe import Filter, FilterHost, Record, Time
from logpipe_systemd.entries import EntryOptions, shape_of


class SystemdEntryOptions(EntryOptions):
    """Settings of `<filter> @type systemd_entry`."""


class SystemdEntry(Filter[SystemdEntryOptions], type="systemd_entry"):
    """Renames, joins and leaves out fields, as `<entry>` of the input does."""

    def __init__(self, options: SystemdEntryOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._shape = shape_of(options, is_entry=False) or (lambda record: record)

    def filter(self, tag: str, time: Time, record: Record) -> Record:
        """Return the record with its new names."""
        del tag, time
        return self._shape(record)
