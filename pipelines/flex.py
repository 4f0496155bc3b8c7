"""What a Dataflow Flex Template starts: its parameters (docker/flex-template/metadata.json) come as flags.

`python -m pipelines.flex --inputs=gs://bucket/books/*.txt --output=gs://bucket/data ...`; flags that are not the
template's are Beam's. The template's own launcher adds `--template_location`, and submits what is described there.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.flags import Parser
from xlnet.settings import field_kinds, make, read_preset

SECTIONS = {"corpus": CorpusSettings, "cleaning": CleaningSettings}  # of a preset; each field is a parameter
IMAGE = "XLNET_WORKER_IMAGE"  # what the template's image says of the workers' image
RUNNER = "--runner=DataflowRunner"


def parser() -> Parser:
    """The template's parameters as flags, all of them text as a template has it."""
    flags = Parser(prog="pipelines.flex")
    for name in ("inputs", "output", "vocabulary"):
        flags.add_argument(f"--{name}", required=True)
    flags.add_argument("--config")
    flags.add_argument("--add", default="false")
    flags.add_argument("--sdk_container_image", default=os.environ.get(IMAGE))
    for kind in SECTIONS.values():
        for name in field_kinds(kind):
            flags.add_argument(f"--{name}")
    return flags


def main(arguments: list[str] | None = None) -> int:
    """Describe the job, or run it. Returns 0, or 2 after one line on stderr about what the user can mend."""
    parsed, beam = parser().parse_known_args(arguments)
    given = {name: value for name, value in vars(parsed).items() if value not in (None, "")}
    try:
        preset = read_preset(given.get("config"))
        corpus, cleaning = (_settings(section, preset.get(section, {}), given) for section in SECTIONS)
        if "sdk_container_image" in given:
            beam.append(f"--sdk_container_image={given['sdk_container_image']}")
        if not any(flag.startswith("--runner") for flag in beam):
            beam.append(RUNNER)
        from pipelines import preprocess

        preprocess.run(
            [pattern.strip() for pattern in given["inputs"].split(",") if pattern.strip()],
            given["output"],
            vocabulary=given["vocabulary"],
            settings=corpus,
            cleaning=cleaning,
            options=beam,
            add=_switch(given.get("add", "false")) is True,
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _settings(section: str, preset: Mapping[str, Any], given: Mapping[str, str]) -> Any:
    """A settings class from the preset's section and the parameters."""
    kinds = field_kinds(SECTIONS[section])
    values = {name: _switch(given[name]) if kinds[name] is bool else given[name] for name in kinds if name in given}
    return make(SECTIONS[section], preset, values, where="parameters")


def _switch(value: str) -> bool | str:
    """A template's `true` and `false`; anything else is left for the check of settings."""
    return {"true": True, "false": False}.get(value.lower(), value)


if __name__ == "__main__":
    sys.exit(main())
