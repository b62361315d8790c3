"""`Field`: one value of a file, read as what it should be; what is wrong is collected, not raised.

So one pass over a file finds all its mistakes: the linter shows all of them, a reader raises the first.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from automoe.errors import SpaceError, did_you_mean
from automoe.space.files.yaml_file import Tree

MAX_SIZE = 1 << 20
"""No dimension or width is larger; a slip of the keyboard is."""

_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_UNDERSCORED = re.compile(r"[1-9][0-9]*(_[1-9][0-9]*)+")
"""YAML 1.1 reads 512_256 as 512256; HAT's files join widths in this way."""
_LOOKALIKES = str.maketrans({"O": "0", "o": "0", "Q": "0", "l": "1", "I": "1", "i": "1", "|": "1", "Z": "2",
                             "S": "5", "B": "8"}) | {ord(c): None for c in "_,' "}  # fmt: skip

_PYTHON_WORDS = {"None": "YAML writes null", "True": "YAML writes true", "False": "YAML writes false"}


class Mistakes:
    """What is wrong with one file, and with those that it extends."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self._found: dict[str, SpaceError] = {}
        """By its message: what is read twice is wrong once."""

    def add(self, problem: str, *, file: Path | None, line: int | None, key: str | None, **fields: Any) -> None:
        """Notes a mistake, once; `fields` are those of `AutoMoEError`."""
        mistake = SpaceError(problem, file=file or self.file, line=line, key=key, **fields)
        self._found.setdefault(str(mistake), mistake)

    def sorted(self) -> list[SpaceError]:
        """All mistakes in the order of their lines; those of files that this one extends come behind its own."""
        own = str(self.file)
        return sorted(self._found.values(), key=lambda error: (error.file != own, error.file or "", error.line or 0))

    def raise_first(self) -> None:
        """Raises the first of the sorted mistakes, if there is one."""
        if self._found:
            raise self.sorted()[0]

    def __len__(self) -> int:
        return len(self._found)


class Field:
    """A value of a file with its line and its dotted key (`encoder.layers[1].heads`)."""

    def __init__(self, tree: Tree, mistakes: Mistakes, key: str | None = None, line: int | None = None) -> None:
        self.tree, self.key = tree, key
        self.line = tree.line if line is None else line
        self._mistakes = mistakes

    def wrong(self, problem: str, *, show_value: bool = True, **fields: Any) -> None:
        """Notes a mistake of this value."""
        if show_value:
            fields.setdefault("value", self.tree.text if self.is_scalar else self.tree.shown())
            fields["hint"] = fields.get("hint") or _PYTHON_WORDS.get(self.tree.text)
        self._mistakes.add(problem, file=self.tree.file, line=self.line, key=self.key, **fields)

    @property
    def is_inherited(self) -> bool:
        """Whether the value stands in a file that the one being read extends."""
        return self.tree.file != self._mistakes.file

    @property
    def place(self) -> str:
        """Where it stands, for a message about another value: `on line 3 of mine.yaml`, `in mine.json`."""
        file = "this text" if self.tree.file is None else self.tree.file.name
        return f"in {file}" if self.line is None else f"on line {self.line} of {file}"

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping."""
        return self.tree.pairs is not None

    @property
    def is_list(self) -> bool:
        """Whether the value is a list."""
        return self.tree.items is not None

    @property
    def is_scalar(self) -> bool:
        """Whether the value is a number, a word or nothing."""
        return not self.is_mapping and not self.is_list

    @property
    def is_clean(self) -> bool:
        """Whether nothing wrong has been found in the whole file so far."""
        return not self._mistakes

    def child(self, key: str) -> Field | None:
        """The value of `key` in a mapping, unchecked."""
        for pair in self.tree.pairs or ():
            if pair.key == key and not pair.value.removes:
                return Field(pair.value, self._mistakes, self._dotted(key), pair.line)
        return None

    def default(self, key: str) -> Field:
        """The place of a `key` that the mapping leaves out."""
        return Field(self.tree, self._mistakes, self._dotted(key), self.line)

    def entries(
        self, known: Collection[str], required: Collection[str] = (), tolerated: Collection[str] = ()
    ) -> dict[str, Field]:
        """The values of a mapping by key; unknown, repeated and missing keys are mistakes. Empty if no mapping.

        Args:
            known: keys that mean something.
            required: those of them that must stand there.
            tolerated: keys that mean nothing here; they are read, and not listed among what is allowed.
        """
        if self.tree.pairs is None:
            self.wrong("is not a mapping", allowed="the keys " + ", ".join(known))
            return {}
        found: dict[str, Field] = {}
        hints = ""
        for pair in self.tree.pairs:
            # A nested block begins below its key; a reader looks for the key.
            field = Field(pair.value, self._mistakes, self._dotted(pair.key), pair.line)
            if pair.key not in known and pair.key not in tolerated:
                hint = did_you_mean(pair.key, (*known, *tolerated))
                hints += hint or ""
                field.wrong("unknown key", show_value=False, allowed=", ".join(known), hint=hint)
            elif pair.value.removes:
                continue
            elif pair.key in found:
                field.wrong(f"the key stands twice, first {found[pair.key].place}", show_value=False)
            elif pair.value.is_null and pair.key not in required:
                field.wrong("says nothing", hint="Remove the line")
            else:
                found[pair.key] = field
        for key in required:
            if key not in found and repr(key) not in hints:  # a misspelt key is one mistake, not two
                self._mistakes.add("is missing", file=self.tree.file, line=self.line, key=self._dotted(key))
        return found

    def elements(self) -> list[Field]:
        """The values of a list that is not empty."""
        if not self.tree.items:
            self.wrong("is an empty list" if self.is_list else "is not a list", allowed="a list like [1, 2]")
            return []
        return [Field(item, self._mistakes, f"{self.key}[{index}]") for index, item in enumerate(self.tree.items)]

    def whole_number(self, minimum: int = 1, maximum: int = MAX_SIZE) -> int | None:
        """The value as a decimal whole number within bounds; None, and a mistake, if it is none."""
        scalar, text = self.tree.scalar, self.tree.text
        allowed = f"{minimum} to {maximum}"
        # YAML 1.1 reads 0100 as 64 and 1:30 as 90: only what a reader sees as that number counts as one.
        if not isinstance(scalar, int) or isinstance(scalar, bool) or not _WHOLE.fullmatch(text):
            self.wrong("is not a whole number", allowed=allowed, hint=self._intended_number())
            return None
        if not minimum <= scalar <= maximum:
            self.wrong("is out of range", allowed=allowed)
            return None
        return scalar

    def word(self) -> str | None:
        """The value as a text that is not empty; None, and a mistake, if it is none."""
        if not self.is_scalar or not self.tree.text.strip() or self.tree.scalar is None:
            self.wrong("is not a word")
            return None
        return self.tree.text

    def _dotted(self, key: str) -> str:
        return key if self.key is None else f"{self.key}.{key}"

    def _intended_number(self) -> str | None:
        if not self.is_scalar or isinstance(self.tree.scalar, bool):
            return None
        if isinstance(self.tree.scalar, str) and _WHOLE.fullmatch(self.tree.text):
            return "Remove the quotes"
        if _UNDERSCORED.fullmatch(self.tree.text):
            numbers = self.tree.text.split("_")
            return f"Write [{', '.join(numbers)}], or {''.join(numbers)} for one number"
        digits = re.sub(r"\.0*$", "", self.tree.text).translate(_LOOKALIKES).lstrip("0")
        return f"Did you mean {digits}?" if digits.isascii() and digits.isdigit() else None
