"""CSV and TSV as they are written: quoted cells over lines, marks that do not pair, cells of any size."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.delimited import cells_of, delimiter_of, rows_of


def rows(text: str, delimiter: str = ",", width: int = 2) -> list[list[str]]:
    return [row.cells for row in rows_of(io.StringIO(text, newline=""), delimiter, width)]


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=3, max_size=3)
    )
)
def test_what_the_csv_module_writes_is_read(table: list[list[str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(table)
    assert rows(buffer.getvalue(), width=3) == table


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_ends_a_row(end: str) -> None:
    assert rows(end.join(("a,b", "", "c,d")) + end) == [["a", "b"], ["c", "d"]]


def test_an_unpaired_mark_spoils_only_its_own_cell() -> None:
    text = '1\t"Big" poster\n2\t"open\n3\tcaption\n4\the said "stop" loudly\n5\t"whole"\n'
    assert rows(text, "\t") == [
        ["1", '"Big" poster'], ["2", '"open'], ["3", "caption"], ["4", 'he said "stop" loudly'], ["5", "whole"],
    ]  # fmt: skip


def test_a_quoted_cell_may_run_over_lines() -> None:
    assert rows('1,"first\nsecond"\n2,b\n') == [["1", "first\nsecond"], ["2", "b"]]


def test_a_row_that_can_be_read_in_two_ways_says_so() -> None:
    (sure, doubtful, last) = rows_of(io.StringIO('0,a\n1,"x\n2,y"\n3,b\n'), ",", 2)
    assert (sure.doubt, last.doubt, last.line) == ("", "", 4)
    assert doubtful.cells == ["1", "x\n2,y"] and "line 3" in doubtful.doubt
    found = list(rows_of(io.StringIO('1\t"x\n2\ty"\n'), "\t", 2))  # tabs inside of cells are rare
    assert [row.cells for row in found] == [["1", '"x'], ["2", 'y"']]
    assert found[0].doubt


def test_marks_without_a_partner_cost_no_second_pass() -> None:
    text = "".join(f'{number}\t"open {number}\n' for number in range(3000))
    assert len(rows(text, "\t")) == 3000


def test_cells_have_no_largest_size() -> None:
    assert rows(f'1,"{"x" * 300_000}"\n') == [["1", "x" * 300_000]]
    assert cells_of("a\t" + "y" * 200_000) == ["a", "y" * 200_000]


def test_the_delimiter_is_the_one_that_cuts_out_a_known_column() -> None:
    assert delimiter_of("path;title", ",", ["path"]) == ";"
    assert delimiter_of("Path\ttitle, long", ",", ["path"]) == "\t"
    assert delimiter_of("a;b", ",") == ";"
    assert delimiter_of("path,title", "\t", ["path"]) == ","
    assert delimiter_of("one column", ",") == ","
