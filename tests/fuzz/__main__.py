"""`make fuzz`: odd lines through whole pipelines, until the time is over or something is found."""

from __future__ import annotations

import sys

from tests.fuzz.run import main

sys.exit(main())
