"""Text in, a SentencePiece vocabulary out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_vocabulary(
    corpus: list[str], config: str, vocabulary: dsl.Output[dsl.Artifact], reuse: str = "", digest: str = ""
):
    """Train a SentencePiece vocabulary, or take one that is there.

    Args:
        corpus: Paths or globs of text, local or gs://.
        config: The preset, as YAML text; its section `vocabulary` holds.
        reuse: A vocabulary to take as it is; "" has one trained.
        digest: A hash of the text: what is cached is not for other text.
        vocabulary: The SentencePiece model.
    """
    from components.step import step
    from xlnet import storage, vocab
    from xlnet.settings import make, parse_preset

    with step():
        if reuse:
            content = storage.read_bytes(reuse)
            vocab.check(content)
            storage.publish(vocabulary.path, content)
            vocabulary.metadata |= {"taken_from": reuse, "sha256": storage.sha256(vocabulary.path)}
            return
        settings = make(vocab.VocabularySettings, parse_preset(config, where="config")["vocabulary"], where="config")
        vocabulary.metadata |= vocab.train(corpus, vocabulary.path, settings=settings)
