"""`Constraint`: a condition that architectures of a space have to meet, such as `decoder.layers <= encoder.layers`.

A constraint is an expression of whole numbers, sizes, `+ - * // %`, comparisons (chains too), `and`, `or`, `not` and
brackets. It is parsed into a tree of these and nothing else, and never given to `eval`.

Sizes of a side: `encoder.dim`, `encoder.layers` (depth), `encoder.expert_layers` (layers with more than one expert),
`encoder.experts` (experts of all layers, a dense layer counts 1); and those of the decoder.
Sizes of a layer: `encoder.layer.heads` and so on, the keys of a space file. A constraint that has one must hold in
every layer, and if it has `expert_width` for every expert. It cannot join the layers of both sides.

Shape suffix: N architectures.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automoe.errors import SpaceError, did_you_mean

SIDE_SIZES = ("dim", "layers", "expert_layers", "experts")
LAYER_SIZES = ("heads", "qkv_dim", "experts", "expert_width", "top_k")
CROSS_SIZES = ("cross_heads", "cross_qkv_dim", "cross_layers")
VARIABLES = (
    *(f"{side}.{size}" for side in ("encoder", "decoder") for size in SIDE_SIZES),
    *(f"{side}.layer.{size}" for side in ("encoder", "decoder") for size in LAYER_SIZES),
    *(f"decoder.layer.{size}" for size in CROSS_SIZES),
)
"""All sizes that a constraint can speak of."""
_MAX_DEPTH = 50
_MAX_NUMBER, _MAX_SIZE, _MAX_VALUE = 10**12, 1 << 20, 1 << 62
"""The largest number that can be written, that any size can be, and that may come about on the way: int64 ends at
2**63, and what goes beyond it would turn its sign unnoticed."""
_LONG_NUMBER = re.compile(r"\b[0-9][0-9a-zA-Z_]{30,}")
_SLIPS = (
    ("&&", "Write and"), ("||", "Write or"), ("<>", "Write !="), ("=>", "Write >="), ("=<", "Write <="),
    ("===", "Write =="),
)  # fmt: skip
"""What other languages write, and what is written here."""

_NUMBERS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
}
_COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """One condition; equal if the expressions differ in blanks and needless brackets only."""

    text: str
    """In the one spelling that Python's `ast.unparse` gives."""
    variables: frozenset[str] = field(compare=False)
    """The sizes that it speaks of, out of `VARIABLES`."""
    _tree: ast.expr = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Reads a constraint.

        Raises:
            SpaceError: it is no expression of the grammar, speaks of an unknown size, of the layers of both sides, or
                of no size at all, or numbers above 2**62 could come about in it.
        """
        if not text.strip():
            raise _wrong(text, "is no expression: it is empty", hint="Write a condition, or remove it")
        if _LONG_NUMBER.search(text):
            raise _wrong(text, "holds a number beyond every model", allowed=f"at most {_MAX_NUMBER}")
        try:
            tree = ast.parse(" ".join(text.split()), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else "is too long or holds a null character"
            raise _wrong(text, f"is no expression: {reason}", hint=_intended(text)) from None
        names = set(_names(tree, text, depth=0))
        if not _is_condition(tree):
            raise _wrong(text, "says nothing that can be true or false", hint="Compare two sizes: a <= b")
        if not names:
            raise _wrong(text, "speaks of no size")
        if len({name.split(".")[0] for name in names if ".layer." in name}) > 1:
            raise _wrong(text, "joins layers of the encoder and of the decoder, which are not pairs")
        _bounds(tree, text)
        return cls(text=ast.unparse(tree), variables=frozenset(names), _tree=tree)

    @property
    def layer_side(self) -> str | None:
        """The side whose every layer must meet it; None if it speaks of no layer."""
        sides = {name.split(".")[0] for name in self.variables if ".layer." in name}
        return sides.pop() if sides else None

    def holds(self, sizes: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Whether it is met, for each of N architectures (or for one, where all sizes are plain numbers).

        Args:
            sizes: whole numbers or int64 arrays of shapes that go together, for each of `variables`. Where something
                is divided by 0 the constraint is not met.
        """
        with np.errstate(divide="ignore"):
            value, defined = _evaluated(self._tree, sizes)
        return np.asarray(np.logical_and(value, defined))

    def __str__(self) -> str:
        return self.text


def _names(node: ast.expr, text: str, depth: int) -> Iterator[str]:
    """The sizes in an expression; everything that is not in the grammar is refused."""
    if depth > _MAX_DEPTH:
        raise _wrong(text, "is nested too deeply")
    if isinstance(node, ast.Attribute | ast.Name):
        name = ast.unparse(node)
        if name not in VARIABLES:
            side = name.partition(".")[0]
            sizes = [size for size in VARIABLES if size.startswith(f"{side}.")] or VARIABLES
            raise _wrong(text, f"speaks of {name}, which is no size", allowed=", ".join(sizes),
                         hint=did_you_mean(name, sizes) or did_you_mean(name, VARIABLES))  # fmt: skip
        yield name
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        if abs(node.value) > _MAX_NUMBER:
            raise _wrong(text, "holds a number beyond every model", allowed=f"at most {_MAX_NUMBER}")
    elif children := _children(node):
        for child in children:
            yield from _names(child, text, depth + 1)
    else:
        allowed = "sizes, whole numbers, + - * // %, < <= > >= == !=, and, or, not, ( )"
        raise _wrong(text, f"holds {_shortened(ast.unparse(node))!r}, which is not allowed there", allowed=allowed,
                     hint=_intended_node(node))  # fmt: skip


def _children(node: ast.expr) -> list[ast.expr]:
    """The parts of a node of the grammar that has parts; none of any other."""
    numbers = [node.left, node.right] if isinstance(node, ast.BinOp) and type(node.op) in _NUMBERS else []
    if isinstance(node, ast.Compare) and all(type(each) in _COMPARISONS for each in node.ops):
        numbers = [node.left, *node.comparators]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        numbers = [node.operand]
    if numbers:
        return [] if any(map(_is_condition, numbers)) else numbers
    conditions = list(node.values) if isinstance(node, ast.BoolOp) else []
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        conditions = [node.operand]
    return conditions if all(map(_is_condition, conditions)) else []


def _intended(text: str) -> str | None:
    """How to write what is well-formed in another language."""
    for slip, hint in _SLIPS:
        if slip in text:
            return hint
    if re.search(r"(?<![<>=!])=(?!=)", text):
        return "Write =="
    return "Write not" if re.search(r"!(?!=)", text) else None


def _intended_node(node: ast.expr) -> str | None:
    """How to write what is well-formed in Python."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return "Write //, which rounds down, or multiply the other side"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return "Write it as a product"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
        return "Write and" if isinstance(node.op, ast.BitAnd) else "Write or"
    if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
        return "Compare with each: a == 1 or a == 2"
    if isinstance(node, ast.Compare) and any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
        return "Write == or !="
    return None


def _bounds(node: ast.expr, text: str) -> tuple[int, int]:
    """The least and the most that a parsed expression can be, of conditions 0 and 1; sizes are 0 to 2**20.

    Raises:
        SpaceError: some part of it could leave int64.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value, node.value
    if isinstance(node, ast.Attribute | ast.Name):
        return 0, _MAX_SIZE
    parts = [_bounds(child, text) for child in _children(node)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        ((low, high),) = parts
        return -high, -low
    if not isinstance(node, ast.BinOp):
        return 0, 1
    low, high = _bounds_of(node.op, *parts)
    if max(-low, high) > _MAX_VALUE:
        shown = _shortened(ast.unparse(node))
        raise _wrong(text, f"holds {shown!r}, which can become too large to be computed", allowed="at most 2**62",
                     hint="A size can be up to 2**20: multiply fewer of them")  # fmt: skip
    return low, high


def _bounds_of(op: ast.operator, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    if isinstance(op, ast.Add):
        return a[0] + b[0], a[1] + b[1]
    if isinstance(op, ast.Sub):
        return a[0] - b[1], a[1] - b[0]
    if isinstance(op, ast.Mult):
        products = [left * right for left in a for right in b]
        return min(products), max(products)
    most = max(map(abs, a if isinstance(op, ast.FloorDiv) else b))  # no whole divisor makes a number larger
    return -most, most


def _is_condition(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare | ast.BoolOp) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )


def _evaluated(node: ast.expr, sizes: Mapping[str, Any]) -> tuple[Any, Any]:
    """The value of an expression, and whether it is defined: where a divisor is 0 it is not."""
    if isinstance(node, ast.Constant):
        return np.int64(node.value), True  # type: ignore[arg-type]
    if isinstance(node, ast.Attribute | ast.Name):
        return np.asarray(sizes[ast.unparse(node)], dtype=np.int64), True
    parts = [_evaluated(child, sizes) for child in _children(node)]
    values, defined = [value for value, _ in parts], True
    for _, each in parts:
        defined = np.logical_and(defined, each)
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.FloorDiv | ast.Mod):
            defined = np.logical_and(defined, values[1] != 0)
        return _NUMBERS[type(node.op)](*values), defined
    if isinstance(node, ast.Compare):
        links = [_COMPARISONS[type(op)](*pair) for op, pair in zip(node.ops, pairwise(values),
                                                                    strict=True)]  # fmt: skip
        return np.logical_and.reduce(np.broadcast_arrays(*links)), defined
    if isinstance(node, ast.BoolOp):
        joined = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return joined.reduce(np.broadcast_arrays(*values)), defined
    if isinstance(node, ast.UnaryOp):
        return (np.logical_not(values[0]) if isinstance(node.op, ast.Not) else -values[0]), defined
    raise AssertionError(f"a parsed constraint holds {node!r}")


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _wrong(text: str, problem: str, allowed: str | None = None, hint: str | None = None) -> SpaceError:
    return SpaceError(problem, key="constraints", value=_shortened(text), allowed=allowed, hint=hint)
