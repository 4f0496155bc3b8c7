import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.corpus import spans
from xlnet.corpus.settings import CorpusSettings
from xlnet.special_pieces import CLS, SEP

CHANCES = np.cumsum(1 / np.arange(1, 6)) / np.sum(1 / np.arange(1, 6))
PIECES = CorpusSettings(span_unit="piece")
WORDS = CorpusSettings(span_unit="word")


def sample_pieces_plainly(is_start, *, goal, settings, draws):
    """The reference's `_sample_mask` in reading order, one window, with its slip: n pieces, not n words."""
    length = len(is_start)
    mask, taken, cursor = [False] * length, 0, 0
    while cursor < length and (goal is None or taken < goal):
        n = draws.units() if goal is None else min(draws.units(), goal - taken)
        context = n * settings.span_alpha // settings.span_beta
        left = draws.left(context)
        begin = next((place for place in range(cursor + left, length) if is_start[place]), length)
        if begin + n >= length:
            break
        mask[begin : begin + n] = [True] * n
        taken += n
        cursor = begin + n + context - left
    return fill_plainly(mask, 0 if goal is None else goal - taken, barred=[False] * length, draws=draws)


def sample_words_plainly(is_start, is_functional, *, goal, settings, draws):
    """What the paper says, one window: spans of n words within contexts of words."""
    length = len(is_start)
    words = [place for place in range(length) if is_start[place] and not is_functional[place]]
    mask, taken, cursor = [False] * length, 0, 0
    while goal is None or taken < goal:
        n = draws.units()
        context = n * settings.span_alpha // settings.span_beta
        first = cursor + draws.left(context - n + 1)
        if first >= len(words):
            break
        best = begin = end = words[first]
        for count in range(n):  # a word more each time, as long as words follow each other and the goal holds them
            if end < length and end in words:
                end += 1
                while end < length and not is_functional[end] and end not in words:
                    end += 1
            if goal is None or end - begin <= goal - taken:
                best = end
            assert count < settings.span_longest
        mask[begin:best] = [True] * (best - begin)
        taken += best - begin
        cursor += context
    return fill_plainly(mask, 0 if goal is None else goal - taken, barred=is_functional, draws=draws)


def fill_plainly(mask, missing, *, barred, draws):
    while missing > 0:
        piece = draws.piece(len(mask))
        if not mask[piece] and not barred[piece]:
            mask[piece] = True
            missing -= 1
    return mask


class Recorded:
    """Draws as they were recorded; also as the numbers that lead the fast version to the same choices."""

    def __init__(self, case):
        self.case = case
        self.draws = [tuple(draw) for draw in case["draws"]]

    def _next(self, wanted):
        name, value = self.draws.pop(0)
        assert name == wanted
        return value

    def units(self):
        return self._next("ngram")

    def left(self, context):
        return self._next("left_context")

    def piece(self, length):
        return self._next("randint")

    def uniform(self):
        goal, taken, rounds, pieces = self.case["goal_num_predict"], 0, [], []
        for (name, value), following in zip(self.draws, [*self.draws[1:], None], strict=True):
            if name == "ngram":
                n = value if goal is None else min(value, goal - taken)
                taken += n
                context = n * self.case["mask_alpha"] // self.case["mask_beta"]
                edges = [0, *CHANCES]
                rounds.append(((edges[value - 1] + edges[value]) / 2, (following[1] + 0.5) / context))
            elif name == "randint":
                pieces.append((value + 0.5) / len(self.case["seg"]))
        return Fixed(np.array([rounds]), np.array([pieces]))


class Fixed:
    """Uniform numbers given beforehand: rounds [windows, rounds, 2], pieces [windows, draws], each in its order."""

    def __init__(self, rounds, pieces):
        self.rounds, self.pieces = rounds, pieces
        self.used = np.zeros((2, len(rounds)), int)

    def span(self, rows):
        self.used[0, rows] += 1
        at = np.minimum(self.used[0, rows], self.rounds.shape[1]) - 1  # at the end any number will do
        return self.rounds[rows, at].T

    def piece(self, rows):
        self.used[1, rows] += 1
        return self.pieces[rows, (self.used[1, rows] - 1) % self.pieces.shape[1]]


class Single:
    """One window's numbers of a Fixed, as the plain versions ask for them."""

    def __init__(self, fixed, row, settings):
        self.rounds, self.pieces = iter(fixed.rounds[row]), fixed.pieces[row]
        self.chances = np.cumsum(1 / np.arange(1, settings.span_longest + 1))
        self.at = -1

    def units(self):
        which, self.where = next(self.rounds)
        return int(np.searchsorted(self.chances[:-1] / self.chances[-1], which, side="right")) + 1

    def left(self, places):
        return int(self.where * places)

    def piece(self, length):
        self.at = (self.at + 1) % len(self.pieces)
        return int(self.pieces[self.at] * length)


def word_starts(golden):
    from xlnet.text import Tokenizer

    return Tokenizer(golden("spiece.model")).is_word_start


def test_both_versions_replay_the_reference(golden):
    is_word_start = word_starts(golden)
    cases = json.loads(golden("sampling_replay.json").read_text())["sample_mask"]
    for case in cases:
        step = -1 if case["reverse"] else 1
        is_start = is_word_start[case["seg"]][::step]
        settings = replace(PIECES, span_alpha=case["mask_alpha"], span_beta=case["mask_beta"])
        goal, recorded = case["goal_num_predict"], Recorded(case)
        fast = spans.sample(
            is_start[None],
            np.zeros((1, is_start.size), bool),
            goals=None if goal is None else np.array([goal]),
            settings=settings,
            draws=recorded.uniform(),
        )
        assert fast[0][::step].astype(int).tolist() == case["mask"]
        plain = sample_pieces_plainly(is_start, goal=goal, settings=settings, draws=recorded)
        assert [int(value) for value in plain[::step]] == case["mask"]
        assert not recorded.draws
    assert len(cases) == 24


@st.composite
def parts(draw):
    """Windows of one part, some with <sep> inside and <sep> <cls> at an end, and numbers for all draws."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    windows, length = draw(st.integers(1, 6)), draw(st.integers(8, 60))
    is_functional = np.zeros((windows, length), bool)
    if draw(st.booleans()):
        is_functional[:, -2:] = True
        is_functional[np.arange(windows), generator.integers(1, length - 3, windows)] = True
        is_functional = is_functional[:, :: draw(st.sampled_from([1, -1]))]
    is_start = (generator.random((windows, length)) < draw(st.floats(0.05, 1))) | is_functional
    rounds = generator.random((windows, 200, 2))
    settings = CorpusSettings(
        span_longest=draw(st.integers(1, 6)), span_alpha=draw(st.integers(2, 7)), span_beta=draw(st.integers(1, 2))
    )
    goal = draw(st.one_of(st.none(), st.integers(1, length - 4)))
    pieces = np.stack([generator.permutation(length) + 0.5 for _ in range(windows)]) / length
    return is_start, is_functional, goal, settings, Fixed(rounds, pieces)


@pytest.mark.parametrize("unit", ["piece", "word"])
@given(part=parts())
def test_the_fast_version_equals_the_plain_one(unit, part):
    is_start, is_functional, goal, settings, draws = part
    settings = replace(settings, span_unit=unit)
    goals = None if goal is None else np.full(len(is_start), goal)
    fast = spans.sample(is_start, is_functional, goals=goals, settings=settings, draws=draws)
    for row, mask in enumerate(fast):
        single = Single(draws, row, settings)
        if unit == "piece":
            plain = sample_pieces_plainly(is_start[row], goal=goal, settings=settings, draws=single)
        else:
            plain = sample_words_plainly(is_start[row], is_functional[row], goal=goal, settings=settings, draws=single)
        assert mask.tolist() == plain
        assert goal is None or mask.sum() == goal
        assert unit == "piece" or not (mask & is_functional[row]).any()


@given(part=parts())
def test_without_a_goal_whole_words_are_taken(part):
    is_start, is_functional, _, settings, draws = part
    mask = spans.sample(is_start, is_functional, goals=None, settings=settings, draws=draws)
    follows = ~is_start[:, 1:]  # a piece that goes on with the word before it, or with text cut off before
    in_word = np.cumsum(is_start & ~is_functional, axis=1)[:, 1:] > 0
    before = is_functional[:, :-1] | ~np.cumsum(is_start, axis=1)[:, :-1].astype(bool)
    same = mask[:, 1:] == mask[:, :-1]
    whole = ~follows | ~in_word | before | same
    for row in np.flatnonzero(~whole.all(axis=1)):  # only what follows <sep> and begins no word may differ
        for place in np.flatnonzero(~whole[row]) + 1:
            start = np.flatnonzero(is_start[row, :place])[-1]
            assert is_functional[row, start]


def statistics(mask):
    """Share of runs by length, and of masked pieces by position."""
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(int)
    lengths = np.argwhere(np.diff(padded, axis=1) < 0)[:, 1] - np.argwhere(np.diff(padded, axis=1) > 0)[:, 1]
    return np.bincount(lengths, minlength=10), mask.mean(axis=0)


def golden_text(golden, length):
    """Windows of the recorded books' kind of text: pieces of the original's records."""
    from xlnet.corpus import records, tfrecords

    folder = golden("tfrecords/cased/corpus_info.json").parent / "tfrecords"
    rows = [
        records.decode(row)["input"]
        for number in (0, 1)
        for row in tfrecords.read(str(next(folder.glob(f"train-0-{number}.*.tfrecords"))))
    ]
    forward = [row[:32] for number, row in enumerate(rows) if number % 8 < 4]
    # Rows of a batch are four streams side by side; each goes on in the next batch.
    text = np.concatenate([np.concatenate(forward[start::4]) for start in range(4)])
    return text[: text.size // length * length].reshape(-1, length)


@pytest.mark.parametrize("case", ["goal_none_len256", "goal_43_len256"])
def test_piece_spans_have_the_reference_s_statistics(golden, case):
    """4000 calls each. The texts differ (two books; a part of them), so shares may by a little more than by chance."""
    recorded = json.loads(golden("pretrain_stats.json").read_text())["sample_mask_direct"][case]
    is_word_start, text = word_starts(golden), golden_text(golden, 256)
    is_start = is_word_start[np.resize(text, (4000, 256))]
    goal = recorded["goal_num_predict"]
    mask = spans.sample(
        is_start,
        np.zeros_like(is_start),
        goals=None if goal is None else np.full(4000, goal),
        settings=PIECES,
        draws=spans.RandomDraws(np.random.Generator(np.random.Philox(3))),
    )
    counts, by_position = statistics(mask)
    total = counts.sum()
    for length, share in recorded["run_length_distribution"].items():
        noise = np.sqrt(share * (1 - share) / total * 2)  # both are samples
        assert abs(counts[int(length)] / total - share) < 5 * noise + 0.006, length
    assert abs(mask.sum(axis=1).mean() - recorded["masked_mean"]) < 0.35
    assert abs(mask.sum(axis=1).std() - recorded["masked_std"]) < 0.2
    expected = np.array(recorded["masked_fraction_by_position"])
    noise = np.sqrt(expected * (1 - expected) / 4000 * 2)
    # Position by position the text's own words show; in sums over 16 positions they do not.
    difference = np.abs(by_position - expected).reshape(16, 16).mean(axis=1)
    assert np.all(difference < 3 * noise.reshape(16, 16).mean(axis=1) + 0.01)
    assert abs(by_position[-1] - expected[-1]) < 5 * noise[-1] + 0.005


def test_word_spans_have_the_paper_s_statistics():
    """A span has n words with probability proportional to 1/n, and a sixth of all words is taken."""
    generator = np.random.Generator(np.random.Philox(4))
    length, settings = 30_000, replace(WORDS, span_alpha=60, span_beta=10)
    is_start = np.ones((4, length), bool)
    is_start[:, 1:] = generator.random((4, length - 1)) < 0.7
    mask = spans.sample(
        is_start, np.zeros_like(is_start), goals=None, settings=settings, draws=spans.RandomDraws(generator)
    )
    words = np.flatnonzero(is_start[0])
    word_masked = mask[0][words]
    assert abs(word_masked.mean() - 1 / 6) < 0.002  # contexts lie side by side: the share does not vary by chance
    runs = statistics(word_masked[None])[0]
    # Spans at the end of a context and the beginning of the next join: (1/6 or less of them), so 1 is the surest.
    shares = runs[1:6] / runs.sum()
    expected = (1 / np.arange(1, 6)) / (1 / np.arange(1, 6)).sum()
    assert np.all(np.abs(shares - expected) < 0.05)
    assert np.all(np.diff(shares) < 0)


def test_spans_stay_inside_their_own_context():
    """With every draw at the far left and far right, spans of one word lie 6 words apart."""
    is_start = np.ones((1, 30), bool)
    for where, first in ((0.0, 0), (0.999, 5)):
        draws = Fixed(np.array([[(0.0, where)]]), np.zeros((1, 1)))
        mask = spans.sample(is_start, np.zeros_like(is_start), goals=None, settings=WORDS, draws=draws)
        assert np.flatnonzero(mask).tolist() == list(range(first, 30, 6))


def test_a_span_ends_before_sep_and_takes_fewer_words_when_the_goal_is_near():
    row = np.array([20, 21, 22, SEP, 23, 24, SEP, CLS])
    is_start, is_functional = np.ones((1, 8), bool), np.isin(row, [SEP, CLS])[None]
    longest_first = Fixed(np.array([[(0.999, 0.0)]]), np.array([[4.5 / 8, 5.5 / 8, 1.5 / 8]]))
    taken = {}
    for goal in (2, 3, 5):
        longest_first.used[:] = 0
        mask = spans.sample(is_start, is_functional, goals=np.array([goal]), settings=WORDS, draws=longest_first)
        taken[goal] = np.flatnonzero(mask).tolist()
    assert taken == {2: [0, 1], 3: [0, 1, 2], 5: [0, 1, 2, 4, 5]}
