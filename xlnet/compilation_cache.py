"""Compiled steps kept on the disk, so that a run that starts again does not wait for its compiler again.

XLA's own caches, of TensorFlow and of JAX, told by environment variables before either is imported. Their keys are made
of the program, the device and the versions; processors of unlike instructions or number get folders of their own, as
what was compiled for one core runs on one core.
"""

import hashlib
import os
import platform

VARIABLE = "XLNET_COMPILATION_CACHE"  # another folder; empty: no cache
FLAG = "--tf_xla_persistent_cache_directory"


def use() -> None:
    """Let TensorFlow and JAX keep what they compile, unless they were told something else."""
    found = folder()
    if found is None:
        return
    flags = os.environ.get("TF_XLA_FLAGS", "")
    if FLAG not in flags:
        os.environ["TF_XLA_FLAGS"] = f"{flags} {FLAG}={found}".strip()
    if os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", found) == found:
        # Many small programs are what a run begins with; from a folder that is not far all of them come sooner.
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def folder() -> str | None:
    """Where compiled steps lie on this machine; None: nowhere, as is wished or as no folder can be made."""
    default = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "xlnet", "compiled")
    chosen = os.environ.get(VARIABLE, default)
    if not chosen:
        return None
    path = os.path.join(os.path.abspath(chosen), _processor())
    try:
        os.makedirs(path, exist_ok=True)
    except OSError:  # a read-only root
        return None
    return path if os.access(path, os.W_OK) and " " not in path else None  # flags are parted by spaces


def _processor() -> str:
    """A name for so many processors with the same instructions."""
    kinds = {platform.machine(), f"{len(os.sched_getaffinity(0))} cores"}
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            kinds |= {line.strip() for line in lines if line.startswith(("flags", "Features", "model name"))}
    except OSError:
        kinds.add(platform.processor())
    return hashlib.sha256("\n".join(sorted(kinds)).encode()).hexdigest()[:16]
