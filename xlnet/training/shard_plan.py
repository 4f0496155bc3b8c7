"""Which shard each slot of a batch reads at which step: a function of the manifest, the seed and nothing else.

A slot is the place of one stream in a batch (two rows where data are bidirectional). It reads a shard to its end and
goes on with the next one of a shuffled queue that all slots share, epoch after epoch. So the position in the data is
computed from the step, never stored, and no slot waits for another.
"""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xlnet.errors import UserError


@dataclass(frozen=True)
class Stretch:
    """A slot reads `count` steps of a shard, from its step `first` on, beginning at step `start` of the run."""

    shard: int
    first: int
    count: int
    start: int


def plan(
    lengths: Sequence[int], *, slots: int, steps: int | None, seed: int = 0, start: int = 0
) -> list[list[Stretch]]:
    """For each slot the stretches it reads from step `start` to step `steps` of a run, which are all that is kept.

    `lengths` are the steps in each shard. With `steps` None every shard is read once and slots end at different
    steps. Raises UserError when there are more slots than shards with records.
    """
    filled = [shard for shard, length in enumerate(lengths) if length]
    if slots > len(filled):
        raise UserError(
            f"a batch reads {slots} shards side by side, the data have {len(filled)} with records; "
            f"take a smaller batch, or preprocess again with --shards {slots} or more"
        )
    free = [(0, slot) for slot in range(slots)]
    stretches: list[list[Stretch]] = [[] for _ in range(slots)]
    for shard in filled if steps is None else _queue(filled, seed=seed):
        at, slot = free[0]
        if steps is not None and at >= steps:
            break
        if at + lengths[shard] > start:  # a long run's past is counted, not kept
            stretches[slot].append(Stretch(shard, 0, lengths[shard], at))
        heapq.heapreplace(free, (at + lengths[shard], slot))
    end = steps if steps is not None else max(at for at, _ in free)
    return [_cut(slot, start=start, end=end) for slot in stretches]


def _queue(shards: Sequence[int], *, seed: int) -> Iterator[int]:
    """Shards in the order in which they are read, epoch after epoch, without an end."""
    for epoch in itertools.count():
        yield from np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(shards).tolist()


def _cut(stretches: Sequence[Stretch], *, start: int, end: int) -> list[Stretch]:
    cut = []
    for stretch in stretches:
        skipped = max(0, start - stretch.start)
        count = min(stretch.start + stretch.count, end) - stretch.start - skipped
        if count > 0:
            cut.append(replace(stretch, first=stretch.first + skipped, count=count, start=stretch.start + skipped))
    return cut
