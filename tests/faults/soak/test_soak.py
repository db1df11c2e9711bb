"""Half a minute of the soak: `make soak MINUTES=30` is the whole."""

from __future__ import annotations

import os

import pytest

from tests.faults.outcome import Impossible
from tests.faults.soak.run import soak
from tests.services.fixtures import REQUIRE


@pytest.mark.services
@pytest.mark.long("it is half a minute of load")
def test_soak(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything at once, and every line arrives."""
    try:
        status = soak(minutes=0.5, per_second=500, seed=1)
    except Impossible as error:
        if os.environ.get(REQUIRE) and "kafka" in str(error):
            raise
        pytest.skip(str(error))
    assert status == 0, capsys.readouterr().out
