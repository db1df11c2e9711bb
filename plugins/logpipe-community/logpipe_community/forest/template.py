"""Makes the section of one tag's output. Rules: fluent-plugin-forest 0.3.3, out_forest.rb."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from logpipe import LogpipeError
from logpipe.tree import Element, Param, Position, compile_pattern

PLACEHOLDER: Final = re.compile(
    r"__TAG_PARTS\[(?P<parts>[-\d.]+)\]__|\$\{tag_parts\[(?P<brace>[-\d.]+)\]\}"
    r"|__(?P<word>ESCAPED_TAG|TAG|HOSTNAME)__|\$\{(?P<braced>escaped_tag|tag|hostname)\}"
)
_INDEX: Final = re.compile(r"(-?\d{1,9})(?:(\.\.\.?)(-?\d{1,9}))?")
_SAFE: Final = re.compile(r"[\w:](?:\.?[\w:-]+)*\.?")
"""What a tag must be to be written into settings: it may end up in a path, a command, the host of a URL."""


class UnusableTagError(LogpipeError):
    """A tag must not be written into settings."""


class Template:
    """What is written of the outputs.

    Args:
        subtype: the type of all of them.
        common: the `<template>` sections, of which the last counts.
        cases: the `<case PATTERN>` sections, of which the first counts that matches.
        separator: what stands for a dot in `${escaped_tag}`.
        hostname: what stands for `${hostname}`.
        name: what their `@id` begins with where none is written; "" for none.
    """

    def __init__(
        self,
        subtype: str,
        common: Sequence[Element],
        cases: Sequence[Element],
        *,
        separator: str,
        hostname: str,
        name: str,
    ) -> None:
        self._subtype = subtype
        self._common = common[-1] if common else None
        self._cases = [(compile_pattern(case.arg), case) for case in cases]
        self._separator = separator
        self._hostname = hostname
        self._name = name

    def section(self, tag: str) -> Element:
        """Return the section of a tag's output.

        Raises:
            UnusableTagError: the tag would be written into it, and may mean something else there.
        """
        case = next((case for matches, case in self._cases if matches(tag)), None)
        made = Element("store")
        for source in (self._common, case):
            if source is None:
                continue
            filled = self._filled(source, tag)
            replaced = {(each.name, each.arg) for each in filled.elements if each.arg}
            kept = [each for each in made.elements if (each.name, each.arg) not in replaced]
            # compat: out_forest.rb puts the sections of the case before the others
            made = replace(filled, name="store", arg="", params=made.params | filled.params)
            made.elements += kept
        for word in ("type", "@type"):
            made.params.pop(word, None)
        made.set("@type", self._subtype, made.position)
        self._identify(made, tag, (self._common, case))
        return made

    def _identify(self, made: Element, tag: str, sources: Iterable[Element | None]) -> None:
        """Give an output an `@id` of its own that is the same in every run, since its buffer may be called by it."""
        written = [each.get("@id") or each.get("id") for each in sources if each is not None]
        given = next((each for each in reversed(written) if each), self._name)
        made.params.pop("id", None)
        if given and PLACEHOLDER.search(given) is None:
            safe = (
                tag
                if _SAFE.fullmatch(tag)
                else blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
            )
            made.set("@id", f"{given}.{safe}", made.position)

    def open_lines(self) -> set[tuple[str, int]]:
        """Return files and lines where a setting depends on the tag."""
        sources = [case for _, case in self._cases] + ([] if self._common is None else [self._common])
        return {(place.file, place.line) for source in sources for place in _open_places(source)}

    def samples(self) -> Iterator[str]:
        """Yield a tag for each case, as far as that is plain, and any tag where there are none."""
        for matches, case in self._cases:
            tag = case.arg.replace("**", "any").replace("*", "any")
            if matches(tag):
                yield tag
        if not self._cases:
            yield "any.any.any.any"

    def _filled(self, element: Element, tag: str) -> Element:
        params = {name: self._filled_param(param, tag) for name, param in element.params.items()}
        return replace(element, params=params, elements=[self._filled(each, tag) for each in element.elements])

    def _filled_param(self, param: Param, tag: str) -> Param:
        if not isinstance(param.value, str) or PLACEHOLDER.search(param.value) is None:
            return replace(param)
        value = PLACEHOLDER.sub(lambda found: self._value(found, tag), param.value)
        return replace(param, value=value, pieces=())

    def _value(self, found: re.Match[str], tag: str) -> str:
        word = (found["word"] or found["braced"] or "").lower()
        if word == "hostname":
            return self._hostname
        if _SAFE.fullmatch(tag) is None:
            raise UnusableTagError(
                f"the tag {tag[:100]!r} is not written into settings: letters, digits, _, -, : and single dots may be"
            )
        if word:
            return tag if word == "tag" else tag.replace(".", self._separator)
        index = _INDEX.fullmatch(found["parts"] or found["brace"])
        # what is no index is none of its placeholders, and stays
        return found[0] if index is None else _parts(tag.split("."), *index.groups())


def _parts(parts: list[str], first: str, dots: str | None, last: str | None) -> str:
    """Return some of a tag's parts, by Ruby's indexes; nothing where they are not there."""
    begin, end = (int(each) + (len(parts) if each.startswith("-") else 0) for each in (first, last or first))
    return ".".join(parts[begin : max(end + (dots != "..."), 0)]) if begin >= 0 else ""


def _open_places(element: Element) -> Iterator[Position]:
    for param in element.params.values():
        if isinstance(param.value, str) and PLACEHOLDER.search(param.value) is not None:
            yield param.value_position
    for nested in element.elements:
        yield from _open_places(nested)
