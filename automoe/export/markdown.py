"""Markdown out of other people's text: what it holds is shown, never obeyed (CommonMark and GitHub's tables)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_\[\]<&|~$])")
_JOINERS = ("\N{ZERO WIDTH JOINER}", "\N{ZERO WIDTH NON-JOINER}")
_AT_START = re.compile(r"^(?:(#+|>)|(\d{0,9})([-+=.)])(?=\s|[-=]*$))")
"""What begins a heading, a quotation or a list, or underlines a heading: `# `, `>`, `- `, `1. `, `===`."""


def is_hidden(char: str) -> bool:
    """Whether a character shows nothing of itself: a control or a format character, joiners aside."""
    return unicodedata.category(char) in ("Cc", "Cf") and char not in _JOINERS


def escaped(text: str) -> str:
    """The text on one line, so that Markdown shows it as it is, anywhere: in a paragraph, a list, a table's cell.

    Line ends and runs of spaces become a space, as Markdown would show them. Other control characters become U+FFFD,
    and so do invisible ones that could make a text read otherwise than it is (those that turn the direction around),
    but not the two joiners that scripts are written with.
    """
    line = " ".join(text.split())
    line = "".join("\N{REPLACEMENT CHARACTER}" if is_hidden(char) else char for char in line)
    line = _SPECIAL.sub(r"\\\1", line)
    return _AT_START.sub(lambda match: f"\\{match[1]}" if match[1] else f"{match[2]}\\{match[3]}", line)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells of `rows` are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
