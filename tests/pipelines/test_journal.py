"""How far a job is, as its driver hears it."""

import pytest

from pipelines.journal import Journal

TOTALS = {"tokenize": 100, "write": 4}


def test_shards_without_text_are_done_at_the_end(tmp_path):
    heard = {}
    journal = Journal(str(tmp_path))
    with journal.followed(lambda advance: heard.update({advance.stage: advance.done}), totals=TOTALS):
        with journal.counting("tokenize", 100) as counting:
            counting.advance(60, documents=2, pieces=30)
        for _ in range(3):
            journal.note("write", 1)
    assert heard == TOTALS
    assert list(tmp_path.iterdir()) == []


def failing(folder, heard) -> None:
    journal = Journal(str(folder))
    with journal.followed(lambda advance: heard.update({advance.stage: advance.done}), totals=TOTALS):
        journal.note("write", 1)
        raise ValueError("a fault")


def test_a_job_that_fails_is_not_told_to_have_ended(tmp_path):
    heard = {}
    with pytest.raises(ValueError, match="a fault"):
        failing(tmp_path, heard)
    assert heard == {"write": 1}
