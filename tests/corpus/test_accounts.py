"""What the last step puts together; `tests/pipelines` has what becomes of it."""

import threading

import numpy as np

from xlnet import storage
from xlnet.corpus import accounts
from xlnet.corpus.parsing import DeadLetter
from xlnet.corpus.tally import EXAMPLES, Tally, json_line, shown


def test_files_of_the_shards_are_fetched_side_by_side_and_added_up(tmp_path, monkeypatch):
    paths = [str(tmp_path / str(number)) for number in range(2 * accounts.FETCHED + 3)]
    for number, path in enumerate(paths[:-3]):
        storage.publish(path, np.array([1, number], "<i8").tobytes())
    together, real = threading.Barrier(accounts.FETCHED), storage.read_bytes

    def slow(path):
        together.wait(timeout=20)  # each goes on when all are there
        return real(path)

    monkeypatch.setattr(storage, "read_bytes", slow)
    n = 2 * accounts.FETCHED
    assert accounts._frequencies(paths[:n], 2).tolist() == [n, n * (n - 1) // 2]
    assert accounts._frequencies([], 2).tolist() == [0, 0]


def test_dead_letters_come_in_the_order_of_the_text_with_the_lines_of_their_file(tmp_path):
    letters = [DeadLetter("a", line, "NUL byte", "x\u2028\x85y") for line in (1, 3)]
    tallies = []
    for start, lines in ((0, 10), (5, 20), (9, 30)):
        tally = Tally("a", start, 0, 0, lines=lines)
        if start != 5:
            tally.dead_file = str(tmp_path / str(start))
            storage.publish(tally.dead_file, b"".join(map(json_line, letters)))
        tallies.append(tally)
    found = list(accounts._dead_letters(tallies))
    assert [letter.line for letter in found] == [1, 3, 31, 33]
    assert {letter.excerpt for letter in found} == {letters[0].excerpt}


def test_a_tally_takes_no_more_examples_along_than_are_shown():
    tally = Tally("a", 0, 0, 0)
    every = [DeadLetter("a", line, "too short", f"text {line}") for line in range(7 * EXAMPLES)]
    for example in every:
        accounts.Removed.add(tally.removed.setdefault("too short", accounts.Removed()), example, documents=1)
    back = Tally.from_bytes(tally.to_bytes())
    assert back.removed["too short"].examples == shown(every)
    assert len(back.removed["too short"].examples) == EXAMPLES
    assert back.removed["too short"].documents == len(every)
