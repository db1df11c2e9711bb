"""Broken configurations, each with the exact text a person reads."""

from __future__ import annotations

from typing import Any

import pytest

BROKEN = {
    "a lost > in a tag": (
        "<match app.**\n  @type null\n</match>\n",
        ["f.conf:1:1: error: the tag <match app.** is never closed with > (write <match app.**>) [open-tag]"],
    ),
    "a lost > before a section": (
        "<source\n  <parse>\n    @type json\n  </parse>\n</source>\n",
        ["f.conf:1:1: error: the tag <source is never closed with > (write <source>) [open-tag]"],
    ),
    "a lost > in an end tag": (
        "<match a>\n</match\n<match b>\n</match>\n",
        ["f.conf:2:1: error: the tag </match is never closed with > (write </match>) [open-tag]"],
    ),
    "an end tag of nothing": (
        "</source>\n",
        [
            "f.conf:1:1: error: the end tag </source> closes nothing"
            " (remove it, or add the missing <source> above) [unmatched-tag]"
        ],
    ),
    "a misspelt end tag": (
        "<parse>\n  @type json\n</pasre>\nk v\n",
        ["f.conf:3:1: error: the end tag </pasre> does not match <parse> of line 1 (write </parse>) [unmatched-tag]"],
    ),
    "a section left open inside another": (
        "<source>\n  <parse>\n    @type json\n</source>\n<match **>\n</match>\n",
        [
            "f.conf:2:3: error: the section <parse> is not closed before </source> on line 4"
            " (add </parse> above line 4) [unclosed-section]"
        ],
    ),
    "a section left open at the end": (
        "<match **>\n  @type null\n",
        [
            "f.conf:1:1: error: the section <match **> is never closed"
            " (add </match> where it should end) [unclosed-section]"
        ],
    ),
    "text after a tag": (
        "<match **> @type null\n</match>\n",
        ["f.conf:1:12: error: unexpected @type null after <match **> (start a new line after >) [text-after-tag]"],
    ),
    "a section with a hyphen": (
        "<my-section>\n</my-section>\n",
        [
            "f.conf:2:5: error: unexpected -section> in the tag </my>"
            " (an end tag holds a section's name of letters, digits and _, nothing else) [bad-tag]"
        ],
    ),
    "a section without a name": (
        "< match>\n</match>\n",
        [
            "f.conf:1:1: error: < match> is no section tag"
            " (a section's name has letters, digits and _ only, right after <) [bad-tag]",
            "f.conf:2:1: error: the end tag </match> closes nothing"
            " (remove it, or add the missing <match> above) [unmatched-tag]",
        ],
    ),
    "a missing quote on the last line": (
        'path "/var/log/app.log\n',
        ['f.conf:1:6: error: the quote " is never closed (add " where the text ends) [open-quote]'],
    ),
    "a missing quote, and a quoted value below": (
        'path "/var/log/app.log\ntag "app"\n',
        [
            'f.conf:1:6: error: the quote " is not closed on its line'
            ' (the text now ends on line 2, before app": add " where it should end) [open-quote]'
        ],
    ),
    "a missing single quote": (
        "path '/var/log/app.log\ntag app\n",
        [
            "f.conf:1:6: error: the quote ' is not closed on its line"
            " (add ' where the text ends; a text over several lines needs double quotes) [open-quote]"
        ],
    ),
    "an empty line inside quotes": (
        'message "one\n\ntwo"\n',
        [
            "f.conf:2:1: error: a quoted text cannot have an empty line"
            ' (write \\n for a line break; or add the missing " on line 1) [line-break]'
        ],
    ),
    "a quoted text over lines that end in CR LF": (
        'message "one\r\ntwo"\r\n',
        [
            "f.conf:1:13: error: a quoted text cannot go on after CR LF"
            " (write \\n in place of the line break, or save the file with Unix line ends) [line-break]"
        ],
    ),
    "text after a quoted value": (
        'key "a" b\n',
        [
            "f.conf:1:9: error: unexpected b after the quoted value"
            " (put single quotes around the whole value to keep the quotes in it) [text-after-value]"
        ],
    ),
    "text after a quoted name": (
        '"key"value\n',
        [
            "f.conf:1:6: error: unexpected value after the quoted name"
            " (put a blank between name and value) [text-after-name]"
        ],
    ),
    "a regexp in double quotes": (
        'pattern "^\\d+$"\n',
        [
            "f.conf:1:11: error: \\d is no escape in double quotes"
            " (write \\\\d for a backslash, or use single quotes) [bad-escape]"
        ],
    ),
    "a regexp that a comment cuts": (
        "pattern /^(\\d+) #(\\d+)$/\npath /a/b # see /c/\n",
        [
            "f.conf:1:17: warning: a comment begins here and cuts the regular expression"
            " (put single quotes around the whole value) [cut-regexp]"
        ],
    ),
    "typographic quotes around a value": (
        "path “/var/log/app.log”\n",
        [
            "f.conf:1:6: warning: “ is a typographic quote and becomes part of the value"
            " (write \" or ' to quote) [typographic-quotes]"
        ],
    ),
    "typographic quotes in JSON": (
        'labels {"a": “b”}\n',
        [
            "f.conf:1:14: error: this is not JSON: expected a value, found “b”}"
            ' (“ is a typographic quote: write ") [bad-json]'
        ],
    ),
    "a list that is no JSON": (
        "keys [a, b]\nk v\n",
        [
            "f.conf:1:7: error: this is not JSON: expected a value, found a, b]"
            " (a value that starts with [ or { is read as JSON: put it in single quotes to keep it as text) [bad-json]"
        ],
    ),
    "JSON with a comma too many": (
        'labels {\n  "a": "b",\n}\nk v\n',
        ["f.conf:3:1: error: this is not JSON: a comma before } (remove the comma) [bad-json]"],
    ),
    "JSON that never ends": (
        'labels {"a": "b"\n\n# end\n',
        [
            "f.conf:1:17: error: this is not JSON: expected , or }, found the end of the line"
            " (add , or } here, or put the whole value in single quotes to keep it as text) [bad-json]"
        ],
    ),
    "JSON without a comma": (
        'labels {"a": "b"\n  "c": "d"}\nk v\n',
        [
            "f.conf:1:17: error: this is not JSON: expected , or }, found the end of the line"
            " (add , or } here, or put the whole value in single quotes to keep it as text) [bad-json]"
        ],
    ),
    "a missing quote in JSON": (
        'labels {"a": "b}\nk v\n',
        ['f.conf:1:14: error: the quote " is not closed on its line (add " where it ends) [open-quote]'],
    ),
    "a comment in nested JSON": (
        'labels {"a": [ # inner\n 1]}\n',
        [
            "f.conf:1:14: error: fluentd refuses a comment at this place in JSON"
            " (move the comment above the parameter) [bad-json]"
        ],
    ),
    "code without an end": (
        "host \"#{ENV['HOST']\"\nk v\n",
        [
            "f.conf:1:7: error: the code after #{ is never closed with }"
            " (the } is missing: write #{ENV['HOST']}) [open-code]"
        ],
    ),
    "a brace that is missing before another one": (
        "host \"#{ENV['A']\" # note\npath \"#{ENV['B']}\"\n",
        [
            "f.conf:1:7: error: the code after #{ is never closed with }"
            " (the } is missing: write #{ENV['A']}) [open-code]"
        ],
    ),
    "a URL in code": (
        "url \"#{ENV['URL'] || http://x/#a}\"\n",
        [
            "f.conf:1:6: error: the code after #{ is never closed with }"
            " (a # outside quotes starts a comment in Ruby: put the text in quotes of its own) [open-code]"
        ],
    ),
    "a name with @": (
        "<source>\n  @typ tail\n</source>\n",
        [
            'f.conf:2:3: error: "@typ" is not a parameter: names that begin with @ are reserved'
            " (use @type, @id, @label or @log_level, or a name without @) [reserved-name]"
        ],
    ),
    "an include of nothing": (
        "@include\n",
        ["f.conf:1:1: error: @include without a path (write @include conf.d/*.conf) [missing-path]"],
    ),
}


@pytest.mark.parametrize(("text", "said"), BROKEN.values(), ids=BROKEN)
def test_broken(load: Any, text: str, said: list[str]) -> None:
    assert [str(problem) for problem in load(text).said] == said


def test_all_mistakes_in_one_run(load: Any) -> None:
    """Reading goes on behind a mistake, and what is right is in the tree."""
    text = '<source>\n a "b" c\n d [1\n e \'f\n <parse>\n g h\n</source>\n<match **\n i j\n</match>\nk "\\z"\nl m'

    loaded = load(text)

    assert sorted(problem.position.line for problem in loaded.said) == [2, 3, 4, 5, 8, 11]
    source, match = loaded.root.elements
    assert (source.elements[0].get("g"), match.arg, match.get("i"), loaded.root.get("l")) == ("h", "**", "j", "m")


def test_a_hopeless_file_stops_after_twenty(load: Any) -> None:
    assert len(load("k 'x\n" * 100).said) == 20


def test_sections_nest_within_reason(load: Any) -> None:
    (problem,) = load("<a>\n" * 200 + "</a>\n" * 200).said

    assert str(problem) == (
        "f.conf:101:1: error: sections nest deeper than 100 levels (close each section with its end tag) [too-deep]"
    )


def test_json_nests_within_reason(load: Any) -> None:
    (problem,) = load("k " + "[" * 5000 + "]" * 5000).said

    assert str(problem) == "f.conf:1:3: error: the JSON value nests deeper than 100 levels (flatten it) [bad-json]"
