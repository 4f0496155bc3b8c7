"""A store in, the champion that is to be beaten out."""

from typing import NamedTuple

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def find_champion(store: str, goes_on: bool, vocabulary: str) -> NamedTuple(  # type: ignore[valid-type]
    "Outputs", [("champion", str), ("init", str), ("reuse", str)]
):
    """Look up the champion, and what a new run takes from it.

    Args:
        store: The folder of the champion.
        goes_on: Whether pretraining goes on from the champion's weights, with its vocabulary.
        vocabulary: A vocabulary to use where none comes from the champion; "" has one trained.
        champion: The folder of the champion's version, "" where there is none.
        init: The model directory to pretrain from, "" for fresh weights.
        reuse: The vocabulary to use, "" to train one.
    """
    from components.step import step
    from pipelines.champion import find
    from xlnet.file_names import VOCABULARY
    from xlnet.storage import join

    with step():
        now = find(store)
        if now is None or not goes_on:
            return (now.folder if now else "", "", vocabulary)
        return (now.folder, now.pretrained, join(now.pretrained, VOCABULARY))
