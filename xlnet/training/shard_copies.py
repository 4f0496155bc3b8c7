"""Shards on gs:// as files on the disk, for TensorFlow, whose own way to gs:// knows neither retries nor our errors."""

import hashlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from xlnet import storage
from xlnet.objects import BLOCK

TOGETHER = 8


class ShardCopies:
    """Copies that are made once, when they are asked for, or a little ahead, and vanish with this object.

    `slots`: which shards are read one after the other, in each of the rows of files that are read side by side.
    """

    def __init__(self, slots: Sequence[Sequence[str]]):
        self.folder = tempfile.TemporaryDirectory(prefix="xlnet-shards-")
        self.pool = ThreadPoolExecutor(TOGETHER, thread_name_prefix="shards")
        self.first = [files[0] for files in slots if files]
        self.following = dict(pair for files in slots for pair in itertools.pairwise(files))
        self.copies: dict[str, Future[str]] = {}
        self.lock = threading.Lock()

    def local(self, path: str) -> str:
        """The copy of a shard. Raises UserError when it cannot be read."""
        for ahead in [path, *self.first, self.following.get(path)]:
            if ahead is not None:
                self._ask(ahead)
        return self.copies[path].result()

    def _ask(self, path: str) -> None:
        with self.lock:
            known = self.copies.get(path)
            if known is None or (known.done() and known.exception() is not None):  # a store may be back by now
                self.copies[path] = self.pool.submit(self._copy, path)

    def _copy(self, path: str) -> str:
        target = os.path.join(self.folder.name, hashlib.sha256(path.encode()).hexdigest())
        with storage.reading(path) as source, open(target, "wb") as copy:
            shutil.copyfileobj(source, copy, BLOCK)
        return target
