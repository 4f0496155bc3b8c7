import keras
import numpy as np
import pytest
from keras import ops

from xlnet.model.dropout import dropout


def kept(rate: float, shape, *, seed: int = 1, calls: int = 1):
    generator = keras.random.SeedGenerator(seed)
    values = ops.ones(shape)
    return [ops.convert_to_numpy(dropout(values, rate, seed=generator)) for _ in range(calls)]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_dropped_is_the_rate_and_the_mean_stays(rate):
    (found,) = kept(rate, (400, 500))
    assert np.mean(found == 0) == pytest.approx(rate, abs=0.005)  # 200,000 draws: 4 standard deviations
    np.testing.assert_allclose(np.unique(found), [0, 1 / (1 - rate)], rtol=1e-6)


def test_draws_do_not_depend_on_their_neighbours_or_on_the_call_before():
    first, second = (mask != 0 for mask in kept(0.5, (1000, 256), calls=2))
    spread = 5 * 0.5 / np.sqrt(first.size)
    assert np.mean(first == second) == pytest.approx(0.5, abs=spread)
    assert np.mean(first[:, 1:] == first[:, :-1]) == pytest.approx(0.5, abs=spread)
    assert np.mean(first[1:] == first[:-1]) == pytest.approx(0.5, abs=spread)
    columns = first.mean(axis=0)
    assert columns.std() == pytest.approx(0.5 / np.sqrt(1000), rel=0.2)


def test_equal_seeds_draw_alike_and_others_do_not():
    (one,), (same,), (other,) = kept(0.5, (64, 64)), kept(0.5, (64, 64)), kept(0.5, (64, 64), seed=2)
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.4
