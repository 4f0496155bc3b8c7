import dataclasses
import json
import re
from pathlib import Path

import pytest
from google.cloud import dataflow_v1beta3 as api
from google.protobuf import json_format

from pipelines import flex, preprocess
from xlnet.cli import main
from xlnet.corpus.settings import LAYOUTS, SPAN_UNITS

METADATA = Path(preprocess.__file__).resolve().parent.parent / "docker/flex-template/metadata.json"
FIELDS = {field.name: field for kind in flex.SECTIONS.values() for field in dataclasses.fields(kind)}
SMALL = ["--sequence_length=64", "--reuse_length=32", "--permutation_size=32", "--predictions=10", "--shards=3"]


@pytest.fixture(scope="module")
def parameters():
    return {parameter["name"]: parameter for parameter in json.loads(METADATA.read_text())["parameters"]}


def test_the_template_has_the_parameters_that_its_launcher_takes(parameters):
    flags = {action.dest: action.required for action in flex.parser()._actions if action.dest != "help"}
    assert {name: not entry.get("isOptional", False) for name, entry in parameters.items()} == flags


def test_the_template_says_the_meanings_and_the_defaults_of_the_settings(parameters):
    """The defaults in words: a value would be sent along, and win over the preset."""
    for name, field in FIELDS.items():
        meaning = field.metadata["meaning"]
        told = f"{meaning[0].upper()}{meaning[1:]}. Default: {str(field.default).lower()}."
        assert parameters[name]["helpText"] == told
    assert not [name for name, entry in parameters.items() if "defaultValue" in entry]


def test_the_template_is_what_the_service_knows(parameters):
    metadata = json.loads(METADATA.read_text())
    parsed = json_format.ParseDict(_renamed(metadata), api.TemplateMetadata()._pb)
    assert len(parsed.parameters) == len(metadata["parameters"])
    assert metadata["name"]
    assert metadata["description"]
    for name, entry in parameters.items():
        assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name)
        assert entry["label"]
        assert entry["helpText"]


def _renamed(value):
    """The REST names as the library's messages have them."""
    if isinstance(value, list):
        return [_renamed(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {re.sub("([A-Z])", lambda found: "_" + found[1].lower(), key): _renamed(kept) for key, kept in value.items()}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("inputs", "gs://b/a*.txt,books=gs://b/c/*.jsonl.gz:2.0, gs://b/d", "/data/a.txt"),
        ("output", "gs://b/data", "/data"),
        ("vocabulary", "gs://b/spiece.model", "spiece.model"),
        ("sdk_container_image", "example/xlnet-beam@sha256:0a", "an image"),
        ("passes", "10", "ten"),
        ("most_symbols", "0.5", "half"),
        ("lower", "true", "yes"),
        ("language", "zh", "Chinese"),
    ],
)
def test_a_wrong_value_is_found_before_a_launch(name, good, bad, parameters):
    (pattern,) = parameters[name]["regexes"]
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)


def test_what_can_be_chosen_is_what_there_is(parameters):
    chosen = {name: [option["value"] for option in entry.get("enumOptions", [])] for name, entry in parameters.items()}
    assert {name: values for name, values in chosen.items() if values} == {
        "layout": list(LAYOUTS),
        "span_unit": list(SPAN_UNITS),
    }


def test_parameters_override_the_preset_which_overrides_the_defaults(tmp_path, monkeypatch):
    made = {}
    monkeypatch.setattr(preprocess, "run", lambda inputs, output, **options: made.update(options, inputs=inputs))
    preset = tmp_path / "preset.yaml"
    preset.write_text("corpus: {shards: 7, passes: 3, lower: true}\ncleaning: {least_characters: 9}\n")
    files = [
        "--inputs=gs://b/a*.txt, books=gs://b/c:2",
        "--output=gs://b/d",
        "--vocabulary=gs://b/v",
        f"--config={preset}",
    ]
    assert flex.main([*files, "--passes=5", "--lower=false", "--drop_near_duplicates=True", "--num_workers=2"]) == 0
    assert made["inputs"] == ["gs://b/a*.txt", "books=gs://b/c:2"]
    assert (made["settings"].shards, made["settings"].passes, made["settings"].lower) == (7, 5, False)
    assert (made["cleaning"].least_characters, made["cleaning"].drop_near_duplicates) == (9, True)
    assert made["options"] == ["--num_workers=2", flex.RUNNER]
    assert made["add"] is False


@pytest.mark.parametrize(
    ("flag", "message"),
    [("--shards=many", "shards is 'many'"), ("--lower=yes", "lower is 'yes', wanted is true or false")],
)
def test_a_wrong_parameter_is_one_line_and_exit_2(flag, message, capsys):
    assert flex.main(["--inputs=gs://b/a", "--output=gs://b/d", "--vocabulary=gs://b/v", flag]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert message in line
    assert line.count("\n") == 1


@pytest.mark.slow
def test_a_launch_describes_the_job_that_the_command_would_submit(
    service, objects, bucket, text, vocabulary, monkeypatch
):
    for name, path in [(f"text/{path.name}", path) for path in text] + [("spiece.model", Path(vocabulary))]:
        objects.insert("bucket", name, {}, content=path.read_bytes(), properties={})
    monkeypatch.setenv(flex.IMAGE, "example/xlnet-beam:template")
    files = ["--inputs=gs://bucket/text/*.txt", "--vocabulary=gs://bucket/spiece.model", "--output=gs://bucket/data"]
    asked = [flag for flag in service.flags if "sdk_container_image" not in flag]
    launcher = ["--job_name=books", "--template_location=gs://bucket/launches/job_object", "--of_the_launcher=1"]
    assert flex.main([*files, *SMALL, *asked, *launcher]) == 0
    described = json.loads(bucket["launches/job_object"].content)
    assert described["name"] == "books"
    pool = described["environment"]["workerPools"][0]
    assert pool["sdkHarnessContainerImages"][0]["containerImage"] == "example/xlnet-beam:template"
    words = ["preprocess", *files[0].split("=", 1)[1:], *files[1:], *(flag.replace("_", "-") for flag in SMALL)]
    assert main([*words, *(f"--beam={flag}" for flag in service.flags)]) in (0, 2)  # the data set is not made here
    assert service.jobs[0].posted["labels"] == described["labels"]
    assert "POST" in service.asked
