"""What the weights and the dropout of a run are drawn from."""

import random


def of_weights(seed: int) -> int:
    """The seed of a model in a run of this seed: far from that of the next.

    It is what Keras draws where the process was given the seed, so that runs that were recorded keep their first weights.
    """
    return random.Random(seed).randint(1, 10**9)
