"""Nothing gets out of an expression, and nothing in it goes on for ever."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest

from logpipe.errors import ExpressionError
from logpipe.expression import Dialect, Reading, RecordRules, compile_record, compile_template
from logpipe.expression.runtime.failures import BudgetExceeded
from tests.expression.evaluation import evaluate

REFUSED = """
`id`
%x(id)
system("id")
system "id"
Kernel.system("id")
exec("id")
spawn("id")
fork { 1 }
IO.popen("id").read
open("|id")
open("/etc/passwd").read
Kernel.open("/etc/passwd")
File.read("/etc/passwd")
File.open("/etc/passwd") { |f| f.read }
File.write("/tmp/x", "y")
File.exist?("/etc/passwd")
File.delete("/tmp/x")
IO.read("/etc/passwd")
Dir.glob("/*")
Dir["/etc/*"]
Pathname.new("/etc").children
require "net/http"
require record["lib"]
require_relative "x"
load "/tmp/x.rb"
Net::HTTP.get("h", "/")
TCPSocket.new("h", 80)
Socket.tcp("h", 80)
eval("1 + 1")
Kernel.eval("1")
instance_eval("1")
record.instance_eval { 1 }
"a".instance_eval("1")
Object.class_eval { 1 }
record.send(:system, "id")
"a".send("upcase")
"a".public_send(:upcase)
"a".__send__(:upcase)
__send__("system")
__send__("eval", "1")
"a".method(:upcase)
method(:system).call("id")
Object.const_get("File")
String.class_variable_get(:@@x)
ObjectSpace.each_object
GC.start
Process.kill(9, 1)
Process.pid
Thread.new { 1 }
Marshal.load("x")
YAML.load("x")
Signal.trap("TERM")
trap("TERM") { 1 }
at_exit { 1 }
exit
exit!
abort("x")
sleep 10
$stdout
$PROGRAM_NAME
$LOAD_PATH << "/tmp"
$0
ENV["PATH"] = "x"
ENV.delete("PATH")
binding
binding.eval("1")
def x; end
class String; end
module X; end
alias x y
undef x
BEGIN { 1 }
define_method(:x) { 1 }
Fluent::Engine
RubyVM::InstructionSequence.compile("1")
self.instance_variable_get(:@x)
"a".instance_variable_set(:@x, 1)
super
yield
DATA.read
Etc.getpwuid
Resolv.getaddress("h")
callcc { 1 }
set_trace_func(nil)
String.new("a").singleton_class
"a".object_id
Class.new { 1 }
Object.new
Struct.new(:a)
record.__class__
record.__dict__
"".__class__.__mro__
"a".format("{0.__class__}")
"a".mro
record.__init__
tag.__globals__
"%{a.b}".format_map({})
import os
__import__("os")
lambda: 1
[x for x in 1..2]
record.get("a")
record.items
""".strip().splitlines()


@pytest.mark.parametrize("attempt", REFUSED)
def test_refused_when_compiled(attempt: str) -> None:
    """What reaches outside, or is no Ruby, does not compile."""
    with pytest.raises(ExpressionError) as caught:
        compile_template(f"${{{attempt}}}", Reading())

    assert caught.value.offset is not None
    assert caught.value.hint


HARMLESS = {
    '"{0.__class__} %s" % "x"': "{0.__class__} x",
    '"%{__class__}" % {__class__: 1}': "1",
    'record["__class__"]': None,
    'record.dig("__class__", "__mro__")': None,
    '"a".respond_to?("__class__")': False,
    '"a".respond_to?("system")': False,
    "'#{system(1)}'": "#{system(1)}",
    '"__import__"': "__import__",
    "\"'; import os; '\"": "'; import os; '",
    '"\\\\\'\\n\\"\\"\\""': '\\\'\n"""',
    'record["\\"] + 1 + [\\""]': None,
    "'' '\\\\'": "\\",
    "record = {'a' => 1}; record['a']": 1,
    "v_x = 1; x = 2; v_x": 1,
    "t1 = 1; [nil, 2].map { |t2| t2 || t1 }": [1, 2],
    "None = 3 rescue 1": None,
    "budget = 1; budget": 1,
    "export = 1; export + 1": 2,
    "ﬁ = 1; fi = 2; ﬁ": 1,
    "ünï = 1; ünï + 1": 2,
}


@pytest.mark.parametrize("attempt", HARMLESS)
def test_python_means_nothing(attempt: str) -> None:
    """Names, quotes and formats of Python are only text and variables."""
    try:
        value = evaluate(attempt)
    except ExpressionError:
        assert HARMLESS[attempt] is None
        return
    assert value == HARMLESS[attempt]


EXHAUSTING = """
while true; end
until false do 1 end
loop { }
loop { begin; raise "x"; rescue; end }
begin; 1; end while true
i = 0; i += 1 while i < 10**12; i
(10**9).times { }
1.upto(10**12) { }
(1..10**12).each { }
(1..10**12).to_a
(1..10**12).map { |x| x }
(1..10**12).sum
("a".."zzzzzzzzzz").to_a
[1].cycle { }
"a" * 10**9
"a" * (2**40)
[0] * 10**9
"a".ljust(10**9)
"a".center(10**9)
"%1000000000d" % 1
"%.1000000000f" % 1.5
"%*d" % [10**9, 1]
format("%0999999999d", 1)
10 ** 10 ** 10
2 ** (2 ** 60)
1 << 10**12
(9 ** 1000) ** 1000
x = 2; 100.times { x = x * x }; x
x = "ab"; 100.times { x = x + x }; x
x = "ab"; 100.times { x << x }; x
x = "ab"; 100.times { x = "#{x}#{x}" }; x
x = [1]; 100.times { x = x + x }; x
x = [1]; 100.times { x.concat(x) }; x
x = [1]; x.each { |y| x << y }
x = [1]; 60.times { x = [x, x] }; x
x = [1]; 60.times { x = [x, x] }; x.to_s
x = [1]; 60.times { x = [x, x] }; x.to_json
x = [1]; 60.times { x = [x, x] }; x.flatten
x = {}; x["a"] = x; x
x = []; x << x; x
x = []; x << x; x.to_s
x = []; x << x; x.flatten
x = []; x << x; x.hash
a = []; a << a; b = []; b << b; a == b
f = ->(n) { f.call(n + 1) }; f.call(0)
f = ->(n) { begin; f.(n); rescue; f.(n); end }; f.(0)
f = -> { begin; f.(); ensure; f.(); end }; f.()
h = Hash.new { |hash, key| hash[key] }; h["a"]
Array.new(10**9)
Array.new(10**9) { 1 }
(1..30).to_a.combination(15).to_a
(1..1000).to_a.product((1..1000).to_a)
"a".gsub(/a/, "b" * 4000000).gsub(/b/, "c" * 4000000)
JSON.parse("[" * 100000)
Time.now.strftime("%999999999Y")
Time.now.strftime("%Y" * 100000)
Integer("9" * 5000)
("9" * 5000).to_i
(1..12).to_a.permutation.to_a
""".strip().splitlines()


@pytest.mark.parametrize("attempt", EXHAUSTING)
def test_stopped_within_the_budget(attempt: str) -> None:
    """What would take for ever, or all memory, ends with an expression error, and soon."""
    with pytest.raises(ExpressionError):
        evaluate(attempt)


BOMBS = {
    '("a" * 40 + "!") =~ /^(a+)+$/': None,
    '("a" * 40 + "!").match(/^(a|a)*$/)': None,
    '("x" * 60 + "!").gsub(/(x+x+)+y/, "")': "x" * 60 + "!",
    'Regexp.new("^(a+)+$").match("a" * 40 + "!")': None,
    '("a" * 40 + "!") =~ /^#{"(a+)+"}$/': None,
    '("a" * 40 + "!").split(/(a+)+$/)': ["a" * 40 + "!"],
    '("a" * 40 + "!").scan(/^(a*)*$/)': [],
    '("a" * 40 + "!")[/^(([a-z])+.)+[A-Z]([a-z])+$/]': None,
}
"""Patterns on which a matcher that tries every way never ends, with what they give."""


@pytest.mark.parametrize("attempt", BOMBS)
def test_patterns_that_explode(attempt: str) -> None:
    """A pattern made to explode gives its answer, or is stopped."""
    try:
        value = evaluate(attempt)
    except BudgetExceeded:
        return
    assert value == BOMBS[attempt]


def test_the_budget_is_not_rescued() -> None:
    """`rescue` catches Ruby's errors, and not the end of the budget."""
    with pytest.raises(BudgetExceeded):
        evaluate("begin; loop { }; rescue Exception; 1; ensure; 2; end")


def test_each_event_has_a_budget_of_its_own() -> None:
    """What one event spent does not count for the next."""
    template = compile_template("${(1..50_000).map { |x| x }.size}", Reading())
    value = template.bind("a", hostname="h", env={})

    assert [value({}, 0) for _ in range(10)] == [50_000] * 10


def test_short_forms_have_a_budget_per_event() -> None:
    """Work on long texts in the short way is not added up over the events either."""
    template = compile_record([("x", '${record["a"] + record["a"]}')], RecordRules())
    transform = template.bind("a", hostname="h", env={}, missing=lambda *_: None)
    records = [{"a": "x" * 2_000_000} for _ in range(3)]

    for _ in range(70):
        failures = transform([dict(record) for record in records], [0, 0, 0])
        assert failures == []


DEEP = {
    "parentheses": "(" * 5000 + "1" + ")" * 5000,
    "negations": "!" * 20_000 + "1",
    "minuses": "-" * 20_000 + "1",
    "nots": "not " * 20_000 + "1",
    "powers": "2" + "**2" * 20_000,
    "additions": "1" + "+1" * 20_000,
    "chains": "record" + '["a"]' * 10_000,
    "calls": "tag" + ".to_s" * 10_000,
    "arrays": "[" * 5000 + "]" * 5000,
    "hashes": "{a: " * 2000 + "1" + "}" * 2000,
    "ternaries": "1 ? " * 5000 + "1" + " : 2" * 5000,
    "interpolations": '"#{' * 500 + "1" + '}"' * 500,
    "lambdas": "->{" * 500 + "1" + "}" * 500,
    "ifs": "if 1; " * 1000 + "1" + "; end" * 1000,
    "cases": "case 1 when 1 then " * 300 + "1" + " end" * 300,
    "blocks": "[1].map { |x| " * 100 + "x" + " }" * 100,
    "rescues": "begin; " * 100 + "1" + "; rescue; 2; end" * 100,
    "elsifs": "if 0 then 1 " + "".join(f"elsif record['a'] == {n} then x = {n} " for n in range(2000)) + "end",
    "assignments": "a = " * 5000 + "1",
    "groups": "/" + "(" * 5000 + ")" * 5000 + "/",
    "long": "1 + " * 30_000 + "1",
}


@pytest.mark.parametrize("attempt", DEEP)
def test_depth_is_limited(attempt: str) -> None:
    """Nesting that no person writes ends in an expression error, never in Python's."""
    with suppress(ExpressionError):
        evaluate(DEEP[attempt])


def test_no_thread_process_or_variable_is_left() -> None:
    """Evaluating leaves the process as it was."""
    threads, environment = threading.active_count(), dict(os.environ)
    evaluate("x = 1; @y = 2; [x, @y].map(&:to_s).join")

    assert threading.active_count() == threads
    assert dict(os.environ) == environment


def test_a_deeply_nested_record_is_an_error_of_its_event() -> None:
    """A record nested beyond reason fails by itself and the others go on."""
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    template = compile_record([("x", '${record["d"].to_json}')], RecordRules(Reading(dialect=Dialect.TODAY)))
    records = [{"d": deep}, {"d": {"b": 1}}]
    failures = template.bind("a", hostname="h", env={}, missing=lambda *_: None)(records, [0, 0])

    assert [place for place, _ in failures] == [0]
    assert records[1]["x"] == '{"b":1}'
