"""How a run ended in, a summary and a notice out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def summarize(status: dsl.PipelineTaskFinalStatus, store: str, run: str, title: str, summary: dsl.Output[dsl.Markdown]):
    """Write what became of a run, whatever happened, and tell a webhook of it.

    Args:
        status: How the run ended; Kubeflow gives it.
        store: The folder of the champion; the summary goes to runs/RUN/summary.json there.
        run: The name of the run.
        title: The run's title.
        summary: The same for people.
    """
    from components.step import step
    from pipelines import notice

    with step():
        told = notice.summarize(store, run, title=title, state=status.state, error=status.error_message)
        with open(summary.path, "w", encoding="utf-8") as page:
            page.write(notice.page(told))
        notice.post(told)
