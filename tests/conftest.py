"""Fixtures that every test may use."""

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
import yaml

from xlnet import compilation_cache, vocab

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiles in half the time; numbers stay within bounds
compilation_cache.use()  # as commands do, before TensorFlow is imported: many tests compile the same step

HERE = Path(__file__).resolve().parent
VERBS = ("returns", "raises")
PRESET = {
    "vocabulary": {"size": 400},
    "corpus": {"sequence_length": 32, "reuse_length": 16, "permutation_size": 16, "predictions": 6, "shards": 4},
    "model": {"layers": 1, "model_dim": 16, "heads": 2, "head_dim": 8, "feedforward_dim": 32},
    "pretraining": {
        "batch_size": 4,
        "steps": 6,
        "memory_length": 8,
        "warmup_steps": 2,
        "log_interval": 2,
        "validation_interval": 3,
        "checkpoint_interval": 3,
    },
    "finetuning": {"sequence_length": 16, "batch_size": 8, "steps": 6, "jit_compile": False},
}
PLACES = [HERE / "golden", HERE.parent.parent / "shared" / "golden"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process works on one of them while the others have ended."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    """Path of a file recorded from the reference implementation; skips where that file is not to be had."""

    def find(name: str) -> Path:
        for place in PLACES:
            if (place / name).exists():
                return place / name
        pytest.skip(f"{name} is recorded, but not in the repository: it is made of books, or large")

    return find


@pytest.fixture(scope="session")
def passed_on_jax() -> Callable[..., set[str]]:
    """`passed_on_jax(*arguments)` -> the files of the tests that pytest runs in a process on JAX; all of them pass."""
    pytest.importorskip("jax")

    def run(*arguments: str) -> set[str]:
        environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-m", "pytest", "-vv", "-x", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        *_, summary = done.stdout.splitlines()
        assert re.findall(r"\d+ (passed|skipped|xfailed|xpassed)", summary) == ["passed"], summary
        return set(re.findall(r"(\w+\.py)::.* PASSED", done.stdout))

    return run


@pytest.fixture(scope="session")
def pages() -> list[list[str]]:
    """Some pages of the language reference, a document each: its lines."""
    every = [[line.strip() for line in text.splitlines() if line.strip()] for _, text in sorted(topics.items())]
    return [page for page in every if len(page) > 3][:40]


@pytest.fixture(scope="session")
def text(pages, tmp_path_factory) -> list[Path]:
    """The pages in three files."""
    folder = tmp_path_factory.mktemp("text")
    paths = [folder / f"{number}.txt" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_text("\n\n".join("\n".join(page) for page in pages[number::3]) + "\n", encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def vocabulary(text, tmp_path_factory) -> str:
    """A SentencePiece model of the pages."""
    path = str(tmp_path_factory.mktemp("vocabulary") / "spiece.model")
    vocab.train([str(file) for file in text], path, settings=vocab.VocabularySettings(size=500))
    return path


@pytest.fixture(scope="session")
def small_corpus():
    """Settings of records that a test can train on in seconds."""
    from xlnet.corpus.settings import CorpusSettings

    return CorpusSettings(sequence_length=32, reuse_length=16, permutation_size=16, predictions=6, shards=6)


@pytest.fixture(scope="session")
def small_data(text, vocabulary, small_corpus, tmp_path_factory) -> str:
    """A data set of the pages: six shards."""
    from pipelines.preprocess import run

    folder = str(tmp_path_factory.mktemp("data") / "set")
    run([str(file) for file in text], folder, vocabulary=vocabulary, settings=small_corpus)
    return folder


@pytest.fixture(scope="session")
def few_pages(pages, tmp_path_factory) -> Path:
    """Text to hold out: what is measured on it takes no longer than the training does."""
    path = tmp_path_factory.mktemp("few") / "few.txt"
    path.write_text("\n\n".join("\n".join(page) for page in pages[:4]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def held_out_data(few_pages, vocabulary, small_corpus, tmp_path_factory) -> str:
    """A data set of a few of the pages: six shards."""
    from pipelines.preprocess import run

    folder = str(tmp_path_factory.mktemp("held-out") / "set")
    run([str(few_pages)], folder, vocabulary=vocabulary, settings=small_corpus)
    return folder


@pytest.fixture(scope="session")
def preset():
    """Settings of a whole run of the stages that takes seconds."""
    return PRESET


@pytest.fixture(scope="session")
def inputs(text, tmp_path_factory):
    """Text, and a task that a word decides: 48 examples to learn from; 20 to measure, 12 of them of one class."""
    folder = tmp_path_factory.mktemp("inputs")
    objects = ["the loop", "a class", "this module", "an empty list", "every name", "the last line"]
    rows = [f"{thing} {verb} in place {number}\t{verb}" for number in range(4) for thing in objects for verb in VERBS]
    for name, lines in (("train", rows), ("dev", rows[1:25:2] + rows[:16:2])):
        (folder / f"{name}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    (folder / "preset.yaml").write_text(yaml.safe_dump(PRESET))
    return {
        "corpus": [str(path) for path in text[:2]],
        "heldout": [str(text[2])],
        "task_train": str(folder / "train.tsv"),
        "task_dev": str(folder / "dev.tsv"),
        "config": str(folder / "preset.yaml"),
        "title": "A tiny run",
    }


@pytest.fixture(scope="module")
def at_once() -> Iterator[None]:
    """Training without compilation: for tests of what happens between steps, or after them."""
    from xlnet.model.heads import SequenceClassifier
    from xlnet.training.finetuner import Finetuner
    from xlnet.training.pretrainer import Pretrainer

    with pytest.MonkeyPatch.context() as patch:
        for kind in (Finetuner, Pretrainer, SequenceClassifier):
            patch.setattr(kind, "compile", functools.partialmethod(kind.compile, run_eagerly=True))
        yield


def load(name: str) -> Any:
    """A module beside the tests, which are no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def storage_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A storage server with an empty bucket `b`, where this process and those that it starts find gs://."""
    with load("storage_server").serving(load("storage_objects").Objects("b", page=50)) as service:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.address)
        yield service


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Any]:
    """A `Browser` of browser.py; skips where none is installed."""
    module = load("browser")
    program = next(filter(None, map(shutil.which, module.PROGRAMS)), None)
    if program is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    opened = module.Browser(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
