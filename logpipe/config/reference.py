"""The reference: every setting of every plugin, as pages for people and one file for editors, made from Options."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from logpipe.config.comparison import compare, comparison_page, family_page, read_lines
from logpipe.config.conversion import FileMode, Seconds, Size
from logpipe.config.declare import REQUIRED, Setting
from logpipe.config.options import Options, PluginClass, hints, options_class
from logpipe.expression.accessor import RecordAccessor

HEAD: Final = "<!-- made by `make docs` from the Options classes; edit those -->\n"

_WORDS: Final[dict[Any, str]] = {
    str: "string",
    int: "integer",
    float: "float",
    bool: "bool",
    Size: "size",
    FileMode: "octal mode",
    Seconds: "time",
    RecordAccessor: "path of a field",
    Any: "any",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as the reference shows it."""

    name: str
    type: str
    default: str
    doc: str
    secret: bool


def write_pages(
    classes: Iterable[PluginClass],
    folder: Path,
    *,
    check: bool = False,
    others: Mapping[str, type[Options]] | None = None,
    more: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write one page a plugin, an index, and `settings.json`; returns the paths that were not current.

    With `check` nothing is written. `others` are sections that stand in no plugin, for the comparison with fluentd;
    `more` has other pages, by their names.
    """
    plugins = sorted({cls for cls in classes if cls.types}, key=lambda cls: (cls.kind, cls.types))
    pages = {folder / f"{cls.kind}-{cls.types[0]}.md": page(cls) for cls in plugins}
    pages[folder / "README.md"] = _index(plugins)
    pages[folder / "settings.json"] = (
        json.dumps([document_of(cls) for cls in plugins], indent=1, ensure_ascii=False) + "\n"
    )
    listed = folder / "fluentd.tsv"
    if listed.is_file():
        compared = compare(read_lines(listed.read_text("utf-8")), plugins, others)
        pages[folder / "fluentd.md"] = comparison_page(compared, HEAD)
    for listed in sorted(folder.glob("namesakes/*.tsv")):
        compared = compare(read_lines(listed.read_text("utf-8")), plugins)
        pages[listed.with_suffix(".md")] = family_page(listed.stem, compared, HEAD)
    pages.update((folder / name, HEAD + text) for name, text in (more or {}).items())
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text("utf-8") != text]
    stale += [path for path in sorted(folder.rglob("*.md")) if path not in pages]
    if not check:
        folder.mkdir(parents=True, exist_ok=True)
        for path in stale:
            if path in pages:
                path.write_text(pages[path], "utf-8")
            else:
                path.unlink()
    return stale


def page(cls: PluginClass) -> str:
    """Return a plugin's page."""
    lines = [HEAD, f"# {cls.kind} `{cls.types[0]}`\n", f"{inspect.cleandoc(cls.__doc__ or '')}\n"]
    if cls.types[1:]:
        lines.append(f"Also known as {', '.join(f'`{name}`' for name in cls.types[1:])}.\n")
    for title, settings in sections(cls.options_class):
        lines.append(f"## {title}\n" if title else "## Settings\n")
        lines.append("\n".join(_table(settings)) + "\n" if settings else "It has no settings of its own.\n")
    return "\n".join(lines)


def sections(options: type[Options], path: str = "") -> Iterator[tuple[str, list[Row]]]:
    """Yield the settings of a class and of its sections, each with the section's path."""
    nested: list[tuple[str, type[Options]]] = []
    rows: list[Row] = []
    for name, setting in options.settings().items():
        word = setting.name or name
        hint = hints(options)[name]
        if setting.role == "section":
            nested.append((word, options_class(hint)))
            many = "any number" if setting.many else "one"
            rows.append(
                Row(f"<{word}>", f"section, {many}", "required" if setting.required else "", setting.doc, False)
            )
        elif setting.role == "plugin":
            default = "required" if setting.required else f"`{setting.default_type}`" if setting.default_type else ""
            rows.append(Row(f"<{word}>", f"{setting.plugin_kind} plugin", default, setting.doc, False))
            if setting.owned is not None:
                nested.append((word, setting.owned))
        elif setting.role == "raw":
            rows.append(Row(f"<{word}>", "section of your own names", "", setting.doc, False))
        elif not setting.removed:
            shown = "*argument*" if setting.role == "argument" else word
            rows.append(Row(shown, type_word(hint), default_text(setting), _doc(setting), setting.secret))
    yield path, rows
    for word, cls in nested:
        yield from sections(cls, f"{path} <{word}>".strip())


def type_word(hint: Any) -> str:
    """Return fluentd's word for a setting's type."""
    if hint in _WORDS:
        return _WORDS[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(type_word(argument) for argument in arguments if argument is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(f"`{choice}`" for choice in arguments)
    word = getattr(origin or hint, "__name__", str(hint))
    return {"list": "array", "dict": "hash", "Pattern": "regexp"}.get(word, word)


def default_text(setting: Setting) -> str:
    """Return how the reference writes a default."""
    if setting.default is REQUIRED:
        return "required"
    if setting.default is None or setting.default in ([], {}, ""):
        return ""
    if isinstance(setting.default, bool):
        return f"`{str(setting.default).lower()}`"
    text = setting.default if isinstance(setting.default, str) else json.dumps(setting.default, ensure_ascii=False)
    return "`" + text.replace("\n", "\\n").replace("\t", "\\t").replace("|", "\\|") + "`"


def _doc(setting: Setting) -> str:
    deprecated = f" Deprecated: {setting.deprecated}." if setting.deprecated else ""
    alias = f" Also `{setting.alias}`." if setting.alias else ""
    no_effect = f" No effect yet: {setting.no_effect}." if setting.no_effect else ""
    return f"{setting.doc}{alias}{deprecated}{no_effect}"


def _table(rows: list[Row]) -> Iterator[str]:
    yield "| setting | type | default | meaning |"
    yield "|---|---|---|---|"
    for row in rows:
        secret = " (secret: masked wherever it is shown)" if row.secret else ""
        name = row.name if row.name.startswith("*") else f"`{row.name}`"
        yield f"| {name} | {row.type} | {row.default} | {row.doc.replace('|', chr(92) + '|')}{secret} |"


def _index(plugins: list[PluginClass]) -> str:
    lines = [HEAD, "# Reference\n", "Every plugin that ships with logpipe, and every setting it understands.\n"]
    for kind in dict.fromkeys(cls.kind for cls in plugins):
        lines.append(f"## {kind}\n")
        for cls in (cls for cls in plugins if cls.kind == kind):
            summary = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
            lines.append(f"- [`{'`, `'.join(cls.types)}`]({kind}-{cls.types[0]}.md): {summary}")
        lines.append("")
    return "\n".join(lines)


def document_of(cls: PluginClass) -> dict[str, Any]:
    """Return a plugin's settings as JSON has them."""
    return {
        "kind": cls.kind,
        "types": list(cls.types),
        "doc": inspect.cleandoc(cls.__doc__ or ""),
        "sections": [
            {
                "path": path,
                "settings": list(map(asdict, rows)),
            }
            for path, rows in sections(cls.options_class)
        ],
    }
