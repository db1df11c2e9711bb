"""What is probably not what was meant though each section is right; each code is explained in docs/diagnostics.md."""

from __future__ import annotations

from logpipe.config.diagnostic import Report
from logpipe.config.element import Element
from logpipe.engine.building.lint.circles import lint_circles
from logpipe.engine.building.lint.routes import lint_routes
from logpipe.engine.building.lint.sections import lint_listeners, lint_quotes, lint_secrets
from logpipe.engine.building.lint.tags import lint_tags
from logpipe.registry import Registry


def lint(elements: list[Element], registry: Registry, report: Report) -> None:
    """Report what looks like a mistake in a worker's sections; only a circle of routes keeps it from running."""
    lint_quotes(elements, report)
    lint_routes(elements, report)
    lint_tags(elements, registry, report)
    lint_circles(elements, registry, report)
    lint_listeners(elements, registry, report)
    lint_secrets(elements, registry, report)
