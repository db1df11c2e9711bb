"""`make mutants`: mistakes are planted, and those named that no test notices."""

from __future__ import annotations

import sys

from tests.mutants.run import main

sys.exit(main())
