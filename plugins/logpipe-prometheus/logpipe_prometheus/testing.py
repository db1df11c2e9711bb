"""For tests: asks the endpoint of a pipeline, and reads the answer with Prometheus' own parser (prometheus_client)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from logpipe.testing import Pipeline


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def kinds(self) -> dict[str, str]:
        """The type of each family, by Prometheus' parser."""
        return {family.name: family.type for family in text_string_to_metric_families(self.text)}

    @property
    def values(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Each sample's value by its name and its labels, by Prometheus' parser; none is there twice."""
        samples = [sample for family in text_string_to_metric_families(self.text) for sample in family.samples]
        found = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
        assert len(found) == len(samples)  # noqa: S101 - for tests
        return found

    def of(self, name: str, label: str) -> dict[str, float]:
        """Return the values of a metric by one of its labels."""
        return {dict(labels)[label]: value for (each, labels), value in self.values.items() if each == name}


class Ask(Protocol):
    """Asks the endpoint of a pipeline."""

    async def __call__(
        self,
        running: Pipeline,
        path: str = "/metrics",
        *,
        headers: Mapping[str, str] | None = None,
        skip: Collection[str] = (),
    ) -> Page:
        """Ask for a path; `skip` are headers that are not to be sent."""


async def ask_running(
    running: Pipeline,
    path: str = "/metrics",
    *,
    headers: Mapping[str, str] | None = None,
    skip: Collection[str] = (),
) -> Page:
    """Ask the first endpoint of a pipeline."""
    said = (re.search(r"listening at (http://[^/]+)/", text) for text in running.log.texts("info"))
    place = next(found[1] for found in said if found)
    async with (
        aiohttp.ClientSession(skip_auto_headers=skip) as session,
        session.get(place + path, headers=headers) as response,
    ):
        return Page(response.status, response.headers, await response.text())
