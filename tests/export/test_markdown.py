"""Text of other people in Markdown is text."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from automoe.export.markdown import escaped, is_hidden, table

STRUCTURE = r"\`*_[]<&|~$"


@given(st.text())
def test_what_is_escaped_reads_as_it_was_on_one_line(text):
    """A backslash before punctuation is how CommonMark writes the character itself."""
    line = escaped(text)
    assert len(line.splitlines()) <= 1
    read = html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", lambda match: f"&#{ord(match[1])};", line))
    shown = "".join("�" if is_hidden(char) else char for char in " ".join(text.split()))
    assert read == html.unescape(shown) or read == shown


def test_what_turns_a_line_around_is_shown_and_what_scripts_need_stays():
    assert escaped("\u202eevil\u2066\x07\ufeff") == "�evil���"
    joined = "क्\u200dष می\u200cخواهم"
    assert escaped(joined) == joined


@given(st.text(alphabet=STRUCTURE + "a \n"))
def test_no_character_that_means_something_stands_unescaped(text):
    assert not set(re.sub(r"\\.", "", escaped(text))) & set(STRUCTURE)


@given(st.sampled_from(["# ", "## ", "> ", "- ", "+ ", "1. ", "12) ", "---", "===", ">"]), st.sampled_from(["", "a"]))
def test_no_text_begins_a_block(start, rest):
    line = escaped(start + rest)
    assert not re.match(r"(#{1,6}|[-+]|\d+[.)])(\s|$)|>|-{3,}$|=+$", line)


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_a_table_has_a_line_for_each_row_and_a_cell_for_each_text(rows):
    lines = table(["a", "b"], [[escaped(cell) for cell in row] for row in rows]).split("\n")
    assert len(lines) == 2 + len(rows)
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3 for line in lines)
