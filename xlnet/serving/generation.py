"""Text from a pretrained model: a prompt is read by segments, then one piece is chosen and read after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.model.checkpoints import read_description
from xlnet.model.continuation import Continuation, ReadText
from xlnet.model.pretrained import load_language_model, trained_memory
from xlnet.serving.decoding import DecodingSettings, choose
from xlnet.special_pieces import EOD, EOP
from xlnet.tasks.predictor import load_tokenizer
from xlnet.text import SPACE, Tokenizer

SEGMENT = 64  # pieces of a prompt that are read at once; what is left of it is read piece by piece


@dataclass(frozen=True)
class Text:
    """A generated text, as it goes on after its prompt; `ended`: by itself, with `<eod>`."""

    pieces: list[int]
    text: str
    ended: bool


class Generator:
    """Continues texts. Nothing depends on how long a text already is: neither time nor memory.

    Raises UserError when the directory holds no language model.
    """

    def __init__(self, directory: str, settings: DecodingSettings, *, segment: int = SEGMENT, jit_compile: bool = True):
        described = read_description(directory)
        if described["head"] is not None:
            raise UserError(f"{directory} is a fine-tuned model, which does not write; give a pretrained one")
        memory_length = settings.memory_length or trained_memory(directory, described)
        if not memory_length:
            raise UserError(f"{directory} was trained without memory; pass --memory-length, the pieces to look back on")
        backbone, head = load_language_model(directory)
        self.tokenizer, self.settings, self.segment = load_tokenizer(directory), settings, segment
        self.read = ReadText(backbone, rows=settings.samples, memory_length=memory_length, longest=segment)
        self.by_length = {}
        for length in (segment, 1):
            self.by_length[length] = Continuation(backbone, head, self.read, length=length)
            self.by_length[length].compile(jit_compile=jit_compile)

    def generate(self, prompt: str, *, report: Callable[[int], Any] | None = None) -> list[Text]:
        """Texts that go on after a prompt, of which every line is a paragraph; an empty one begins a text.

        The same prompt, settings and model give the same texts. `report` is told after each piece how many there are.
        """
        settings = self.settings
        random = np.random.Generator(np.random.Philox(key=settings.seed))
        written: list[NDArray[np.int64]] = []  # of each place the pieces of all texts
        logits = self.start(prompt_pieces(prompt, self.tokenizer))
        has_ended = np.zeros(settings.samples, bool)
        while True:
            written.append(np.where(has_ended, EOD, choose(logits, settings, random=random)))
            has_ended |= written[-1] == EOD
            if report is not None:
                report(len(written))
            if has_ended.all() or len(written) == settings.length:
                return [_text(row.tolist(), self.tokenizer) for row in np.stack(written, axis=1)]
            logits = self.advance(written[-1][:, None])

    def start(self, pieces: Sequence[int]) -> NDArray[np.float32]:
        """Forget what was read, read pieces: the logits [samples, vocab] of what follows them."""
        self.read.forget()
        logits = None
        for part in _parts(pieces, self.segment):
            logits = self.advance(np.tile(np.asarray(part, np.int64), (self.settings.samples, 1)))
        assert logits is not None, "there are pieces"
        return logits

    def advance(self, pieces: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read on, int [samples, 1 or `segment`]: the logits of what follows."""
        return np.asarray(self.by_length[pieces.shape[1]].predict_on_batch(pieces.astype(np.int32)))


def prompt_pieces(prompt: str, tokenizer: Tokenizer) -> list[int]:
    """The pieces of a prompt: a document's beginning, paragraphs as lines; the last line goes on."""
    *whole, last = [line.strip() for line in prompt.splitlines() if line.strip()] or [""]
    paragraphs = [piece for line in whole for piece in [*tokenizer.encode(line), EOP]]
    return [EOD, *paragraphs, *tokenizer.encode(last)]


def _parts(pieces: Sequence[int], segment: int) -> Iterator[Sequence[int]]:
    """Whole segments, then single pieces: two lengths, each compiled once."""
    whole = len(pieces) // segment * segment
    for start in range(0, whole, segment):
        yield pieces[start : start + segment]
    for place in range(whole, len(pieces)):
        yield pieces[place : place + 1]


def _text(pieces: list[int], tokenizer: Tokenizer) -> Text:
    ended = EOD in pieces
    pieces = pieces[: pieces.index(EOD)] if ended else pieces
    paragraphs: list[list[int]] = [[]]
    for piece in pieces:
        if piece == EOP:
            paragraphs.append([])
        else:
            paragraphs[-1].append(piece)
    space = " " if pieces and tokenizer.piece(pieces[0]).startswith(SPACE) else ""  # which decoding leaves out
    return Text(pieces, space + "\n".join(tokenizer.decode(paragraph) for paragraph in paragraphs), ended)
