"""Text in, a SentencePiece vocabulary out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_vocabulary(corpus: list[str], config: str, vocabulary: dsl.Output[dsl.Artifact]):
    """Train a SentencePiece vocabulary.

    Args:
        corpus: Paths or globs of text, local or gs://.
        config: The preset, as YAML text; its section `vocabulary` holds.
        vocabulary: The SentencePiece model.
    """
    from components.step import step
    from xlnet.settings import make, parse_preset
    from xlnet.vocab import VocabularySettings, train

    with step():
        settings = make(VocabularySettings, parse_preset(config, where="config")["vocabulary"], where="config")
        vocabulary.metadata |= train(corpus, vocabulary.path, settings=settings)
