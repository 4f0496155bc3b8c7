"""A SavedModel that takes texts: normalisation, SentencePiece, features and model in one graph.

Needs tensorflow-text, where it is written and where it is served (TensorFlow Serving has it).
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlnet.errors import UserError
from xlnet.serving.saved_model import SIGNATURE
from xlnet.serving.served import TEXTS, Call, Served
from xlnet.special_pieces import CLS, SEP
from xlnet.tasks.features import PIECE_PAD, SEGMENT_A, SEGMENT_B, SEGMENT_CLS, SEGMENT_PAD
from xlnet.tasks.sentence_task import SentenceTask
from xlnet.text import Tokenizer

UNICODE = 0x110000


def write(served: Served, folder: Path) -> None:
    """Writes a SavedModel whose signature takes `text`, and of a model of pairs `pair`: strings [n].

    Raises UserError for other tasks, and where tensorflow-text is not installed.
    """
    import tensorflow as tf

    names = inputs_of(served)
    assert served.task is not None
    module = tf.Module()
    module.weights = [variable.value for variable in served.model.variables]
    module.reader = read = reader(
        served.tokenizer, sequence_length=served.task.sequence_length, is_whole=served.task.sees_padding
    )
    asked = {name: tf.TensorSpec([None], tf.string, name=name) for name in names}
    module.serve = tf.function(
        lambda inputs: served.call(read(*(inputs[name] for name in names))), input_signature=[asked], autograph=False
    )
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})


def inputs_of(served: Served) -> list[str]:
    """The names of the texts that it takes."""
    task = served.task
    if not isinstance(task, SentenceTask):
        found = "has no head" if task is None else f"is for {task.kind}"
        raise UserError(f"an export that takes text classifies or rates texts or pairs, the model {found}; export ids")
    return ["text"] if task.columns.pair is None else ["text", "pair"]


def load(folder: Path) -> Call:
    """The signature of a SavedModel that takes texts."""
    import tensorflow as tf

    _tensorflow_text()  # its operations must be known
    loaded = tf.saved_model.load(str(folder)).signatures[SIGNATURE]

    def call(inputs: dict[str, Sequence[str]]) -> dict[str, Any]:
        found = loaded(**{name: tf.constant(list(texts)) for name, texts in inputs.items()})
        return {name: values.numpy() for name, values in found.items()}

    return call


def samples(served: Served) -> dict[str, Sequence[str]]:
    """Texts as the signature takes them."""
    return dict(zip(inputs_of(served), (TEXTS, TEXTS[::-1]), strict=False))


def _tensorflow_text() -> Any:
    try:
        import tensorflow_text
    except ImportError:
        raise UserError("tensorflow-text is not installed; pip install 'xlnet-pipelines[export]'") from None
    return tensorflow_text


def reader(tokenizer: Tokenizer, *, sequence_length: int, is_whole: bool) -> Any:
    """A module that makes features of texts [n], or of two such, as `Tokenizer` and `tasks.features` do."""
    import tensorflow as tf

    text = _tensorflow_text()
    stand_ins = tokenizer.stand_ins()

    class Reader(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pieces = text.SentencepieceTokenizer(model=tokenizer.model)

        def __call__(self, *texts: Any) -> dict[str, Any]:
            ragged = [self._encode(each) for each in texts]
            lengths = [each.row_lengths() for each in ragged]
            if len(ragged) == 1:
                kept = [tf.minimum(lengths[0], sequence_length - 2)]
                has_pair = tf.zeros_like(lengths[0])
            else:
                has_pair = tf.cast(lengths[1] > 0, tf.int64)
                kept = list(_kept(*lengths, room=sequence_length - 2 - has_pair))
            sep, cls = (tf.fill([ragged[0].nrows(), 1], piece) for piece in (SEP, CLS))
            parts = [(_first(ragged[0], kept[0]), SEGMENT_A), (sep, SEGMENT_A)]
            if len(ragged) == 2:
                second = tf.RaggedTensor.from_tensor(sep, lengths=has_pair)
                parts += [(_first(ragged[1], kept[1]), SEGMENT_B), (second, SEGMENT_B)]
            parts.append((cls, SEGMENT_CLS))
            pieces = tf.concat([values for values, _ in parts], axis=1)
            segments = tf.concat([tf.ones_like(values) * segment for values, segment in parts], axis=1)
            longest = sequence_length if is_whole else tf.reduce_max(pieces.row_lengths())
            return {
                "pieces": _to_the_right(pieces, longest, PIECE_PAD),
                "segments": _to_the_right(segments, longest, SEGMENT_PAD),
                "padding": _to_the_right(tf.zeros_like(pieces), longest, 1),
            }

        def _encode(self, texts: Any) -> Any:
            ids = self.pieces.tokenize(_normalized(texts, tokenizer, text))
            return tf.gather(tf.ragged.constant(stand_ins, dtype=tf.int32), ids).merge_dims(1, 2)

    return Reader()


def _kept(length_a: Any, length_b: Any, *, room: Any) -> tuple[Any, Any]:
    """`tasks.features.kept`, in TensorFlow."""
    import tensorflow as tf

    half = room // 2
    return (
        tf.minimum(length_a, tf.maximum(room - half, room - length_b)),
        tf.minimum(length_b, tf.maximum(half, room - length_a)),
    )


def _first(ragged: Any, counts: Any) -> Any:
    """The first `counts` of each row."""
    import tensorflow as tf

    lengths = ragged.row_lengths()
    within = tf.ragged.range(lengths).values < tf.repeat(counts, lengths)
    return tf.RaggedTensor.from_row_lengths(tf.boolean_mask(ragged.values, within), counts)


def _to_the_right(ragged: Any, length: Any, filling: int) -> Any:
    """Rows as a matrix, filled up on the left."""
    import tensorflow as tf

    length = tf.cast(length, tf.int64)
    dense = ragged.to_tensor()
    missing = (length - ragged.row_lengths())[:, None]
    columns = tf.range(length)[None, :] - missing
    found = tf.gather(dense, tf.clip_by_value(columns, 0, tf.shape(dense, tf.int64)[1] - 1), batch_dims=1)
    return tf.where(columns >= 0, found, filling)


def _normalized(texts: Any, tokenizer: Tokenizer, text: Any) -> Any:
    """`xlnet.normalization.normalize`, in TensorFlow."""
    import tensorflow as tf

    texts = tf.strings.strip(tf.strings.regex_replace(texts, f"[{_class(str.isspace)}]+", " "))
    texts = tf.strings.regex_replace(texts, "``|''", '"')
    if not tokenizer.keep_accents:
        texts = text.normalize_utf8(texts, "NFKD")
        texts = tf.strings.regex_replace(texts, f"[{_class(lambda each: unicodedata.combining(each) > 0)}]", "")
    return tf.strings.lower(texts, encoding="utf-8") if tokenizer.lower else texts


def _class(holds: Any) -> str:
    """The characters for which something holds, as ranges of a regular expression of RE2."""
    codes = [code for code in range(UNICODE) if not 0xD800 <= code < 0xE000 and holds(chr(code))]
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in ranges)
