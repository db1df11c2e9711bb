"""Conditions, loops, `case`, `begin … rescue`, and jumps."""

from __future__ import annotations

from typing import Final

from logpipe.errors import ExpressionError
from logpipe.expression.compiler.assignment import assign_targets
from logpipe.expression.compiler.generator import Generator, handles, is_nil, python_name
from logpipe.expression.compiler.source import NIL, Code
from logpipe.expression.methods.members import members
from logpipe.expression.runtime.comparison import in_range, is_a, matches
from logpipe.expression.runtime.failures import BUDGET, BreakBlock, ReturnValue, rescuable
from logpipe.expression.runtime.values import Range, RubyClass
from logpipe.expression.syntax import nodes

_INNER: Final = "    "


@handles(nodes.Seq)
def sequence(generator: Generator, node: nodes.Seq) -> Code:
    """Write statements; the value is the last one's."""
    for statement in node.statements[:-1]:
        generator.discard(generator.value(statement))
    return generator.value(node.statements[-1]) if node.statements else NIL


@handles(nodes.Not)
def negation(generator: Generator, node: nodes.Not) -> Code:
    """Write `!value`."""
    code = generator.value(node.value)
    known = _known(code)
    if known is not None:
        return Code(str(not known), bool, stable=True)
    if code.kind is bool:
        return Code(f"(not {code.text})", bool)
    if code.stable:
        return Code(f"({code.text} is None or {code.text} is False)", bool)
    name = generator.writer.temporary()
    return Code(f"(({name} := {code.text}) is None or {name} is False)", bool)


@handles(nodes.Or)
def either(generator: Generator, node: nodes.Or) -> Code:
    """Write `left || right`; the right is only evaluated where the left is nil or false."""
    return _lazy(generator, node.left, node.right, wanted=False)


@handles(nodes.And)
def both(generator: Generator, node: nodes.And) -> Code:
    """Write `left && right`; the right is only evaluated where the left is true."""
    return _lazy(generator, node.left, node.right, wanted=True)


def _lazy(generator: Generator, left: nodes.Node, right: nodes.Node, *, wanted: bool) -> Code:
    writer = generator.writer
    first = generator.value(left)
    known = _known(first)
    if known is not None:
        return generator.value(right) if known is wanted else first
    lines, second = generator.apart(right)
    kind = first.kind if first.kind is second.kind else None
    if not lines and kind is bool:
        return Code(f"({first.text} {'and' if wanted else 'or'} {second.text})", bool)
    name = writer.temporary()
    if lines:
        writer.emit(f"{name} = {first.text}")
        writer.emit(f"if {_test(name, wanted=wanted)}:")
        writer.lines += lines
        writer.emit(f"{_INNER}{name} = {second.text}")
        return Code(name, kind, stable=True)
    if first.stable:
        test = _test(first.text, wanted=wanted)
        return Code(f"({second.text} if {test} else {first.text})", kind)
    test = f"({name} := {first.text}) is not None and {name} is not False"
    if wanted:
        return Code(f"({second.text} if {test} else {name})", kind)
    return Code(f"({name} if {test} else {second.text})", kind)


def _known(code: Code) -> bool | None:
    """Return whether a value is true, where that is known without evaluation."""
    if code.text in ("True", "False"):
        return code.text == "True"
    if code.kind is type(None):
        return False if code.stable else None
    return True if code.kind not in (None, bool) and code.stable else None


def _test(name: str, *, wanted: bool) -> str:
    return f"{name} is not None and {name} is not False" if wanted else f"{name} is None or {name} is False"


@handles(nodes.If)
def condition(generator: Generator, node: nodes.If) -> Code:
    """Write `if`, the ternary and the modifiers."""
    name = generator.into or generator.writer.temporary()
    test = generator.truth(generator.value(node.test))
    then_lines, then = generator.apart(node.then, name)
    else_lines, otherwise = generator.apart(node.otherwise, name)
    kind = then.kind if then.kind is otherwise.kind else None
    if not then_lines and not else_lines:
        return Code(f"({then.text} if {test} else {otherwise.text})", kind)
    writer = generator.writer
    writer.emit(f"if {test}:")
    _branch(generator, name, then_lines, then)
    if otherwise.text == name and _is_chain(else_lines, writer.depth + 1):
        lines = [line.removeprefix(_INNER) for line in else_lines]
        lines[0] = lines[0].replace("if ", "elif ", 1)
        writer.lines += lines
    else:
        writer.emit("else:")
        _branch(generator, name, else_lines, otherwise)
    return Code(name, kind, stable=True)


def _branch(generator: Generator, name: str, lines: list[str], code: Code) -> None:
    """Write a branch: its statements, and the assignment of its value to the name shared by both branches."""
    generator.writer.lines += lines
    if code.text != name or not lines:
        generator.writer.emit(f"{_INNER}{name} = {code.text}")


def _is_chain(lines: list[str], depth: int) -> bool:
    """Return whether lines are one `if … elif … else`, which can be joined to the `if` before it."""
    indent = _INNER * depth
    heads = [line.removeprefix(indent) for line in lines if not line.startswith(f"{indent} ")]
    return heads[0].startswith("if ") and all(head.startswith(("elif ", "else:")) for head in heads[1:])


@handles(nodes.Case)
def case(generator: Generator, node: nodes.Case) -> Code:
    """Write `case … when`: a chain of tests, each evaluated only if those before it failed."""
    writer = generator.writer
    result = generator.into or writer.temporary()
    subject = None if node.subject is None else generator.held(generator.value(node.subject), "subject")
    depth = writer.depth
    word = "if"
    for when in node.whens:
        with writer.captured() as lines:
            tests = [_when(generator, test, subject) for test in when.tests]
        if lines and word == "elif":
            writer.emit("else:")
            writer.depth += 1
            word = "if"
            lines[:] = [f"{_INNER}{line}" for line in lines]
        writer.lines += lines
        writer.emit(f"{word} {' or '.join(tests)}:")
        with writer.indented():
            writer.emit(f"{result} = {generator.value(when.body).text}")
        word = "elif"
    writer.emit("else:")
    with writer.indented():
        writer.emit(f"{result} = {generator.value(node.otherwise).text}")
    writer.depth = depth
    return Code(result, None, stable=True)


def _when(generator: Generator, test: nodes.Node, subject: Code | None) -> str:
    """Return the Python condition of one `when`."""
    if subject is None:
        return f"({generator.truth(generator.value(test))})"
    if isinstance(test, nodes.Splat):
        code = generator.value(test.value)
        return f"{generator.function(any_matches, 'any_matches')}({code.text}, {subject.text})"
    code = generator.value(test)
    if code.kind is str and code.stable:
        return f"{subject.text} == {code.text}"
    if is_nil(code) or code.text in ("True", "False"):
        return f"{subject.text} is {code.text}"
    if code.kind is RubyClass and code.stable:
        path = generator.writer.namespace.values[code.text].name
        return f"{generator.function(is_a, 'is_a')}({subject.text}, {path!r})"
    if code.kind is Range:
        return f"{generator.function(in_range, 'in_range')}({code.text}, {subject.text})"
    return f"{generator.function(matches, 'matches')}({code.text}, {subject.text})"


def any_matches(patterns: object, value: object) -> bool:
    """Return whether one of several patterns matches a value."""
    items = patterns if isinstance(patterns, list) else [patterns]
    return any(matches(pattern, value) for pattern in items)


@handles(nodes.While)
def loop(generator: Generator, node: nodes.While) -> Code:
    """Write `while`; each iteration takes a step of the budget."""
    writer = generator.writer
    generator.needs_budget = True
    spend = generator.writer.name(BUDGET, "budget")
    writer.emit("while True:")
    generator.jumps.append("loop")
    with writer.indented():
        writer.emit(f"{spend}.spend()")
        if node.body_first:
            generator.discard(generator.value(node.body))
        test = generator.truth(generator.value(node.test))
        writer.emit(f"if not ({test}):")
        writer.emit(f"{_INNER}break")
        if not node.body_first:
            generator.discard(generator.value(node.body))
    generator.jumps.pop()
    return NIL


@handles(nodes.For)
def for_each(generator: Generator, node: nodes.For) -> Code:
    """Write `for a, b in values`; each iteration takes a step of the budget."""
    writer = generator.writer
    values = generator.held(generator.value(node.values))
    item = writer.temporary("item")
    writer.emit(f"for {item} in {generator.function(members, 'members')}({values.text}):")
    generator.jumps.append("loop")
    with writer.indented():
        assign_targets(generator, node.targets, Code(item, None, stable=True), whole=len(node.targets) == 1)
        generator.discard(generator.value(node.body))
        writer.emit("pass")
    generator.jumps.pop()
    return values


@handles(nodes.Jump)
def jump(generator: Generator, node: nodes.Jump) -> Code:
    """Write `next`, `break` or `return`.

    Raises:
        ExpressionError: there is nothing to jump out of.
    """
    writer = generator.writer
    code = generator.value(node.value)
    inside = generator.jumps[-1] if generator.jumps else ""
    if node.kind == "return":
        _return(generator, code)
    elif inside == "loop":
        generator.discard(code)
        writer.emit("continue" if node.kind == "next" else "break")
    elif node.kind == "next" and inside:
        writer.emit(f"return {code.text}")
    elif inside.startswith("block"):
        number = inside.removeprefix("block ")
        writer.emit(f"raise {generator.function(BreakBlock, 'BreakBlock')}({number}, {code.text})")
        generator.uses |= {inside, "jump"}
    else:
        raise ExpressionError(f"{node.kind} outside of a block or loop", offset=node.offset, hint="remove it")
    return NIL


def _return(generator: Generator, code: Code) -> None:
    """Write `return`: from the enclosing lambda, else from the whole expression."""
    for around in reversed(generator.jumps):
        if around == "lambda":
            generator.writer.emit(f"return {code.text}")
            return
        if around.startswith("block"):
            break
    generator.uses.add("jump")
    generator.writer.emit(f"raise {generator.function(ReturnValue, 'ReturnValue')}({code.text})")


@handles(nodes.Begin)
def begin(generator: Generator, node: nodes.Begin) -> Code:
    """Write `begin … rescue … else … ensure … end`."""
    if not node.rescues and node.ensure is None:
        return generator.value(node.body)
    writer = generator.writer
    result = writer.temporary()
    writer.emit("try:")
    with writer.indented():
        writer.emit(f"{result} = {generator.value(node.body).text}")
    if node.rescues:
        _rescues(generator, node.rescues, result)
    if node.otherwise is not None and node.rescues:
        writer.emit("else:")
        with writer.indented():
            writer.emit(f"{result} = {generator.value(node.otherwise).text}")
    if node.ensure is not None:
        writer.emit("finally:")
        with writer.indented():
            generator.discard(generator.value(node.ensure))
            writer.emit("pass")
    return Code(result, None, stable=True)


def _rescues(generator: Generator, rescues: list[nodes.Rescue], result: str) -> None:
    writer = generator.writer
    caught, error = writer.temporary("caught"), writer.temporary("error")
    writer.emit(f"except {writer.name(Exception, 'Exception')} as {caught}:")
    with writer.indented():
        writer.emit(f"{error} = {generator.function(rescuable, 'rescuable')}({caught})")
        depth = writer.depth
        generator.errors.append(error)
        for rescue in rescues:
            writer.emit(f"if {_catches(generator, rescue, error)}:")
            with writer.indented():
                if rescue.name is not None:
                    generator.declare(rescue.name)
                    writer.emit(f"{python_name(rescue.name)} = {error}")
                writer.emit(f"{result} = {generator.value(rescue.body).text}")
            writer.emit("else:")
            writer.depth += 1
        writer.emit("raise")
        writer.depth = depth
        generator.errors.pop()


def _catches(generator: Generator, rescue: nodes.Rescue, error: str) -> str:
    names = []
    for kind in rescue.classes:
        if not isinstance(kind, nodes.Const):
            raise ExpressionError(
                "rescue needs names of classes", offset=kind.offset, hint="write rescue StandardError"
            )
        generator.value(kind)  # raises for an unknown one
        names.append(kind.path)
    return " or ".join(f"{error}.is_a({name!r})" for name in names or ["StandardError"])


@handles(nodes.Defined)
def defined(generator: Generator, node: nodes.Defined) -> Code:
    """Write `defined?(…)`: a text where the value is defined, else nil."""
    inner = node.value
    if isinstance(inner, nodes.Name) and inner.name in generator.context.names:
        return Code("'local-variable'", str, stable=True)
    if isinstance(inner, nodes.Name):
        if not generator.context.fields:
            return NIL
        generator.uses.add("record")
        return Code(f"('method' if {inner.name!r} in record else None)")
    if isinstance(inner, nodes.Local):
        return Code("'local-variable'", str, stable=True) if generator.scope.owner(inner.name) else NIL
    if isinstance(inner, nodes.InstanceVariable):
        if not generator.scope.owner(inner.name):
            return NIL
        # nil counts as undefined: all instance variables that an entry uses exist, assigned or not
        return Code(f"('instance-variable' if {generator.value(inner).text} is not None else None)")
    if isinstance(inner, nodes.Const):
        try:
            generator.value(inner)
        except ExpressionError:
            return NIL
        return Code("'constant'", str, stable=True)
    writer = generator.writer
    result = writer.temporary()
    kind = "method" if isinstance(inner, nodes.Call) else "expression"
    writer.emit("try:")
    with writer.indented():
        writer.emit(f"{result} = {generator.value(inner).text}")
        writer.emit(f"{result} = {kind!r}")
    writer.emit(f"except {writer.name(Exception, 'Exception')}:")
    writer.emit(f"{_INNER}{result} = None")
    return Code(result, None, stable=True)
