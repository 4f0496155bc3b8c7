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
    metrics: dsl.Output[dsl.Metrics],
    digest: str = "",
    work: str = "",
) -> str:
    """Turn text into training records with Apache Beam, in this pod or on Dataflow or Flink.

    A retried step goes on with what is there; with `--runner=DataflowRunner` it finds its job and waits on it, and
    a step that is cancelled cancels the job.

    Args:
        corpus: Paths or globs of text, local or gs://, also `name=glob:weight`.
        config: The preset, as YAML text; its sections `corpus` and `cleaning` hold.
        shards: How many streams the text is cut into; 0 takes the preset's.
        workers: Local worker processes.
        beam: Further Beam options, for example `--runner=DataflowRunner`.
        vocabulary: The SentencePiece model.
        digest: A hash of the text: what is cached is not for other text.
        work: The folder of data sets by what they are made of; "" writes to the artifact's own URI.
        data: The data set; the manifest comes last.
        card: A page about the data set: counts, plots, what was left out and why.
        metrics: Counts of documents, pieces and records.
        Output: Where the data set lies.
    """
    from components.step import location, step
    from pipelines.cancelling import on_termination
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
        sections = [preset["corpus"], preset["cleaning"]]
        place = location(data, work, corpus, digest, sections, shards, sha256(vocabulary.path))
        with on_termination():
            manifest = run(
                corpus,
                place,
                vocabulary=vocabulary.path,
                settings=make(CorpusSettings, sections[0], {"shards": shards} if shards else {}, where="config"),
                cleaning=make(CleaningSettings, sections[1], where="config"),
                options=beam,
                workers=workers,
                progress=Shown(),
            )
        if manifest is None:
            return place  # the options asked for the description of the job
        cards.write(card.path, data=place)
        data.metadata |= manifest.summary() | {"manifest_sha256": sha256(join(place, NAME))}
        for name, value in manifest.counts.items():
            if isinstance(value, int | float):
                metrics.log_metric(name, value)
    return place
