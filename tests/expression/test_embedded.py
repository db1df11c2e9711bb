"""`#{…}` in configurations: where it ends, and what it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logpipe.errors import ExpressionError
from logpipe.expression.embedded import USE_DEFAULT, USE_NIL, evaluate_embedded, find_end, to_text

ENV = {"HOST": "es", "PORT": "9200", "EMPTY": ""}


def run(code: str) -> Any:
    """Return the value of embedded code in a small environment."""
    return evaluate_embedded(code, env=ENV, hostname="node-1", worker_id="0")


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("ENV['HOST']", "es"),
        ("ENV['NOPE']", None),
        ("ENV['NOPE'] || 'x'", "x"),
        ("ENV['EMPTY'] || 'x'", ""),
        ("ENV['NOPE'] || true", True),
        ("ENV['NOPE'] || nil", None),
        ("ENV['NOPE'] || -1", -1),
        ("ENV['NOPE'] || use_default", USE_DEFAULT),
        ("ENV['NOPE'] || use_nil", USE_NIL),
        ("ENV['HOST'] || use_default", "es"),
        ("ENV['HOST'] || gzip", "es"),
        ("ENV.fetch('NOPE', 'd')", "d"),
        ("ENV.fetch('PORT').to_i + 1", 9201),
        ("ENV.key?('HOST')", True),
        ("'https://' + ENV.fetch('HOST') + ':' + ENV['PORT']", "https://es:9200"),
        ('"#{ENV[\'HOST\']}:#{ENV["PORT"]}"', "es:9200"),
        ("hostname", "node-1"),
        ("Socket.gethostname", "node-1"),
        ("Socket.gethostname.split('.')[0].upcase", "NODE-1"),
        ("worker_id", "0"),
        ("ENV['HOST'] == 'es' ? 'a' : 'b'", "a"),
        ("File.join('/var/log/', ENV.fetch('NOPE', ''), 'x.pos')", "/var/log/x.pos"),
        ("File.basename('/a/b.log', '.log')", "b"),
        ("%w[a b].join(',')", "a,b"),
        ("x = ENV['PORT'].to_i; x > 9000 ? 'high' : 'low'", "high"),
        ("(IPAddr.new(ENV['HOST']).ipv6? ? 'six' : 'four') rescue 'none'", "none"),
        ("1 + 1", 2),
        ("nil", None),
    ],
)
def test_values(code: str, value: Any) -> None:
    """Embedded code gives what Ruby gives."""
    assert run(code) == value


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "true"), (5, "5"), (2.0, "2.0"), ("x", "x"), (["a"], '["a"]'), ({}, "{}")]
)
def test_text_between_quotes(value: Any, text: str) -> None:
    """Between quotes a value becomes its `to_s`."""
    assert to_text(value) == text


def test_files_can_be_read(tmp_path: Path) -> None:
    """A configuration may take a secret out of a file, whole or by line."""
    secret = tmp_path / "key"
    secret.write_text("s3cret\nsecond\n")

    assert run(f"File.read('{secret}').strip") == "s3cret\nsecond"
    assert run(f"File.open('{secret}') do |f| f.readline end.rstrip") == "s3cret"
    assert run(f"File.open('{secret}') {{ |f| f.read }}.lines.last.chomp") == "second"
    assert run(f"File.exist?('{secret}') ? 1 : 2") == 1
    assert run(f"File.exist?('{secret}.not')") is False
    assert run("(File.read('/nope/nothing') rescue 'none')") == "none"


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("ENV.fetch('NOPE')", "key not found", "environment variable"),
        ("gzip", "unknown name gzip", "quote it"),
        ("system('id')", "system cannot be used", "exec"),
        ("`id`", "backticks", "exec"),
        ("File.write('/tmp/x', 'y')", "File.write cannot be used", ""),
        ("1 +", "the expression ends too early", "value"),
        ("ENV[\u201cX\u201d]", "typographic quote \u201c", "straight"),
        ("nil.upcase", "undefined method `upcase'", ""),
        ("File.read('/nope/nothing')", "cannot read /nope/nothing", ""),
        ("loop { }", "steps", ""),
    ],
)
def test_mistakes_are_told(code: str, message: str, hint: str) -> None:
    """A mistake names what is wrong, where, and what to do."""
    with pytest.raises(ExpressionError, match=message) as caught:
        run(code)

    assert caught.value.offset is not None
    assert hint in caught.value.hint


def test_large_files_are_refused(tmp_path: Path) -> None:
    """Embedded code reads secrets and names, not data."""
    large = tmp_path / "large"
    large.write_bytes(b"x" * 1_100_000)

    with pytest.raises(ExpressionError, match="larger than"):
        run(f"File.read('{large}')")


@pytest.mark.parametrize(
    "code",
    [
        "ENV['X']",
        "ENV['X'] || \"}\"",
        "{'a' => '}'}['a']",
        '[1].map { |x| "#{x}}" }.join',
        '"#{"#{\'}\'}"}"',
        "%w{a b}.join('}')",
        "x =~ /}/",
        "if true then '}' end # }\n",
        "File.open('/x') do |f| f.readline end.rstrip",
        "ENV['X'] || https://x",
        "record[\u201cx\u201d]",
    ],
)
def test_end_is_found(code: str) -> None:
    """The closing brace is the one that Ruby would take, and for what is no Ruby the next that fits."""
    text = f'"a #{{{code}}} b }} c"'

    assert text[find_end(text, 5) :] == '} b } c"'


def test_code_without_an_end() -> None:
    """Code that is never closed is an error at its beginning."""
    with pytest.raises(ExpressionError, match="closing }") as caught:
        find_end('"#{ENV["X"]', 3)

    assert caught.value.offset == 3
