"""What the weights and the dropout of a run are drawn from."""

import random


def of_weights(seed: int) -> int:
    """The seed of a model in a run of this seed: far from that of the next.

    It is what Keras draws in a process that was given the seed: runs that were recorded keep their first weights.
    """
    return random.Random(seed).randint(1, 10**9)
