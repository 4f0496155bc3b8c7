"""Scalars as TensorBoard reads them: an event file for each life of a run."""

import os
import time
from typing import Any

from xlnet import disk
from xlnet.corpus import tfrecords

VERSION = "brain.Event:2"  # which readers want at the head of a file


class EventFile:
    """A new event file in a folder on the disk. Readers drop what earlier ones hold from step `first` on.

    Raises UserError where it cannot be written. Source: TensorBoard's plugin_event_accumulator.py.
    """

    def __init__(self, folder: str, *, first: int):
        import tensorflow as tf

        self._proto = tf.compat.v1
        disk.make_folder(folder)
        now = time.time_ns()
        self.path = os.path.join(folder, f"events.out.tfevents.{now // 10**9}.{now}")  # read in the order of names
        with disk.placing(self.path), open(self.path, "xb"):
            pass
        self._append(file_version=VERSION)
        self._append(step=first, session_log=self._proto.SessionLog(status=self._proto.SessionLog.START))

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Append the scalars of one step."""
        values = [self._proto.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._append(step=step, summary=self._proto.Summary(value=values))

    def _append(self, **content: Any) -> None:
        event = self._proto.Event(wall_time=time.time(), **content)
        with disk.mendable(self.path), open(self.path, "ab") as stream:
            tfrecords.write(stream, [event.SerializeToString()])
