"""The same fine-tuning from several seeds: small data make one run's figure a matter of luck.

Source: Devlin et al. 2019 and Yang et al. 2019 report the best or the median of several runs.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from xlnet import storage
from xlnet.errors import UserError, require
from xlnet.tasks.metrics import score, spread
from xlnet.tasks.task import checksum
from xlnet.training import run_identity
from xlnet.training.finetuning import finetune, fixed_by
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.starting import start
from xlnet.training.stopping import StoppedError, on_termination

NOT_MEASURED = ("seconds", "examples_per_second", "parameters", "trained_parameters")


@run_identity.alone
def finetune_seeds(*, seeds: int, output: str, settings: FinetuningSettings, **given: Any) -> dict[str, Any]:
    """Run `finetune` with so many seeds, from the settings' one on, in OUTPUT/seed-K; a finished one is not run again.

    OUTPUT/summary.json, written last, is returned: `spread`, for each figure its median, lowest, highest and standard
    deviation, and `best`, the run whose dev metric is best. Raises what `finetune` raises.
    """
    require(seeds >= 1, "seeds", seeds, "1 or more")
    if storage.exists(storage.join(output, "summary.json")):
        raise UserError(f"{output} already holds a finished run; name another --output, or remove it")
    numbers = list(range(settings.seed, settings.seed + seeds))
    every = [replace(settings, seed=number) for number in numbers]  # a seed that is none is found before any run
    with on_termination(_stop):
        runs = [_run(storage.join(output, f"seed-{each.seed}"), settings=each, **given) for each in every]
    figures = {name for run in runs for name, value in run.items() if _is_number(value) and name not in NOT_MEASURED}
    summary = {
        "format": "xlnet-finetuning-seeds/1",
        "task": runs[0]["task"],
        "seeds": numbers,
        "spread": {
            name: spread([run[name] for run in runs]) for name in sorted(figures) if all(name in run for run in runs)
        },
        "best": f"seed-{numbers[_best(runs)]}",
        "settings": runs[0]["settings"],
        "data": runs[0]["data"],
    }
    storage.publish_json(storage.join(output, "summary.json"), summary)
    return summary


def _stop() -> None:
    raise StoppedError("stopped between the seeds; the same command goes on")


def _run(output: str, *, settings: FinetuningSettings, **given: Any) -> dict[str, Any]:
    done = storage.join(output, "summary.json")
    if not storage.exists(done):
        keras.utils.clear_session()
        return finetune(output=output, settings=settings, **given)
    run_identity.require_same(output, _fixed(settings, **given))
    found: dict[str, Any] = storage.read_json(done)
    return found


def _fixed(
    settings: FinetuningSettings, *, init: str | None = None, fresh: bool = False, **given: Any
) -> dict[str, Any]:
    """What a run that is finished must have been made with, as one must that goes on."""
    source = start(init, **{name: given.get(name) for name in ("model_config", "vocabulary", "text")})
    sha256 = {name: checksum(given[name]) for name in ("train", "dev") if given.get(name) is not None}
    return fixed_by(settings, source, sha256=sha256, init=init, fresh=fresh)


def _best(runs: Sequence[dict[str, Any]]) -> int:
    """The place of the run that is best by the task's metric on the dev examples; the first without them."""

    def key(place: int) -> tuple[float, float]:
        values = {name.removeprefix("dev_"): value for name, value in runs[place].items() if name.startswith("dev_")}
        return score(runs[place]["best_metric"], values), score("loss", values)

    return max(range(len(runs)), key=key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
