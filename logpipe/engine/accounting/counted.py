"""The counters of stages that the ledger reads, each with what it says: names that a monitor sees, too."""

from __future__ import annotations

from typing import Final

TAKEN: Final = ("taken_records", "Events that came to it and that it accepted.")
EMITS: Final = ("emit_count", "Batches that came to it.")
PASSED: Final = ("passed_records", "Events that it let pass.")
ERRORS: Final = ("error_records", "Events of it that went to @ERROR or the dead letters.")
DROPPED: Final = ("filtered_records", "Events that it dropped on purpose.")
MADE: Final = ("made_records", "Events that it made of others.")
MISSING: Final = ("missing_records", "Events that it was to pass on, and neither did nor said why.")
REJECTED: Final = ("rejected_records", "Events of batches that it could not take and that went to @ERROR whole.")
