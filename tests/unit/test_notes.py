"""What becomes of notes before a record keeps them."""

from __future__ import annotations

import json

from producer.contract.jobs import Job
from producer.contract.notes import MAX_CHARACTERS, MAX_NOTES, fit_notes
from producer.store.records import job_of

OLD_RECORD = {
    "status": "succeeded",
    "attempt": "1",
    "queue": "q",
    "created_ms": "1",
    "start_by_ms": "2",
    "spec": '{"tier":"default","pool":"default","template":"t","run_within_s":60}',
    "result": '{"artifacts":[],"values":{}}',
}


def test_a_note_is_one_printable_line():
    assert fit_notes(["a \x1b[31mred\n\ttitle \ud800"]) == [r"a \x1b[31mred title \ud800"]


def test_notes_are_bounded_in_number_and_length():
    notes = fit_notes([f"{number} {'x' * 10_000}" for number in range(1_000)])

    assert len(notes) == MAX_NOTES
    assert max(map(len, notes)) == MAX_CHARACTERS
    assert notes[-1] == "and 981 more notes"


def test_the_same_is_not_noted_twice_and_nothing_is_no_note():
    assert fit_notes(["a", "", " ", "a"]) == ["a"]


def test_records_without_notes_are_read_and_those_with_them_are_json():
    assert job_of("j", OLD_RECORD).notes == []  # type: ignore[arg-type]

    noted = job_of("j", {**OLD_RECORD, "result": json.dumps({"notes": fit_notes(["\udcff"])})})  # type: ignore[arg-type]
    assert Job.model_validate_json(noted.model_dump_json()).notes == [r"\udcff"]
