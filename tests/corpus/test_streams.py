import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.corpus import records, streams, tfrecords
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.streams import Stream
from xlnet.special_pieces import CLS, SEP


def split_plainly(size, boundaries, begin, *, total, draws):
    """The reference's `_split_a_and_b`, one window at a time. None where it gives up: no piece follows B."""
    if begin + total >= size:
        return None
    inside = [place for place in boundaries if begin < place < begin + total]
    end = next((place for place in boundaries if place >= begin + total), size)
    if not inside or draws.random() < 0.5:
        label, a_end = 0, draws.choice(inside) if inside else end
        length = max(1, total - (a_end - begin))
        b_begin = draws.randint(0, size - 1 - length)
        b_end = b_begin + length
        while b_begin > 0 and b_begin not in boundaries:
            b_begin -= 1
        while b_end < size - 1 and b_end not in boundaries:
            b_end += 1
    else:
        label, a_end = 1, draws.choice(inside)
        b_begin, b_end = a_end, end
    while a_end - begin + b_end - b_begin > total:
        if a_end - begin > b_end - b_begin:
            a_end -= 1
        else:
            b_end -= 1
    return None if b_end >= size else (begin, a_end - begin, b_begin, b_end - b_begin, label)


class Recorded:
    """Draws as they were recorded."""

    def __init__(self, draws):
        self.draws = list(draws)

    def random(self):
        name, value = self.draws.pop(0)
        assert name == "random"
        return value

    def choice(self, options):
        name, index = self.draws.pop(0)
        assert name == "choice_index"
        return options[index]

    def randint(self, low, high):
        name, value, *bounds = self.draws.pop(0)
        assert (name, bounds) == ("randint", [low, high])
        return value


class Uniform(Recorded):
    """Draws from three uniform numbers, as the fast version uses them."""

    def random(self):
        return self.draws[0]

    def choice(self, options):
        return options[int(self.draws[1] * len(options))]

    def randint(self, low, high):
        return low + int(self.draws[2] * (high + 1 - low))


def as_uniform(draws, cuts):
    """Recorded draws as the three numbers that lead to the same choices."""
    uniform = [0.0, 0.0, 0.0]
    for name, value, *bounds in draws:
        if name == "random":
            uniform[0] = value
        elif name == "choice_index":
            uniform[1] = (value + 0.5) / cuts
        else:
            uniform[2] = (value - bounds[0] + 0.5) / (bounds[1] + 1 - bounds[0])
    return np.array(uniform)[:, None]


def recorded_splits(golden):
    return json.loads(golden("sampling_replay.json").read_text())["split_a_and_b"]


def stream_of(case):
    flags = np.array(case["sent_ids"])
    return Stream(np.array(case["data"], np.int32), np.flatnonzero(flags[1:] != flags[:-1]) + 1)


def test_splits_replay_the_reference(golden):
    replayed = 0
    for case in recorded_splits(golden):
        stream, begin, total = stream_of(case), case["begin_idx"], case["tot_len"]
        plain = split_plainly(
            stream.pieces.size, stream.boundaries.tolist(), begin, total=total, draws=Recorded(case["draws"])
        )
        if case["result"] is None:
            assert plain is None
            continue
        cuts = np.sum((stream.boundaries > begin) & (stream.boundaries < begin + total))
        fast = streams.split(stream, np.array([begin]), total=total, uniform=as_uniform(case["draws"], cuts))
        assert tuple(int(value[0]) for value in fast) == plain
        a_begin, a_length, b_begin, b_length, label = plain
        expected, pieces = case["result"], stream.pieces
        assert pieces[a_begin : a_begin + a_length].tolist() == expected["a_data"]
        assert pieces[b_begin : b_begin + b_length].tolist() == expected["b_data"]
        assert label == expected["label"]
        assert pieces[a_begin + 1 : a_begin + a_length + 1].tolist() == expected["a_target"]
        assert pieces[b_begin : b_begin + b_length + 1].tolist() == expected["b_target"]
        replayed += 1
    assert replayed >= 20


@st.composite
def streams_and_settings(draw):
    reuse = draw(st.integers(1, 12))
    new = draw(st.integers(5, 16))
    lengths = draw(st.lists(st.integers(1, draw(st.sampled_from([3, 40]))), min_size=1, max_size=60))
    pieces = np.arange(10, 10 + sum(lengths), dtype=np.int32)  # every piece another, so that places can be told
    return Stream(pieces, np.cumsum(lengths)[:-1]), reuse, new


@given(streams_and_settings(), st.integers(0, 2**32), st.booleans())
def test_the_fast_split_equals_the_plain_one(case, seed, backward):
    stream, reuse, new = case
    stream = stream.backward if backward else stream
    count = stream.windows(reuse + new, reuse)
    uniform = np.random.default_rng(seed).random((3, count))
    begin = np.arange(1, count + 1) * reuse
    fast = np.array(streams.split(stream, begin, total=new - 3, uniform=uniform)).T
    for index, found in enumerate(fast.tolist()):
        plain = split_plainly(
            stream.pieces.size,
            stream.boundaries.tolist(),
            begin[index],
            total=new - 3,
            draws=Uniform(uniform[:, index]),
        )
        if plain is None:  # where the reference gives up and ends the file, a piece moves from B to A
            plain = (begin[index], *found[1:])
            assert found[2] + found[3] == stream.pieces.size - 1
            assert found[4] == 1
        assert tuple(found) == plain


@given(streams_and_settings(), st.integers(0, 2**32))
def test_windows_hold_what_they_should(case, seed):
    stream, reuse, new = case
    count = stream.windows(reuse + new, reuse)
    uniform = np.random.default_rng(seed).random((3, count))
    lengths = {"sequence_length": reuse + new, "reuse_length": reuse}
    cut = streams.cut_windows(stream, range(count), **lengths, uniform=uniform, kind=np.uint16)
    assert cut.input.dtype == np.uint16
    targets = streams.following(stream, range(count), cut.splits, **lengths)
    ids = streams.segment_ids(cut.input, reuse_length=reuse)
    following = dict(zip(stream.pieces.tolist(), stream.pieces[1:].tolist(), strict=False))
    # Every piece of the stream's beginning is in one reuse part, in order; the rest is the dropped tail.
    np.testing.assert_array_equal(cut.input[:, :reuse].ravel(), stream.pieces[: count * reuse])
    assert stream.pieces.size - count * reuse < reuse + new
    for row in range(count):
        pieces, target, segments = cut.input[row], targets[row], ids[row]
        first, second, last = np.flatnonzero((pieces == SEP) | (pieces == CLS)).tolist()
        assert (second, last) == (reuse + new - 2, reuse + new - 1)
        assert (pieces[first], pieces[second], pieces[last]) == (SEP, SEP, CLS)
        assert segments.tolist() == [0] * (first + 1) + [1] * (second - first) + [2]
        a, b = pieces[reuse:first], pieces[first + 1 : second]
        assert a.size > 0
        assert b.size > 0
        assert a.tolist() == stream.pieces[(row + 1) * reuse :][: a.size].tolist()
        assert target[:first].tolist() == [following[piece] for piece in pieces[:first].tolist()]
        assert target[first] == b[0]
        assert target[first + 1 : second].tolist() == [following[piece] for piece in b.tolist()]
        assert target[second:].tolist() == [CLS, CLS]
        if cut.splits.label[row]:
            assert b[0] > a[-1]


def test_blocks_of_windows_join_without_a_seam():
    stream = Stream(np.arange(1000, dtype=np.int32), np.arange(7, 1000, 7))
    uniform = np.random.default_rng(0).random((3, 58))
    lengths = {"sequence_length": 40, "reuse_length": 16}
    assert stream.windows(40, 16) == 61
    whole = streams.cut_windows(stream, range(58), **lengths, uniform=uniform)
    parts = [
        streams.cut_windows(stream, window, **lengths, uniform=uniform[:, window.start : window.stop])
        for window in (range(20), range(20, 58))
    ]
    np.testing.assert_array_equal(whole.input, np.concatenate([part.input for part in parts]))
    for name in whole.splits._fields:
        joined = np.concatenate([getattr(part.splits, name) for part in parts])
        np.testing.assert_array_equal(getattr(whole.splits, name), joined)


@given(streams_and_settings(), st.data())
def test_a_part_of_a_stream_is_its_pieces_and_the_sentences_that_begin_inside(case, data):
    stream, _, _ = case
    size = stream.pieces.size
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    part = stream.part(start, stop)
    assert part.pieces.tolist() == stream.pieces[start:stop].tolist()
    assert part.boundaries.tolist() == [at - start for at in stream.boundaries.tolist() if start < at < stop]


@pytest.mark.parametrize(("rows", "cores"), [(8, 1), (8, 2), (2, 1)])
def test_rows_side_by_side_are_parts_forward_and_backward_core_by_core(rows, cores):
    """As the original: each core reads its parts forward, then the same parts backward."""
    stream = Stream(np.arange(103), np.array([5, 30, 77]))
    settings = CorpusSettings(layout="reference", reference_rows=rows, reference_cores=cores)
    found = [row.pieces.tolist() for row in streams.side_by_side(stream, settings)]
    data = stream.pieces[: 103 // (rows // 2) * (rows // 2)].reshape(cores, 1, rows // cores // 2, -1)
    assert found == np.concatenate([data, data[..., ::-1]], axis=1).reshape(rows, -1).tolist()
    assert streams.backward_rows(settings).tolist() == [row[0] > row[-1] for row in found]


def test_rows_of_one_direction_are_parts_in_order():
    settings = CorpusSettings(layout="reference", reference_rows=4, bidirectional=False)
    found = streams.side_by_side(Stream(np.arange(43), np.array([7, 20, 25])), settings)
    assert [row.pieces.tolist() for row in found] == np.arange(40).reshape(4, 10).tolist()
    assert [row.boundaries.tolist() for row in found] == [[7], [], [5], []]


def test_the_backward_stream_is_the_forward_one_reversed():
    stream = Stream(np.array([10, 11, 12, 13, 14], np.int32), np.array([2, 3]))  # 10 11 | 12 | 13 14
    assert stream.backward.pieces.tolist() == [14, 13, 12, 11, 10]
    assert stream.backward.boundaries.tolist() == [2, 3]
    np.testing.assert_array_equal(stream.backward.backward.boundaries, stream.boundaries)


@pytest.mark.parametrize("size", [0, 1, 15])
def test_a_stream_that_is_too_short_has_no_window(size):
    assert Stream(np.zeros(size, np.int32), np.zeros(0, int)).windows(16, 8) == 0


@pytest.mark.parametrize(("case", "rows"), [("cased", 4), ("uncased_uni", 8)])
def test_the_stream_is_the_reference_s(golden, text_stream, case, rows):
    """The pieces of the original's records are those of our stream of the same files, cut into its rows."""
    from xlnet.text import Tokenizer

    tokenizer = Tokenizer(golden("spiece.model"), lower=case == "uncased_uni")
    found = []
    for text in (golden(f"tfrecords/input/{name}.txt").read_text() for name in "abc"):
        pieces = text_stream(tokenizer, text).pieces
        # The original has no <eod> where the file ends without an empty line.
        found.append(pieces if text.endswith("\n\n") else pieces[:-1])
    np.random.seed(0)  # as the original, for task 0 and pass 0
    whole = np.concatenate([found[index] for index in np.random.permutation(len(found))])
    whole = whole[: whole.size // rows * rows].reshape(rows, -1)
    info = next(golden(f"tfrecords/{case}/corpus_info.json").parent.glob("tfrecords/train-0-0.*.tfrecords"))
    batches = [records.decode(record) for record in tfrecords.read(str(info))]
    assert len(batches) % 8 == 0
    for number in range(len(batches) // 8):
        for row in range(rows):
            np.testing.assert_array_equal(
                batches[number * 8 + row]["input"][:32], whole[row, number * 32 : (number + 1) * 32]
            )
            if rows == 4:
                backward = whole[row, ::-1]
                np.testing.assert_array_equal(
                    batches[number * 8 + row + 4]["input"][:32], backward[number * 32 : (number + 1) * 32]
                )
