"""What a configuration makes of itself: for `logpipe explain` the way of events and the code of its expressions.

For `logpipe config` its text, secrets masked, with the defaults of what is not written.
Nothing is built: a plugin's class is looked up only to read its settings.
"""

from __future__ import annotations

from collections.abc import Iterator

from logpipe.config.compat import is_spelled_as_before
from logpipe.config.conversion import default_words
from logpipe.config.declare import REQUIRED, Explained, Explaining
from logpipe.config.diagnostic import Diagnostic, Report
from logpipe.config.element import Element
from logpipe.config.options import Options
from logpipe.config.printer import print_tree
from logpipe.config.secrets import MASK
from logpipe.engine.building.construction import COMPAT, set_dialect
from logpipe.engine.secrets import KINDS, options_classes, secret_finder
from logpipe.registry import Registry


def expressions(root: Element, registry: Registry, report: Report) -> Iterator[Explained]:
    """Yield every expression with its generated code, in file order; what is wrong with their sections is reported."""
    _hide_code(root)
    system = next(root.sections("system"), None)
    compat = (system.get(COMPAT) if system is not None else None) or ""
    yield from _expressions(root, registry, report, compat=compat, is_old=is_spelled_as_before(root))


def _expressions(
    root: Element, registry: Registry, report: Report, *, compat: str, is_old: bool
) -> Iterator[Explained]:
    for section in root.elements:
        options_class = _options_class(section, registry)
        if options_class is not None and issubclass(options_class, Explaining):
            set_dialect(section, options_class, compat=compat, is_old=is_old)
            found: list[Diagnostic] = []
            options = options_class.read(section, found.append)
            for diagnostic in found:
                report(diagnostic)
            if not any(diagnostic.severity == "error" for diagnostic in found):
                yield from options.explained()
        yield from _expressions(section, registry, report, compat=compat, is_old=is_old)


def _hide_code(section: Element) -> None:
    """Put a mask in the place of what embedded code gave to expressions and records: values of the environment."""
    for param in section.params.values():
        if param.has_code and isinstance(param.value, str) and (section.name == "record" or "${" in param.value):
            ends = [*(piece.start for piece in param.pieces[1:]), len(param.value)]
            parts = (
                (piece.is_code, param.value[piece.start : end]) for piece, end in zip(param.pieces, ends, strict=True)
            )
            param.value = "".join(MASK if is_code and text else text for is_code, text in parts)
    for each in section.elements:
        _hide_code(each)


def _options_class(section: Element, registry: Registry) -> type[Options] | None:
    """Return what reads a section; None for one that is no plugin's, or whose plugin is not installed."""
    kind = KINDS.get(section.name)
    if not kind or not section.type:
        return None
    cls = registry.get(kind, section.type)
    return None if cls is None else cls.options_class


def routes(root: Element) -> Iterator[str]:
    """Yield the way of events as lines: the sources, then each label's filters and outputs in the order they are asked.

    Outputs inside of outputs (`<store>`, `<secondary>`) are indented below the one they belong to.
    """
    for source in root.sections("source"):
        label = source.get("@label")
        tag = source.get("tag")
        yield _line(0, "source", f"tag {tag}" if tag else "", source, f" → {label}" if label else "")
    yield from _stages(root, 0)
    for group in root.sections("label"):
        yield f"{group.arg}:"
        yield from _stages(group, 1)


def _stages(group: Element, depth: int) -> Iterator[str]:
    for stage in group.sections("filter", "match", "store", "secondary"):
        label = stage.get("@label")
        yield _line(depth, stage.name, stage.arg, stage, f" → {label}" if label else "")
        yield from _stages(stage, depth + 1)


def _line(depth: int, word: str, what: str, section: Element, target: str) -> str:
    return f"{'  ' * depth}{word:7} {what:30} {section.type}{target}  ({section.position})"


def show(root: Element, registry: Registry, *, defaults: bool = False) -> str:
    """Return the text of a configuration with secrets masked, and with the defaults of what is not written."""
    found = options_classes(root, registry)
    if defaults:
        _write_defaults(root, found)
    return print_tree(root, is_secret=secret_finder(found))


def _write_defaults(element: Element, found: dict[int, type[Options]]) -> None:
    for name, setting in found[id(element)].settings().items() if id(element) in found else ():
        word = setting.name or name
        given = word in element.params or setting.alias in element.params
        if setting.role != "param" or given or setting.default is REQUIRED or setting.removed or setting.deprecated:
            continue
        if (words := default_words(setting.default)) is not None:
            element.set(word, words, element.position)
    for each in element.elements:
        _write_defaults(each, found)
