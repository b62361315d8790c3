from dataclasses import replace

import pytest

from automoe.search import Archive, Quality
from automoe.search.known import known_qualities
from tests.search.analytic import header, records_of, sampled

CONTEXT = {"data": "d", "supernet": "s", "predictor": "p", "sentences": 400}
A, B, C = records_of(sampled(3, 0))
SCORED = replace(B, bleu=12.5)


def archive(folder, *records, **changes):
    folder.mkdir()
    found = Archive.open(folder / "archive.jsonl", header(**CONTEXT | changes))
    found.add(*(replace(record, index=index) for index, record in enumerate(records)))
    return found.path


def test_what_other_searches_of_the_same_weights_and_sentences_evaluated_is_known(tmp_path):
    paths = [archive(tmp_path / "a", A), archive(tmp_path / "b", A, SCORED, predictor="another")]
    assert known_qualities(paths, CONTEXT) == {A.digest: Quality(A.loss), B.digest: Quality(B.loss)}


@pytest.mark.parametrize("change", [{"data": "x"}, {"supernet": "x"}, {"sentences": 399}, {"bleu_beam": 5}])
def test_what_was_evaluated_otherwise_is_passed_over_in_silence(tmp_path, change, capsys):
    assert known_qualities([archive(tmp_path / "a", A, **change)], CONTEXT) == {}
    assert capsys.readouterr().err == ""


def test_where_bleu_is_needed_only_records_that_have_it_are_known_and_else_it_is_left_out(tmp_path):
    paths = [archive(tmp_path / "a", A, SCORED), archive(tmp_path / "b", B, C)]
    for each in (paths, paths[::-1]):
        assert known_qualities(each, CONTEXT, needs_bleu=True) == {B.digest: Quality(B.loss, 12.5)}
        assert known_qualities(each, CONTEXT) == {record.digest: Quality(record.loss) for record in (A, B, C)}


def test_a_search_that_was_killed_in_mid_line_is_known_up_to_there(tmp_path):
    path = archive(tmp_path / "a", A, B)
    path.write_bytes(path.read_bytes()[:-3])
    assert known_qualities([path], CONTEXT) == {A.digest: Quality(A.loss)}


def test_a_damaged_archive_is_said_and_the_others_are_used(tmp_path, capsys):
    good, bad = archive(tmp_path / "a", A), archive(tmp_path / "b", B)
    bad.write_bytes(bad.read_bytes().replace(b'"loss"', b'"l0ss"'))
    missing = tmp_path / "c" / "archive.jsonl"
    assert known_qualities([bad, missing, good], CONTEXT) == {A.digest: Quality(A.loss)}
    (message,) = capsys.readouterr().err.splitlines()
    assert str(bad) in message and ":2:" in message and "nothing is reused" in message
