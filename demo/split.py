"""What is trained on and what is held out: by whole units, without repeats on either side."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from demo.library import Unit
from demo.prose import Paragraph, key

HELD_OUT = (0.12, 0.18)  # of each class's examples: walk the units until the first, never beyond the second
SHARED_SENTENCE = 6  # words; a shorter sentence may stand on both sides ("This is the default.")
WORDS = (16, 120)  # of an example; shorter paragraphs say too little to tell where they come from


@dataclass(frozen=True)
class Example:
    """One line of the task: a text, the class it belongs to and the unit it comes from."""

    text: str
    label: str
    source: str


def unique(units: Iterable[Unit]) -> list[Unit]:
    """Each paragraph once: in the first unit that has it. Empty units fall away."""
    seen: set[str] = set()
    kept = []
    for unit in units:
        own = []
        for paragraph in unit.paragraphs:
            letters = key(" ".join(paragraph))
            if letters not in seen:
                seen.add(letters)
                own.append(paragraph)
        if own:
            kept.append(replace(unit, paragraphs=tuple(own)))
    return kept


def split(units: Sequence[Unit]) -> tuple[list[Unit], list[Unit]]:
    """The units to train on and the held-out ones, each in the given order.

    Class by class, units are taken in the order of a hash of their names; those too large are passed over.
    """
    held_out: set[str] = set()
    for label in {unit.label for unit in units if unit.label is not None}:
        held_out |= _held_out([unit for unit in units if unit.label == label])
    train = [unit for unit in units if unit.name not in held_out]
    return train, without_shared([unit for unit in units if unit.name in held_out], train)


def _held_out(units: Sequence[Unit]) -> set[str]:
    sizes = {unit.name: len(examples([unit])) for unit in units}
    least, most = (share * sum(sizes.values()) for share in HELD_OUT)
    taken: set[str] = set()
    total = 0
    for name in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if total < least and total + sizes[name] <= most:
            taken.add(name)
            total += sizes[name]
    return taken


def without_shared(held_out: Sequence[Unit], train: Sequence[Unit]) -> list[Unit]:
    """The held-out units less every paragraph that has a sentence of the training side."""
    known = {
        letters
        for unit in train
        for paragraph in unit.paragraphs
        for letters in map(key, paragraph)
        if letters.count(" ") + 1 >= SHARED_SENTENCE
    }

    def is_new(paragraph: Paragraph) -> bool:
        return not any(key(sentence) in known for sentence in paragraph)

    kept = [replace(unit, paragraphs=tuple(filter(is_new, unit.paragraphs))) for unit in held_out]
    return [unit for unit in kept if unit.paragraphs]


def examples(units: Iterable[Unit]) -> list[Example]:
    """The paragraphs of a fair length, as examples of their unit's class."""
    found = []
    for unit in units:
        for paragraph in unit.paragraphs:
            text = " ".join(paragraph)
            if unit.label is not None and WORDS[0] <= len(text.split()) <= WORDS[1]:
                found.append(Example(text, unit.label, unit.name))
    return found


def by_class(found: Iterable[Example]) -> dict[str, int]:
    """How many examples each class has, by name."""
    return dict(sorted(Counter(example.label for example in found).items()))
