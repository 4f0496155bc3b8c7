import subprocess
import sys

import pytest

from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"sequence_length": 5}, "sequence_length"),
        ({"sequence_length": 1 << 16, "reuse_length": 1 << 15}, "sequence_length"),
        ({"reuse_length": 0}, "reuse_length"),
        ({"sequence_length": 64, "reuse_length": 60, "permutation_size": 1, "predictions": 1}, "reuse_length"),
        ({"permutation_size": 100}, "permutation_size"),
        ({"permutation_size": 0}, "permutation_size"),
        ({"reuse_length": 384}, "permutation_size"),
        ({"predictions": 0}, "predictions"),
        ({"predictions": 508}, "predictions"),
        ({"span_unit": "character"}, "span_unit"),
        ({"span_longest": 0}, "span_longest"),
        ({"span_alpha": 1, "span_beta": 2}, "span_alpha"),
        ({"span_beta": 0}, "span_beta"),
        ({"shards": 0}, "shards"),
        ({"passes": 0}, "passes"),
        ({"seed": -1}, "seed"),
        ({"language": ""}, "language"),
        ({"language": "English"}, "language"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_wanted(values, name):
    with pytest.raises(UserError, match=rf"^{name} is .*wanted is"):
        CorpusSettings(**values)


def test_the_largest_number_of_predictions_fits_both_halves():
    settings = CorpusSettings(predictions=507)
    assert settings.goals == (254, 253)
    assert settings.new_length - 3 == 253


def test_predictions_are_split_as_in_the_reference():
    assert CorpusSettings().goals == (43, 42)


def test_the_corpus_needs_neither_beam_nor_a_deep_learning_library():
    modules = "settings documents streams spans orders records manifest examples tokenized shards accounts"
    code = (
        f"import sys, importlib\nfor name in {modules!r}.split(): importlib.import_module('xlnet.corpus.' + name)\n"
        "heavy = 'apache_beam', 'tensorflow', 'keras', 'jax', 'sentencepiece'\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
