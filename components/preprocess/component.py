"""Text and a vocabulary in, a data set of training records out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def preprocess(
    corpus: list[str],
    config: str,
    shards: int,
    workers: int,
    beam: list[str],
    vocabulary: dsl.Input[dsl.Artifact],
    data: dsl.Output[dsl.Dataset],
):
    """Turn text into training records with Apache Beam.

    Args:
        corpus: Paths or globs of text, local or gs://.
        config: The preset, as YAML text; its section `corpus` holds.
        shards: How many streams the text is cut into; 0 takes the preset's.
        workers: Local worker processes.
        beam: Further Beam options, for example `--runner=DataflowRunner`.
        vocabulary: The SentencePiece model.
        data: The data set, written at its URI; the manifest comes last.
    """
    from components.step import step
    from pipelines.journal import Shown
    from pipelines.preprocess import run
    from xlnet.corpus.settings import CorpusSettings
    from xlnet.settings import make, parse_preset

    with step():
        section = parse_preset(config, where="config")["corpus"]
        settings = make(CorpusSettings, section, {"shards": shards} if shards else {}, where="config")
        manifest = run(
            corpus,
            data.uri,
            vocabulary=vocabulary.path,
            settings=settings,
            options=beam,
            workers=workers,
            progress=Shown(),
        )
        data.metadata |= manifest.summary()
