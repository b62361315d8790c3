"""Reads a YAML or JSON file into a tree that knows on which line every key and value stands; writes either form.

The tree holds what the file says and nothing of what it means: `fields` checks that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automoe.errors import DependencyError, SpaceError, did_you_mean
from automoe.files import write_atomically, write_json

YAML_SUFFIXES = (".yaml", ".yml")

Scalar = None | bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One `key: value` of a mapping."""

    key: str
    line: int | None
    """The line of the key."""
    value: Tree


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One value of a file: a mapping, a list or a scalar, and its line (None where a file has no lines)."""

    line: int | None
    file: Path | None = None
    """Where it stands: a space that extends another holds values of both files."""
    pairs: tuple[Pair, ...] | None = None
    items: tuple[Tree, ...] | None = None
    text: str = ""
    """A scalar as the file writes it, without its quotes."""
    scalar: Scalar = None
    removes: bool = False
    """Whether it is a null that takes away what an extended file says, of which there is nothing."""

    @property
    def is_null(self) -> bool:
        """Whether it says nothing: `null`, `~`, or a key with nothing behind it."""
        return self.pairs is None and self.items is None and self.scalar is None

    def shown(self, depth: int = 2) -> str:
        """The value for an error message, as a file writes it on one line: what lies deeper
        is left out, since aliases can make it very large."""
        if depth == 0 and (self.pairs or self.items):
            return "..."
        if self.pairs is not None:
            return "{" + ", ".join(f"{pair.key}: {pair.value.shown(depth - 1)}" for pair in self.pairs) + "}"
        if self.items is not None:
            return "[" + ", ".join(item.shown(depth - 1) for item in self.items) + "]"
        if self.scalar is None:
            return "null"
        # A quoted number is a text, and that may be what is wrong with it.
        return f"'{self.text}'" if isinstance(self.scalar, str) and self.text[:1].isdigit() else self.text


def load_tree(path: Path) -> Tree:
    """Reads a `.json` file as JSON (without lines) and any other as YAML (with lines).

    Raises:
        SpaceError: the file is missing, no file, not UTF-8, empty, or not well-formed.
        DependencyError: YAML is to be read and PyYAML is not installed.
    """
    text = _read_text(path)
    if not text.strip():
        raise SpaceError("the file is empty", file=path)
    return tree_from_json(text, path) if path.suffix == ".json" else tree_from_yaml(text, path)


def tree_from_yaml(text: str, file: Path | None = None) -> Tree:
    """Parses YAML text; anchors and aliases are followed, merge keys (`<<`) are not.

    Raises:
        SpaceError: the text is not well-formed YAML, or a value contains itself.
        DependencyError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise DependencyError("pyyaml", extra="search") from error
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise SpaceError("the file holds comments only", file=file)
            return _YamlConverter(loader, file).convert(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, file) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpaceError(f"holds the unprintable character {error.character:#x}", file=file, line=line) from None
    except RecursionError:
        raise SpaceError("is nested too deeply", file=file) from None


def tree_from_json(text: str, file: Path | None = None) -> Tree:
    """Parses JSON text.

    Raises:
        SpaceError: the text is not well-formed JSON.
    """
    try:
        return _tree_of(json.loads(text, object_pairs_hook=_JsonObject), file)
    except json.JSONDecodeError as error:
        raise SpaceError(f"is not valid JSON: {error.msg}", file=file, line=error.lineno) from None
    except RecursionError:
        raise SpaceError("is nested too deeply", file=file) from None
    except ValueError:  # a number of more digits than Python reads
        raise SpaceError("holds a number of thousands of digits", file=file) from None


def tree_from_mapping(mapping: Mapping[str, Any]) -> Tree:
    """The tree of plain Python values; it has no lines."""
    return _tree_of(_JsonObject(mapping.items()))


def write_form(path: str | Path, *, json_form: Mapping[str, Any], yaml_text: str) -> None:
    """Writes one of the two forms of a value, by the suffix of `path`.

    Raises:
        SpaceError: the suffix is neither `.yaml`, `.yml` nor `.json`.
    """
    path = Path(path)
    if path.suffix == ".json":
        write_json(path, json_form)
    elif path.suffix in YAML_SUFFIXES:
        write_atomically(path, yaml_text)
    else:
        raise SpaceError("the suffix says no known form", file=path, value=path.suffix, allowed=".yaml, .yml, .json")


class _JsonObject(list[tuple[str, Any]]):
    """The pairs of a JSON object, duplicates included."""


def _tree_of(value: Any, file: Path | None = None) -> Tree:
    if isinstance(value, Mapping):
        value = _JsonObject(value.items())
    if isinstance(value, _JsonObject):
        pairs = tuple(Pair(key=str(k), line=None, value=_tree_of(v, file)) for k, v in value)
        return Tree(line=None, file=file, pairs=pairs)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Tree(line=None, file=file, items=tuple(_tree_of(item, file) for item in value))
    return Tree(line=None, file=file, text=value if isinstance(value, str) else json.dumps(value), scalar=value)


class _YamlConverter:
    """Turns the nodes of PyYAML into trees, each node once however many aliases point at it."""

    def __init__(self, loader: Any, file: Path | None) -> None:
        self._loader, self._file = loader, file
        self._trees: dict[int, Tree | None] = {}
        """By the node's identity; None while the node is being converted."""

    def convert(self, node: Any) -> Tree:
        known = self._trees.get(id(node), node)
        if known is None:
            raise SpaceError("a value that contains itself", file=self._file, line=_line(node))
        if isinstance(known, Tree):
            return known
        self._trees[id(node)] = None
        tree = self._trees[id(node)] = self._convert_new(node)
        return tree

    def _convert_new(self, node: Any) -> Tree:
        if node.id == "mapping":
            pairs = tuple(
                Pair(key=self._key(key), line=_line(key), value=self.convert(value)) for key, value in node.value
            )
            return Tree(line=_line(node), file=self._file, pairs=pairs)
        if node.id == "sequence":
            items = tuple(self.convert(item) for item in node.value)
            return Tree(line=_line(node), file=self._file, items=items)
        return Tree(line=_line(node), file=self._file, text=node.value, scalar=self._scalar(node))

    def _key(self, node: Any) -> str:
        if node.id != "scalar":
            raise SpaceError("a key must be a word", file=self._file, line=_line(node))
        return str(node.value)

    def _scalar(self, node: Any) -> Scalar:
        kind = node.tag.rpartition(":")[2]
        if kind not in ("null", "bool", "int", "float"):
            return str(node.value)  # dates and unknown tags are text for us
        try:
            value: Scalar = self._loader.construct_object(node)
        except ValueError:  # `!!int` in front of a word
            return str(node.value)
        return value


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        names = [file.name for file in path.parent.glob("*") if file.is_file()] if path.parent.is_dir() else []
        raise SpaceError("there is no such file", file=path, hint=did_you_mean(path.name, names)) from None
    except IsADirectoryError:
        raise SpaceError("is a folder, not a file", file=path) from None
    except OSError as error:
        raise SpaceError(f"cannot be read: {error.strerror}", file=path) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpaceError("is not UTF-8 text", file=path, line=line, hint="Save the file as UTF-8") from None


def _syntax_error(error: Any, text: str, file: Path | None) -> SpaceError:
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    problem = error.problem or error.context or "is not well-formed"
    if mark is not None and mark.index < len(text) and text[mark.index] == "\t":
        return SpaceError("a tab stands where YAML wants spaces", file=file, line=line, hint="Indent with spaces")
    hint = None
    if error.context and not error.context.startswith("while"):
        problem = f"{error.context}, {problem}"
    elif error.context and error.context_mark is not None and error.context_mark.line + 1 != line:
        hint = f"It began {error.context} on line {error.context_mark.line + 1}"
    return SpaceError(f"is not valid YAML: {problem}", file=file, line=line, hint=hint)


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
