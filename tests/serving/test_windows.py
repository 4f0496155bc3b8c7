import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlnet.serving.windows import windows


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=8),
    st.integers(1, 12).flatmap(lambda room: st.tuples(st.just(room), st.integers(1, room))),
)
def test_every_piece_is_answered_for_once_by_a_window_that_shows_it(lengths, sizes):
    room, stride = sizes
    cut = windows(np.array(lengths), room=room, stride=stride)
    for text, length in enumerate(lengths):
        own = cut.text == text
        answered = np.concatenate([np.arange(a, b) for a, b in zip(cut.first[own], cut.last[own], strict=True)])
        np.testing.assert_array_equal(answered, np.arange(length))
    assert (cut.stops - cut.starts == np.minimum(room, np.array(lengths)[cut.text])).all()
    assert ((cut.starts <= cut.first) & (cut.first <= cut.last) & (cut.last <= cut.stops)).all()


def test_two_windows_meet_in_the_middle_of_what_both_show():
    cut = windows(np.array([14]), room=10, stride=5)
    assert [tuple(map(int, each)) for each in zip(*cut, strict=True)] == [(0, 0, 10, 0, 7), (0, 4, 14, 7, 14)]
