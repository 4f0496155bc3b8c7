"""A small vocabulary and a small text, made of what every Python brings along."""

from pathlib import Path
from pydoc_data.topics import topics

import pytest

from xlnet import vocab


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
