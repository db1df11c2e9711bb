"""What stack traces look like, language by language: fluent-plugin-detect-exceptions 0.0.16, exception_detector.rb.

Each language is a table of states. In a state, the first pattern that a line matches gives the next one; "" is outside
of a trace. The patterns are Ruby's, so that `^` and `$` are at every line of a text. A stranger's line must not take
long: where the original tries all lengths of what can be matched in one way only, it is possessive here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from logpipe.ruby import Pattern, compile_regexp

OUTSIDE: Final = ""

Table: TypeAlias = Mapping[str, tuple[tuple[str, str], ...]]
"""For each state, patterns with the states that they lead to."""

_FRAME: Final = (
    (r"^[ \t]+(?:eval )?at ", "java frames"),
    (r"^[ \t]+--- End of inner exception stack trace ---$", "java frames"),  # C#, a nested exception
    (r"^--- End of stack trace from previous location where exception was thrown ---$", "java frames"),  # C#, async
    (r"^[ \t]*(?:Suppressed|Caused by):", "java message"),
    (r"^[ \t]*... \d+ (?:common frames omitted|more)", "java frames"),
)
_THROWN: Final = r"(?:Throwable|Exception|Error|V8 errors stack trace)[:\r\n]"

_JAVA: Final[Table] = {
    OUTSIDE: ((_THROWN, "java message"),),
    "java nested": ((_THROWN, "java message"),),
    "java message": (
        (r"^[ \t]*nested exception is:[ \t]*", "java nested"),
        (r"^[\n\r]*$", "java message"),
        *_FRAME,
    ),
    "java frames": _FRAME,
}

_PYTHON: Final[Table] = {
    OUTSIDE: ((r"^Traceback \(most recent call last\):$", "python frames"),),
    "python frames": (
        (r"^[ \t]+File ", "python source"),
        (r"^(?:[^.():\s]+\.)*[^.():\s]+:", OUTSIDE),
    ),
    "python source": ((r"[^ \t]", "python frames"),),
}

_PHP: Final[Table] = {
    OUTSIDE: ((r"PHP (?:Fatal error|Parse error|Warning|Notice):|exception '[^']+' with message '", "php message"),),
    "php message": ((r"^Stack trace:", "php frames"),),
    "php frames": ((r"^#\d", "php frames"), (r"^\s+thrown in ", OUTSIDE)),
}

_GO: Final[Table] = {
    OUTSIDE: ((r"\bpanic: ", "go message"), (r"http: panic serving", "go routine")),
    "go message": ((r"^$", "go routine"), (r"^\[signal ", "go signal")),
    "go signal": ((r"^$", "go routine"),),
    "go routine": ((r"^goroutine \d+ \[[^\]\n]+\]:$", "go function"),),
    "go function": ((r"^$", "go routine"), (r"^(?:[^.:\s]+\.)*[^.():\s]+\(|^created by ", "go place")),
    "go place": ((r"^\s", "go function"),),
}

_RUBY_FRAME: Final = (r"^[ \t]++.*?\.rb:\d+:in `", "ruby frames")
_RUBY: Final[Table] = {
    OUTSIDE: ((r"^(?>.*?Error \().*+(?<=\):)$", "ruby message"),),
    "ruby message": ((r"^  $", "ruby frames"), _RUBY_FRAME),
    "ruby frames": (_RUBY_FRAME,),
}

_DART_FRAME: Final = r"^#\d++\s++(?:(?<=\s[^\S\n])|.)[^(\n]*+\((?=..).*+(?<=\))$"
"""As `^#\\d+\\s+.+?\\(.+?\\)$`: a number, blanks, something, and something in brackets at the end of the line."""
_DART_SHORT: Final = (
    "Instance of|Exception|Bad state|IntegerDivisionByZeroException|Invalid argument|RangeError|Assertion failed"
    "|Cannot instantiate|Reading static variable|UnimplementedError|Unsupported operation|Concurrent modification"
    "|Out of Memory|Stack Overflow"
)
_DART: Final[Table] = {
    OUTSIDE: ((r"^Unhandled exception:$", "dart message"),),
    "dart message": (
        (f"^(?:{_DART_SHORT})", "dart frames"),
        (r"^'.+?':.+?$", "dart type 1"),
        (r"^FormatException", "dart format 1"),
        (r"^NoSuchMethodError:", "dart method 1"),
    ),
    "dart type 1": ((_DART_FRAME, "dart frames"), (r"^.+?$", "dart type 2")),
    "dart type 2": ((r"^.*?\^.*?$", "dart type 3"),),
    "dart type 3": ((r"^$", "dart type 4"),),
    "dart type 4": ((r"^$", "dart frames"),),
    "dart format 1": ((_DART_FRAME, "dart frames"), (r"^.", "dart format 2")),
    "dart format 2": ((r"^.*?\^", "dart format 3"),),
    "dart format 3": ((r"^$", "dart frames"),),
    "dart method 1": ((r"^Receiver:", "dart method 2"),),
    "dart method 2": ((r"^Tried calling:", "dart method 3"),),
    "dart method 3": ((r"^Found:", "dart frames"), (_DART_FRAME, "dart frames")),
    "dart frames": ((_DART_FRAME, "dart frames"), (r"^<asynchronous suspension>$", "dart frames")),
}

_ALL: Final = (_JAVA, _PYTHON, _PHP, _GO, _RUBY, _DART)

LANGUAGES: Final[Mapping[str, tuple[Table, ...]]] = {
    "java": (_JAVA,),
    "javascript": (_JAVA,),
    "js": (_JAVA,),
    "csharp": (_JAVA,),
    "py": (_PYTHON,),
    "python": (_PYTHON,),
    "php": (_PHP,),
    "go": (_GO,),
    "rb": (_RUBY,),
    "ruby": (_RUBY,),
    "dart": (_DART,),
    "all": _ALL,
}
"""The tables of each language that can be named."""


@lru_cache(maxsize=64)
def rules_of(languages: tuple[str, ...]) -> dict[str, list[tuple[Pattern, str]]]:
    """Return the rules of some languages, compiled, by state; of all of them where none is named."""
    rules: dict[str, list[tuple[Pattern, str]]] = {}
    seen = set()
    for table in (table for language in languages or ("all",) for table in LANGUAGES[language]):
        if id(table) not in seen:
            seen.add(id(table))
            for state, row in table.items():
                rules.setdefault(state, []).extend((compile_regexp(source), after) for source, after in row)
    return rules
