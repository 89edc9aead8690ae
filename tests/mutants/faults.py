"""Single faults of a module, made from its syntax tree: a comparison turned, a statement left out, a number changed.

Each fault is a small edit of the source text, so that everything else keeps its lines.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
}  # fmt: skip
SHORT = 25  # characters; what is shorter is named together with its line
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "reversed": "list"}


@dataclass(frozen=True)
class Fault:
    """what: the operator, and the text it made of what. begin, end: characters of the source that `text` replaces."""

    line: int
    what: str
    begin: int
    end: int
    text: str

    def applied(self, source: str) -> str:
        return source[: self.begin] + self.text + source[self.end :]


def faults(source: str) -> list[Fault]:
    """All single faults of a module, in order of their place."""
    tree = ast.parse(source)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = source.splitlines(keepends=True)

    def place(line: int, column: int) -> int:  # columns count bytes
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found = []
    for node, what, text in _edits(tree):
        begin, end = place(node.lineno, node.col_offset), place(node.end_lineno or 0, node.end_col_offset or 0)
        was = " ".join(source[begin:end].split())
        named = f"{what}: {was[:70]} -> {text[:70]}"
        if len(was) < SHORT:
            named += f" in {lines[node.lineno - 1].strip()[:70]}"
        found.append(Fault(node.lineno, named, begin, end, text))
    return _numbered(sorted(found, key=lambda fault: (fault.begin, fault.end, fault.text)))


def _numbered(found: list[Fault]) -> list[Fault]:
    """The second fault with the same words gets `#2` after them, and so on: equivalent.yaml names faults by words."""
    seen: Counter[str] = Counter()
    for number, fault in enumerate(found):
        seen[fault.what] += 1
        if seen[fault.what] > 1:
            found[number] = replace(fault, what=f"{fault.what} #{seen[fault.what]}")
    return found


def _edits(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    """(node, operator, its new text)."""
    for node in _code(tree):
        if isinstance(node, ast.expr):
            for what, changed in _expressions(node):
                yield node, what, f"({ast.unparse(changed)})"
        elif isinstance(node, ast.stmt):
            yield from _statements(node)


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run and can be wrong: no annotations, docstrings, messages of exceptions, `if TYPE_CHECKING`.

    `strict=True` is an assertion of the code about itself, like `assert`: neither is a fault when it is gone.
    """
    for name, value in ast.iter_fields(tree):
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or name in ("annotation", "returns", "decorator_list", "type_comment"):
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            if isinstance(node, ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr):
                continue
            if isinstance(node, ast.keyword) and node.arg == "strict":
                continue
            yield node
            if not isinstance(node, ast.Raise):
                yield from _code(node)


def _expressions(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            if other := _COMPARE.get(type(operator)):
                operators = [*node.ops[:number], other(), *node.ops[number + 1 :]]
                yield "compare", ast.Compare(node.left, operators, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield "and/or", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for number in range(len(node.values)):
            rest = [*node.values[:number], *node.values[number + 1 :]]
            yield "condition left out", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY and not _is_text(node):
        yield "arithmetic", ast.BinOp(node.left, _BINARY[type(node.op)](), node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not left out", node.operand
    elif isinstance(node, ast.IfExp):
        yield "always the first", node.body
        yield "always the second", node.orelse
    elif isinstance(node, ast.Constant) and not isinstance(node.value, str | bytes):
        yield from _constants(node.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        changed = _CALLS[node.func.id]
        keywords = [] if changed == "list" else node.keywords
        arguments = node.args[:1] if changed == "list" else node.args
        yield "call", ast.Call(ast.Name(changed), arguments, keywords)
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        for number, part in enumerate(node.generators):
            if part.ifs:
                generators = list(node.generators)
                generators[number] = ast.comprehension(part.target, part.iter, [], part.is_async)
                yield "filter left out", _with(node, generators)


def _with(node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, generators: list[ast.comprehension]) -> ast.expr:  # fmt: skip  # noqa: E501
    if isinstance(node, ast.DictComp):
        return ast.DictComp(node.key, node.value, generators)
    return type(node)(node.elt, generators)


def _constants(value: object) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield "constant", ast.Constant(value + 1)
    elif isinstance(value, float):
        yield "constant", ast.Constant(value * 2 if value else 1.0)


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
               for side in (node.left, node.right))  # fmt: skip


_SIMPLE: tuple[Callable[[ast.stmt], bool], ...] = (
    lambda node: isinstance(node, ast.Expr) and isinstance(node.value, ast.Call),
    lambda node: isinstance(node, ast.AugAssign | ast.Raise | ast.Continue | ast.Break | ast.Delete),
    lambda node: isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript),
    lambda node: isinstance(node, ast.Return) and node.value is None,
)


def _statements(node: ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    if any(test(node) for test in _SIMPLE):
        yield node, "statement left out", "pass"
    if isinstance(node, ast.If | ast.While):
        yield node.test, "never", "(False)"
        if isinstance(node, ast.If):
            yield node.test, "always", "(True)"
    if isinstance(node, ast.With):
        for item in node.items:
            if item.optional_vars is None:
                yield item.context_expr, "context left out", "__import__('contextlib').nullcontext()"
