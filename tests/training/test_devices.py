"""Many devices and many hosts train as one device does: real processes of `xlnet pretrain`, on virtual CPUs."""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from xlnet.corpus.manifest import Manifest
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig
from xlnet.training.devices import Devices, Share, Wanted, parse, require_places
from xlnet.training.pretraining import pretrain
from xlnet.training.settings import PretrainingSettings
from xlnet.training.shard_plan import plan

MODEL = ModelConfig(layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, dropout=0.0, attention_dropout=0.0)
SETTINGS = PretrainingSettings(
    batch_size=16,
    steps=6,
    memory_length=24,
    learning_rate=3e-3,
    warmup_steps=2,
    epsilon=1e-3,  # Adam's first steps hang on rounding
    log_interval=2,
    validation_interval=6,
    checkpoint_interval=4,
    jit_compile=False,
)


def of_eight_shards(files: list[Path], folder: Path, *, vocabulary: str, corpus: CorpusSettings) -> str:
    """A data set for a batch of sixteen rows."""
    from pipelines.preprocess import run

    settings = dataclasses.replace(corpus, shards=8)
    run([str(file) for file in files], str(folder), vocabulary=vocabulary, settings=settings)
    return str(folder)


@pytest.fixture(scope="module")
def data(text, vocabulary, small_corpus, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("eight") / "set"
    return of_eight_shards(text, folder, vocabulary=vocabulary, corpus=small_corpus)


@pytest.fixture(scope="module")
def held_out(few_pages, vocabulary, small_corpus, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("held-out") / "set"
    return of_eight_shards([few_pages], folder, vocabulary=vocabulary, corpus=small_corpus)


@pytest.fixture(scope="module")
def start(vocabulary, tmp_path_factory) -> str:
    """A model to begin from, so that both backends begin alike."""
    config = ModelConfig(**{**MODEL.__dict__, "vocab_size": 500, "initializer_stddev": 0.2})
    folder = str(tmp_path_factory.mktemp("start") / "model")
    backbone = Backbone(config, seed=1)
    save_model(folder, backbone, config=config, vocabulary=vocabulary, text={}, head=None, provenance={})
    return folder


@pytest.fixture(scope="module")
def alone(data, held_out, start, tmp_path_factory) -> Path:
    """The run on one device."""
    output = tmp_path_factory.mktemp("runs") / "alone"
    pretrain(data=data, validation=held_out, init=start, output=str(output), settings=SETTINGS, model=MODEL)
    return output


def begin(
    data: str, validation: str | None, start: str, output: Path, *, devices: str, **environment
) -> subprocess.Popen:
    words = ["pretrain", "--data", data, "--init", start, "--output", str(output)]
    words += [] if validation is None else ["--validation", validation]
    for name, value in {**SETTINGS.__dict__, **MODEL.__dict__, "devices": devices}.items():
        if name == "vocab_size" or isinstance(value, bool) or value is None:
            continue
        words += [f"--{name.replace('_', '-')}", str(value)]
    if environment.get("KERAS_BACKEND") != "jax":
        words += ["--no-jit-compile"]
    whole = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", "xlnet.cli", *words], env=whole, **pipes)


def finish(*processes: subprocess.Popen) -> list[str]:
    try:
        told = [process.communicate(timeout=580) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, told, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [out for out, _ in told]


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line.get("loss", line.get("validation_loss")) for line in lines]


def assert_alike(run: Path, alone: Path, *, within: float) -> None:
    """Losses, weights and memories, row by row."""
    assert len(losses(alone)) == 4
    np.testing.assert_allclose(losses(run), losses(alone)[: len(losses(run))], rtol=within)
    assert len(losses(run)) == (4 if json.loads((run / "summary.json").read_text())["validation"] else 3)
    for step in (4, 6):
        state = f"checkpoints/step-{step:08d}/state.safetensors"
        expected, found = (load_file(folder / state) for folder in (alone, run))
        assert expected.keys() == found.keys()
        compared = [name for name in expected if not name.endswith("seed_generator_state")]
        assert sum("memory_" in name for name in compared) == 1
        for name in compared:
            np.testing.assert_allclose(found[name], expected[name], atol=20 * within, rtol=20 * within, err_msg=name)
    rows = load_file(run / state)[next(name for name in compared if "memory_" in name)]
    assert len({row.tobytes() for row in rows}) == 16, "each row remembers its own stream"


def folders_of_hosts(data: str, folder: Path, *, hosts: int) -> list[str]:
    """For each host a copy of the data in which the shards that are not its own hold nothing but zeros."""
    manifest = Manifest.read(data)
    lengths = [shard.records // 2 for shard in manifest.shards]
    slots = plan(lengths, slots=8, steps=SETTINGS.steps, seed=SETTINGS.seed)
    copies = []
    for host in range(hosts):
        copy = folder / f"host-{host}"
        shutil.copytree(data, copy)
        own = {stretch.shard for slot in slots[Share(host, hosts).of(8)] for stretch in slot}
        assert 0 < len(own) < 8
        for number, shard in enumerate(manifest.shards):
            if number not in own:
                (copy / shard.file).write_bytes(bytes(shard.bytes))
        copies.append(str(copy))
    return copies


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@pytest.fixture(scope="module")
def mirrored(data, held_out, start, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "mirrored"
    finish(begin(data, held_out, start, output, devices="cpu:2", KERAS_BACKEND="tensorflow"))
    return output


@pytest.mark.slow
def test_two_replicas_of_tensorflow_train_as_one_device_does(mirrored, alone):
    assert_alike(mirrored, alone, within=1e-5)


@pytest.mark.slow
def test_a_run_on_two_devices_goes_on_with_one(mirrored, alone, data, held_out, start, tmp_path):
    stopped = tmp_path / "stopped"
    shutil.copytree(mirrored, stopped)
    for name in ("checkpoints/step-00000006", "model"):
        shutil.rmtree(stopped / name)
    (stopped / "summary.json").unlink()
    pretrain(data=data, validation=held_out, init=start, output=str(stopped), settings=SETTINGS, model=MODEL)
    assert_alike(stopped, alone, within=1e-5)


@pytest.mark.slow
def test_eight_devices_of_jax_train_as_one_device_does(data, held_out, start, alone, tmp_path):
    finish(begin(data, held_out, start, tmp_path / "run", devices="cpu:8", KERAS_BACKEND="jax"))
    assert_alike(tmp_path / "run", alone, within=1e-4)


@pytest.mark.slow
def test_two_processes_of_jax_train_as_one_device_does_each_on_its_own_shards(data, held_out, start, alone, tmp_path):
    (port,) = free_ports(1)
    together = {
        "KERAS_BACKEND": "jax",
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{port}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    }
    folders = folders_of_hosts(data, tmp_path, hosts=2)
    processes = [
        begin(
            folder,
            held_out,
            start,
            tmp_path / "run",
            devices="cpu:2",
            KERAS_DISTRIBUTION_PROCESS_ID=str(host),
            **together,
        )
        for host, folder in enumerate(folders)
    ]
    told = finish(*processes)
    assert ["pretrained" in out for out in told] == [True, False], "only the chief tells"
    assert_alike(tmp_path / "run", alone, within=1e-4)


@pytest.mark.slow
def test_two_workers_of_tensorflow_train_as_one_device_does_each_on_its_own_shards(
    data, held_out, start, alone, tmp_path
):
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    folders = folders_of_hosts(data, tmp_path, hosts=2)
    processes = []
    for host, folder in enumerate(folders):
        place = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": host}}
        together = {"KERAS_BACKEND": "tensorflow", "TF_CONFIG": json.dumps(place)}
        processes.append(begin(folder, held_out, start, tmp_path / "run", devices="cpu", **together))
    told = finish(*processes)
    assert ["pretrained" in out for out in told] == [True, False], "only the chief tells"
    assert_alike(tmp_path / "run", alone, within=1e-5)


MANY_PROGRAMS = """
import numpy as np
from xlnet.training.devices import Wanted
from xlnet.training.mesh import take

take(Wanted("cpu", count=8))
import jax

mesh = jax.make_mesh((8,), ("rows",))
rows = jax.sharding.PartitionSpec("rows")

def of_one_device(x):
    for _ in range(6):
        x = jax.numpy.tanh(x @ jax.numpy.ones((64, 64)))
        x += jax.lax.all_gather(x, "rows").sum()
    return x

program = jax.jit(jax.shard_map(of_one_device, mesh=mesh, in_specs=rows, out_specs=rows))
values = jax.device_put(np.ones((1024, 64), "float32"), jax.sharding.NamedSharding(mesh, rows))
for _ in range(3):
    print(len(jax.block_until_ready([program(values) for _ in range(200)])))
"""


@pytest.mark.slow
def test_a_long_queue_of_programs_does_not_lock_up_jax_on_cpus():
    gives_up = "--xla_cpu_collective_call_warn_stuck_timeout_seconds=20 "
    gives_up += "--xla_cpu_collective_call_terminate_timeout_seconds=20"
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path), "XLA_FLAGS": gives_up}
    command = [sys.executable, "-c", MANY_PROGRAMS]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.split() == ["200"] * 3


def test_devices_are_named():
    assert parse("auto") == Wanted("auto")
    assert parse("cpu:8") == Wanted("cpu", count=8)
    assert parse("gpu") == Wanted("gpu")
    assert parse("gpu:0,3") == Wanted("gpu", places=(0, 3))
    assert parse("tpu") == Wanted("tpu")


@pytest.mark.parametrize("text", ["", "cpu:", "cpu:0", "cpu:1,2", "gpu:a", "gpu:1,", "tpu:1", "GPU", "cuda", "cpu "])
def test_what_names_no_devices_is_refused(text):
    with pytest.raises(UserError, match=r"devices is .*, wanted is auto, cpu, cpu:2, gpu, gpu:0,1 or tpu"):
        PretrainingSettings(devices=text)
    with pytest.raises(UserError, match="names a GPU twice"):
        parse("gpu:1,1")


def test_gpus_that_are_not_there_are_named():
    require_places((0, 1), found=2)
    for places, found, line in [
        ((), 0, "none is found on this machine"),
        ((0, 2), 2, "asks for gpu:2, gpu:0 to gpu:1 are on"),
        ((1,), 1, "asks for gpu:1, only gpu:0 is on"),
    ]:
        with pytest.raises(UserError, match=line):
            require_places(places, found=found)


@pytest.mark.parametrize("devices", ["gpu", "gpu:1", "tpu"])
def test_absent_devices_are_one_line(devices, small_data, tmp_path, capfd):
    from xlnet.cli import main

    words = ["--data", small_data, "--output", str(tmp_path / "run"), "--batch-size", "4", "--devices", devices]
    assert main(["pretrain", *words]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: devices asks for a {devices[:3].upper()}")


def test_a_gpu_whose_driver_is_absent_is_one_line_on_jax(small_data, tmp_path):
    plugin = tmp_path / "plugins/jax_plugins/without_driver"  # as that of CUDA is where the driver is not
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text("def initialize():\n    raise RuntimeError('cuInit(0) failed')\n")
    path = os.pathsep.join([str(tmp_path / "plugins"), *sys.path])
    line = _refusal(small_data, tmp_path, devices="gpu", KERAS_BACKEND="jax", PYTHONPATH=path)
    assert line.startswith("error: devices asks for a GPU")


def test_processes_that_are_no_number_are_one_line_on_jax(small_data, tmp_path):
    told = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "127.0.0.1:1", "KERAS_DISTRIBUTION_NUM_PROCESSES": "two"}
    assert _refusal(small_data, tmp_path, devices="cpu:2", KERAS_BACKEND="jax", **told) == (
        "error: the variables KERAS_DISTRIBUTION_... name no processes (invalid literal for int() with base 10: 'two')"
    )


@pytest.mark.parametrize(
    "told",
    ["{", '{"cluster": 3}', '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 7}}'],
)
def test_hosts_that_are_not_told_are_one_line_on_tensorflow(told, small_data, tmp_path):
    line = _refusal(small_data, tmp_path, devices="cpu", KERAS_BACKEND="tensorflow", TF_CONFIG=told)
    assert line.startswith("error: TF_CONFIG does not name hosts and this one")


def _refusal(data, folder, *, devices, **environment):
    """The one line with which pretraining in a process of its own is refused."""
    words = ["--data", data, "--output", str(folder / "run"), "--batch-size", "4", "--devices", devices]
    command = [sys.executable, "-m", "xlnet.cli", "pretrain", *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    return line


def test_a_batch_that_cannot_be_dealt_out_is_refused(small_data):
    from xlnet.training.pretraining_data import TrainingData

    devices = Devices()
    devices.replicas = 4
    with pytest.raises(UserError, match="batch_size is 4, wanted on 4 devices is a multiple of 8"):
        TrainingData(small_data, PretrainingSettings(batch_size=4), devices=devices)


def test_hosts_read_parts_of_the_one_batch(data):
    from xlnet.training.data import training_batches, validation_batches

    manifest = Manifest.read(data)

    def steps(dataset) -> list[dict]:
        return list(dataset.as_numpy_iterator())

    given = {"batch_size": 8, "steps": 2, "seed": 0, "orders": "on-the-fly"}
    whole = steps(training_batches(data, manifest, **given))
    parts = [steps(training_batches(data, manifest, **given, share=Share(host, 2))) for host in range(2)]
    for batch, *shared in zip(whole, *parts, strict=True):
        for name, values in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in shared]), values)
    whole, rows = validation_batches(data, manifest, multiple=6)
    assert rows == 24, "eight slots, and four that fill up"
    parts = [validation_batches(data, manifest, multiple=6, share=Share(host, 2))[0] for host in range(2)]
    for batch, *shared in zip(steps(whole), *map(steps, parts), strict=True):
        np.testing.assert_array_equal(np.concatenate([part["pieces"] for part in shared]), batch["pieces"])
