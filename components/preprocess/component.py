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
    card: dsl.Output[dsl.HTML],
):
    """Turn text into training records with Apache Beam.

    Args:
        corpus: Paths or globs of text, local or gs://, also `name=glob:weight`.
        config: The preset, as YAML text; its sections `corpus` and `cleaning` hold.
        shards: How many streams the text is cut into; 0 takes the preset's.
        workers: Local worker processes.
        beam: Further Beam options, for example `--runner=DataflowRunner`.
        vocabulary: The SentencePiece model.
        data: The data set, written at its URI; the manifest comes last.
        card: A page about the data set: counts, plots, what was left out and why.
    """
    from components.step import step
    from pipelines.journal import Shown
    from pipelines.preprocess import run
    from xlnet import card as cards
    from xlnet.corpus.cleaning import CleaningSettings
    from xlnet.corpus.manifest import NAME
    from xlnet.corpus.settings import CorpusSettings
    from xlnet.settings import make, parse_preset
    from xlnet.storage import join, sha256

    with step():
        preset = parse_preset(config, where="config")
        settings = make(CorpusSettings, preset["corpus"], {"shards": shards} if shards else {}, where="config")
        manifest = run(
            corpus,
            data.uri,
            vocabulary=vocabulary.path,
            settings=settings,
            cleaning=make(CleaningSettings, preset["cleaning"], where="config"),
            options=beam,
            workers=workers,
            progress=Shown(),
        )
        if manifest is None:
            return  # the options asked for the description of the job
        cards.write(card.path, data=data.uri)
        data.metadata |= manifest.summary() | {"manifest_sha256": sha256(join(data.uri, NAME))}
