"""Makes the grammars' parsers from stored tables, which makes a process start 60 ms sooner.

`python -m logpipe.config.tables` writes them. Tables of another grammar or of another release of lark are not used;
the parser is then computed at start.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

Grammar: TypeAlias = Literal["v1", "v0"]

_FILES: Final[dict[Grammar, str]] = {"v1": "grammar.lark", "v0": "grammar_v0.lark"}


def make_parser(grammar: Grammar, transformer: lark.Transformer[Any, Any]) -> lark.Lark:
    """Return a parser whose rules call `transformer`."""
    rules = _path(grammar).read_text(encoding="utf-8")
    tables = _read(grammar)
    if tables.get("made_from") != _fingerprint(rules):
        return _compute(rules, transformer)
    data, memo = tables["data"], _with_numbers(tables["memo"])
    table = data["parser"]["parser"]
    table["tokens"] = _with_numbers(table["tokens"])
    table["states"] = {int(state): _with_numbers(actions) for state, actions in table["states"].items()}
    # lark's generated stand-alone parsers call this; the public interface goes through pickle only
    parser: lark.Lark = lark.Lark._load_from_dict(data, memo, transformer=transformer)  # type: ignore[no-untyped-call]  # noqa: SLF001
    return parser


def write_tables(grammar: Grammar) -> None:
    """Compute a grammar's tables and store them beside it."""
    rules = _path(grammar).read_text(encoding="utf-8")
    data, memo = _compute(rules, None).memo_serialize([TerminalDef, Rule])
    content = {"made_from": _fingerprint(rules), "data": data, "memo": memo}
    _tables_path(grammar).write_text(
        json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8"
    )


def are_current(grammar: Grammar) -> bool:
    """Return whether the stored tables are of this grammar and of the lark that is installed."""
    return bool(_read(grammar).get("made_from") == _fingerprint(_path(grammar).read_text(encoding="utf-8")))


def _compute(rules: str, transformer: lark.Transformer[Any, Any] | None) -> lark.Lark:
    return lark.Lark(rules, parser="lalr", transformer=transformer, maybe_placeholders=False)


def _read(grammar: Grammar) -> dict[str, Any]:
    try:
        tables: dict[str, Any] = json.loads(_tables_path(grammar).read_bytes())
    except (OSError, ValueError):
        return {}
    return tables


def _path(grammar: Grammar) -> Path:
    return Path(__file__).with_name(_FILES[grammar])


def _tables_path(grammar: Grammar) -> Path:
    return _path(grammar).with_suffix(".tables.json")


def _fingerprint(rules: str) -> str:
    return f"lark {lark.__version__}, {hashlib.sha256(rules.encode()).hexdigest()}"


def _with_numbers(mapping: dict[str, Any]) -> dict[int, Any]:
    return {int(key): value for key, value in mapping.items()}


if __name__ == "__main__":
    for name in _FILES:
        write_tables(name)
