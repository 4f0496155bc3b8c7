import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlnet.corpus import tokenized
from xlnet.corpus.arrangement import arrange
from xlnet.corpus.documents import DeadLetter, Document
from xlnet.special_pieces import EOD


def encode_lines(lines):
    """A piece for each letter; spaces are none."""
    each = [[ord(letter) for letter in line if letter != " "] for line in lines]
    ids = np.array([piece for pieces in each for piece in pieces], np.int32)
    return ids, np.array([len(pieces) for pieces in each], np.int32)


LINES = st.lists(st.text("ab ", min_size=1, max_size=5), min_size=1, max_size=4)
PAGES = st.lists(LINES, min_size=1, max_size=12)


def make(pages, seed=0):
    documents = [Document(lines, "a.txt", 1) for lines in pages]
    blocks = list(tokenized.tokenize(documents, encode_lines, seed=seed, vocabulary_size=500))
    return tokenized.concatenate([block.tokenized for block in blocks]), blocks


def texts(documents):
    """Each document's text again, its sentences apart."""
    ends = np.cumsum(documents.lengths)
    sentences = ["".join(map(chr, part)) for part in np.split(documents.pieces, ends[:-1])] if ends.size else []
    ends = np.cumsum(documents.sentences)
    return ["|".join(part) for part in np.split(np.array(sentences, object), ends[:-1])] if ends.size else []


def expected(lines):
    return "|".join(line.replace(" ", "") for line in lines if line.strip(" ")) + chr(EOD)


@given(PAGES)
def test_documents_keep_their_pieces_and_sentences(pages):
    documents, blocks = make(pages)
    kept = [lines for lines in pages if any(line.strip(" ") for line in lines)]
    assert texts(documents) == [expected(lines) for lines in kept]
    assert documents.sizes.tolist() == [len(expected(lines).replace("|", "")) for lines in kept]
    dead = [letter for block in blocks for letter in block.dead_letters]
    assert [letter.reason for letter in dead] == ["no pieces"] * (len(pages) - len(kept))
    assert sum(block.characters for block in blocks) == sum(len(line) for lines in kept for line in lines)
    boundaries = documents.stream().boundaries
    assert boundaries.tolist() == np.cumsum(documents.lengths)[:-1].tolist()


@given(PAGES, st.integers(1, 5), st.randoms())
def test_shards_and_passes_do_not_depend_on_the_order_of_arrival(pages, shards, shuffle):
    documents, _ = make(pages)
    arrived = list(range(documents.sizes.size))
    shuffle.shuffle(arrived)
    other = documents.take(np.array(arrived, np.int64))
    assert sorted(texts(other)) == sorted(texts(documents))
    parts, others = (dict(tokenized.by_shard(each, shards=shards)) for each in (documents, other))
    assert parts.keys() == others.keys() <= set(range(shards))
    assert sum(part.sizes.size for part in parts.values()) == documents.sizes.size
    for number, part in parts.items():
        back = tokenized.TokenizedDocuments.from_bytes(part.to_bytes())
        assert texts(back) == texts(part)
        for pass_index in (0, 1):
            one, two = (
                each.take(arrange(each, seed=0, pass_index=pass_index, weights=[1.0]))
                for each in (back, others[number])
            )
            assert texts(one) == texts(two)


def test_keys_depend_on_the_text_and_the_seed_alone():
    assert tokenized.document_key(["a", "b"], seed=1) == tokenized.document_key(["a", "b"], seed=1)
    keys = {tokenized.document_key(lines, seed=seed) for lines in (["a", "b"], ["a b"], ["ab"]) for seed in (0, 1)}
    assert len(keys) == 6


def test_dead_letters_of_the_reader_go_through():
    letter = DeadLetter("a.txt", 3, "NUL byte", "x")
    [block] = tokenized.tokenize([letter], encode_lines, seed=0, vocabulary_size=500)
    assert (block.tokenized.sizes.size, block.dead_letters, block.characters) == (0, [letter], 0)
