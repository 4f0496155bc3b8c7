"""Memory that is freed stays with the process until it is given back."""

import subprocess
import sys

import pytest

SCRIPT = """
import ctypes
import resource
import threading
import numpy as np
from xlnet import allocation

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def take():
    np.ones(16 << 20)  # 128 MB

if {keeps}:
    allocation.keep()
    ctypes.CDLL(None).mallopt(-3, 128 << 10)  # as TensorFlow does when it makes a dataset of a generator
thread = threading.Thread(target=take)
before = resident()
thread.start()
thread.join()
kept = resident() - before
allocation.give_back()
print(kept >> 20, resident() - before >> 20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
@pytest.mark.parametrize("keeps", [True, False])
def test_what_a_thread_frees_is_kept_until_it_is_given_back(keeps):
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(keeps=keeps)], check=True, capture_output=True, text=True
    )
    kept, left = map(int, found.stdout.split())
    assert kept >= 120 if keeps else kept < 20
    assert left < 20
