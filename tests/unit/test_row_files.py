"""Rows of files: what each column and line stands for, and what is said when one makes no sense."""

from __future__ import annotations

import re

import pytest

from producer.batch.rows import Row
from producer.cli.csv_dialect import open_rows
from producer.cli.row_files import RowFile
from producer.contract.batches import BadRow
from producer.contract.errors import InvalidJob, InvalidRows

GRAPH = {
    "6": {"class_type": "CLIPTextEncode", "_meta": {"title": "Prompt"}, "inputs": {"text": "a"}},
    "34": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
}


def file_of(text, **columns):
    return RowFile(text.splitlines(keepends=True), graph=GRAPH, columns=columns)


def test_columns_say_what_they_set():
    [row] = file_of("Prompt.text,input:34.image,metadata.order\na fox,me.png,7\n").rows()
    assert row == Row({"Prompt.text": "a fox"}, {"34.image": "me.png"}, {"order": "7"})


def test_columns_can_be_told_what_they_set():
    file = file_of(
        'prompt,who,pic\n"a, b",me,x.png\n',
        prompt="6.text",
        who="metadata.who",
        pic="input:34.image",
    )
    assert list(file.rows()) == [Row({"6.text": "a, b"}, {"34.image": "x.png"}, {"who": "me"})]


def test_errors_name_columns_by_their_headers():
    file = file_of("prompt\na\n", prompt="6.text")
    list(file.rows())
    with pytest.raises(InvalidRows, match="row 1, column prompt: too long"), file.speaking():
        raise InvalidRows([BadRow(1, "6.text", "too long")], count=1)


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("7.text\na\n", {}, "column '7.text': nothing in the graph has the address"),
        ("text\na\n", {}, r"did you mean 6\.text\?; --map 'text=ADDRESS' says what"),
        ("6.text\na\n", {"promt": "6.text"}, "there is no column 'promt'; columns are: 6.text"),
        ("6.text,Prompt.x\na,b\n", {}, r"has no input 'x'"),
        ("6.text,t\na,b\n", {"t": "6.text"}, "columns '6.text' and 't' set the same"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(text, columns, said):
    with pytest.raises(InvalidJob, match=said):
        list(file_of(text, **columns).rows())


def test_a_line_that_cannot_be_read_is_a_bad_row_among_good_ones():
    first, second, third = file_of("6.text,metadata.a\na,1\nb\n\nc,3\n").rows()
    assert (first.params["6.text"], third.params["6.text"]) == ("a", "c")
    assert second.message == "line 3 has 1 cells, the header 2"


def test_lines_of_json_hold_params_or_all_parts():
    row, parts = '{"6.text": "a"}', Row({"6.text": 5}, {}, {"a": "b"})
    for name in ("set", "params"):  # the second is what the API calls it
        text = f'{row}\n\n{{"{name}": {{"6.text": 5}}, "metadata": {{"a": "b"}}}}\n{{}}\n'
        assert list(file_of(text).rows()) == [{"6.text": "a"}, parts, {}]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"6.text": "a", "6.text": "b"}', "it says 6.text twice in one object"),
        ('{"set": {"6.text": "a"}, "metdata": {}}', "it has metdata .*did you mean 'metadata'?"),
        ('{"params": {"6.text": "a"}, "7.x": 1}', "it has 7.x beside the parts of a row; a row is"),
        ('{"params": {}, "set": {}}', "it has 'params' and 'set', which are the same"),
        ("{oops", "it is no JSON: Expecting property name enclosed in double quotes at column 2"),
    ],
)
def test_what_a_line_says_twice_or_misspelt_is_named(line, said):
    [found] = file_of(line + "\n").rows()
    assert isinstance(found, InvalidJob)
    assert re.search(said, found.message), found.message


def test_a_line_that_is_no_json_object_is_a_bad_row():
    found = list(file_of('{"6.text": "a"}\n[1]\n{"set": 1}\n{oops\n').rows())
    assert [type(row) for row in found] == [dict, InvalidJob, InvalidJob, InvalidJob]
    assert "its 'set' is no JSON object" in found[2].message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '6.text\na\n"b\nc\nd\n',
            "the row from line 3 to line 5 is no CSV: unexpected end of data",
        ),
        ('6.text\na\n"b\n', "the row from line 3 is no CSV: unexpected end of data"),
        ('6.text\n"b\nc\n"d\n', "the row from line 2 to line 4 is no CSV: ',' expected"),
        ('6.text\n"b\nc",d\n', "the row from line 2 to line 3 has 2 cells, the header 1"),
        ('"6.text\na\n', "the header is no CSV: unexpected end of data"),
        ('"6.text"x\na\n', "the header is no CSV: ',' expected"),
    ],
)
def test_a_quotation_mark_that_may_have_swallowed_rows_is_the_fault_of_the_file(text, said):
    with pytest.raises(InvalidJob, match=said) as caught:
        list(file_of(text).rows())
    assert caught.value.field == "rows"


def test_a_quotation_mark_that_spoils_one_line_is_a_bad_row():
    first, second, third = file_of('6.text\n"a"b\n"c\nd"\ne\n').rows()
    assert first.message == "line 2 is no CSV: ',' expected after '\"'"
    assert (second.params["6.text"], third.params["6.text"]) == ("c\nd", "e")


def test_a_file_of_another_encoding_is_refused_by_its_line(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(("6.text\n" + "a fox\n" * 5_000 + "Zo\u00eb\n").encode("latin-1"))
    said = "line 5,002 is no UTF-8: byte 0xeb"
    with open_rows(str(path)) as lines, pytest.raises(InvalidJob, match=said) as caught:
        list(RowFile(lines, graph=GRAPH, columns={}).rows())
    assert "CSV UTF-8" in caught.value.advice


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("6.text;metadata.a\r\nein Fuchs, rot;7\r\n", "utf-8-sig"),
        ("sep=;\r\n6.text;metadata.a\r\nein Fuchs, rot;7\r\n", "utf-8"),
        ("6.text\tmetadata.a\r\nein Fuchs, rot\t7\r\n", "utf-16"),
        ('6.text,metadata.a,,\r\n"ein Fuchs, rot",7,,\r\n,,,\r\n , ,,\r\n', "utf-8"),
        ('6.text,metadata.a\r\n"ein Fuchs, rot",7,,,\r\n', "utf-8"),
    ],
    ids=[
        "semicolons",
        "sep=",
        "tabs in UTF-16",
        "empty columns and rows",
        "empty cells at the end",
    ],
)
def test_a_file_is_taken_as_a_spreadsheet_writes_it(tmp_path, text, encoding):
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode(encoding))
    with open_rows(str(path)) as lines:
        rows = list(RowFile(lines, graph=GRAPH, columns={}).rows())
    assert rows == [Row({"6.text": "ein Fuchs, rot"}, {}, {"a": "7"})]


def test_a_cell_in_a_column_without_a_name_is_a_bad_row():
    [row] = file_of("6.text,,\na,,b\n").rows()
    assert row.message == "line 2 has something in column 3, which has no name"


def test_a_list_of_json_is_told_from_lines_of_it():
    with pytest.raises(InvalidJob, match="is a list; expected one JSON object a line"):
        list(file_of('[{"6.text": "a"}]').rows())


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidJob, match=r"rows\.csv cannot be read: No such file"):
        open_rows(str(tmp_path / "rows.csv"))


def test_a_header_that_is_no_text_is_named_in_a_short_line():
    with pytest.raises(InvalidJob) as caught:
        list(file_of("PK\x03\x04" + "\0" * 5_000 + "\n").rows())
    assert len(str(caught.value)) < 1_500
    with pytest.raises(InvalidJob, match=r"columns are: 6\.text") as caught:
        list(file_of("6.text\n", **{"x" * 5_000: "6.text"}).rows())
    assert len(str(caught.value)) < 200
