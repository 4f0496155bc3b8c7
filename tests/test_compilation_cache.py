import os
import subprocess
import sys

import pytest

from xlnet import compilation_cache

LEAST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("XLNET_COMPILATION_CACHE", "TF_XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", LEAST):
        monkeypatch.setenv(name, "")  # so that what `use` sets is undone
        monkeypatch.delenv(name)
    return monkeypatch


def test_both_frameworks_are_told_one_folder_of_this_processor(environment, tmp_path):
    compilation_cache.use()
    (found,) = (tmp_path / "xlnet" / "compiled").iterdir()
    assert os.environ["TF_XLA_FLAGS"] == f"--tf_xla_persistent_cache_directory={found}"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(found)
    assert os.environ[LEAST] == "0"
    assert compilation_cache.folder() == str(found)


def test_jax_keeps_programs_that_compile_in_no_time(environment):
    pytest.importorskip("jax")
    program = (
        "from xlnet import compilation_cache; compilation_cache.use(); import jax; jax.jit(lambda x: x + 1)(1.0); "
        "print(compilation_cache.folder())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [name for name in os.listdir(done.stdout.strip()) if name.endswith("-cache")]


def test_what_somebody_said_before_stands(environment):
    environment.setenv("TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory=mine --other=1")
    environment.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    compilation_cache.use()
    assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_persistent_cache_directory=mine --other=1"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"
    assert LEAST not in os.environ


def test_other_flags_of_tensorflow_stay(environment):
    environment.setenv("TF_XLA_FLAGS", "--other=1")
    compilation_cache.use()
    assert os.environ["TF_XLA_FLAGS"].startswith("--other=1 --tf_xla_persistent_cache_directory=/")


@pytest.mark.parametrize("said", ["", "/proc/no", "with space"])
def test_no_folder_no_cache(environment, said, tmp_path):
    environment.chdir(tmp_path)
    environment.setenv("XLNET_COMPILATION_CACHE", said)
    compilation_cache.use()
    assert "TF_XLA_FLAGS" not in os.environ
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_what_is_compiled_for_one_core_is_not_run_on_more(environment):
    of_all = compilation_cache.folder()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        pytest.skip("this machine has one core")
    os.sched_setaffinity(0, cores[:1])
    try:
        assert compilation_cache.folder() != of_all
    finally:
        os.sched_setaffinity(0, cores)
