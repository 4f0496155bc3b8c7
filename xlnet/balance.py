"""A data set's accounts for people: of everything that came in, where it went."""

from dataclasses import dataclass

from xlnet.corpus.manifest import Manifest

DROPPED = {  # reasons for which pieces are in no record
    "tail": "dropped: too few at a stream's end for another window",
    "short": "dropped: in streams shorter than a window",
    "batch": "dropped: cut off to make rows equally long",
}


@dataclass(frozen=True)
class Entry:
    """What became of a part of it."""

    name: str
    count: int


@dataclass(frozen=True)
class Account:
    """Something that is counted, and the entries it splits into."""

    name: str
    total: int
    entries: tuple[Entry, ...]

    @property
    def holds(self) -> bool:
        """Whether the entries add up to the total."""
        return self.total == sum(entry.count for entry in self.entries)


def accounts(manifest: Manifest) -> list[Account]:
    """Documents of all the text, and pieces of one pass over it."""
    counts = manifest.counts
    dropped = [Entry(DROPPED.get(reason, f"dropped: {reason}"), n) for reason, n in manifest.dropped.items()]
    return [
        Account(
            "documents read",
            counts["documents_in"],
            (
                Entry("kept", counts["documents_out"]),
                Entry("removed by cleaning", counts["documents_removed"]),
                Entry("rejected as unreadable", counts["dead_letters"]),
            ),
        ),
        Account(
            "pieces in a pass",
            counts["pieces_in_pass"],
            (Entry("in records", counts["pieces_in_records"]), *(entry for entry in dropped if entry.count)),
        ),
    ]


def steps_to_a_pass(manifest: Manifest) -> list[Entry]:
    """From the pieces of the text to those of a pass: signed numbers that add up; empty where they are the same.

    A source of weight 2 stands in a pass twice, of one of weight 0.5 only every second document does.
    """
    counts = manifest.counts
    text, removed, once = counts["pieces"], counts["pieces_removed"], counts["pieces_in_pass"]
    if text == once:
        return []
    steps = [Entry("pieces of text", text), Entry("removed as duplicates", -removed)]
    steps.append(Entry("by the sources' weights", once - text + removed))
    return [step for step in steps if step.count]
