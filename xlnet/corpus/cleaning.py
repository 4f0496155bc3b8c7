"""What is left out of a corpus before it becomes records, and what is mended; each is asked for by name.

What compares documents with each other (duplicates) is in `paragraphs`, `minhash` and `duplicates`.
"""

from dataclasses import dataclass

from xlnet.errors import require


@dataclass(frozen=True)
class CleaningSettings:
    """Which documents and paragraphs are left out. Raises UserError for wrong values."""

    repair_unicode: bool = False  # text that was decoded with the wrong encoding, such as "schÃ¶n" for "schön"
    least_characters: int = 0  # of a document
    most_characters: int = 0  # of a document; 0: any number
    most_symbols: float = 1.0  # share of a document's visible characters that are neither letters nor digits
    drop_duplicate_documents: bool = False
    drop_duplicate_paragraphs: bool = False
    drop_near_duplicates: bool = False  # documents that share about 3 of 4 runs of 5 words with another one

    def __post_init__(self) -> None:
        require(self.least_characters >= 0, "least_characters", self.least_characters, "0 or more")
        most = max(1, self.least_characters)
        is_room = self.most_characters == 0 or self.most_characters >= most
        require(is_room, "most_characters", self.most_characters, f"0 (any number) or at least {most}")
        require(0 <= self.most_symbols <= 1, "most_symbols", self.most_symbols, "a share from 0 to 1")

    @property
    def compares(self) -> bool:
        """Whether documents are compared with each other beyond what one key tells."""
        return self.drop_duplicate_paragraphs or self.drop_near_duplicates
