"""Pipelines of steps that take a moment, run as the whole chain is run."""

import io
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Dict, List, NamedTuple  # noqa: UP035  (as Kubeflow's compiler wants them)

import pytest
from kfp import dsl

from pipelines import launchers, local
from pipelines.attempts import StepFailed
from xlnet.errors import UserError

step = dsl.component(base_image="example/steps:1", install_kfp_package=False)


@step
def count(folder: str, name: str, fails: int, code: int = 1) -> int:
    """Fails so many times; every start is a line of a file."""
    import sys

    with open(f"{folder}/{name}", "a") as stream:
        stream.write("started\n")
    starts = len(open(f"{folder}/{name}").readlines())  # noqa: SIM115
    if starts <= fails:
        print(f"error: not yet, {starts}")
        sys.exit(code)
    return starts


@step
def resume(seconds: float, made: dsl.Output[dsl.Model]):
    """Counts to ten into its output, and goes on where it was stopped."""
    import os
    import time

    os.makedirs(made.path, exist_ok=True)
    steps = f"{made.path}/steps"
    begin = len(open(steps).readlines()) if os.path.exists(steps) else 0  # noqa: SIM115
    for number in range(begin, 10):
        with open(steps, "a") as stream:
            stream.write(f"{number} by {os.getpid()}\n")
        if number == 4 and not begin:
            with open(f"{made.path}/pid", "w") as stream:
                stream.write(str(os.getpid()))
            time.sleep(seconds)


@step
def vanish(made: dsl.Output[dsl.Model]):
    """Ends with exit code 0 and nothing to show, as a container that was lost can."""
    import os

    os._exit(0)


@step
def forget(made: dsl.Output[dsl.Model], metrics: dsl.Output[dsl.Metrics]):
    """Ends well, and has not written what it was to write."""
    metrics.log_metric("loss", 1.0)


@step
def tell(status: dsl.PipelineTaskFinalStatus, path: str):
    """An exit handler."""
    with open(path, "w") as stream:
        stream.write(f"{status.state}: {status.error_message}")


@step
def write(value: Dict, made: dsl.Output[dsl.Dataset]) -> NamedTuple("Outputs", [("size", int), ("large", bool)]):  # noqa: UP006
    """Writes a value."""
    import json
    from typing import NamedTuple

    with open(made.path, "w") as stream:
        json.dump(value, stream)
    made.metadata["size"] = value["size"]
    return NamedTuple("Outputs", [("size", int), ("large", bool)])(value["size"], value["size"] > 10)


@step
def total(parts: dsl.Input[List[dsl.Dataset]], job: str) -> str:  # noqa: UP006
    """Reads what a loop wrote."""
    import json

    values = [json.load(open(part.path)) for part in parts]  # noqa: SIM115
    return f"{job}: {sum(value['size'] for value in values)} {[part.metadata['size'] for part in parts]}"


def run(pipeline, folder, parameters, **options):
    return local.execute(pipeline, parameters, str(folder), **options)


def lines(path):
    return Path(path).read_text().splitlines()


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(local, "WAIT", 0.01)


@dsl.pipeline
def twice(folder: str, fails: int, code: int = 1) -> int:
    return count(folder=folder, name="tries", fails=fails, code=code).set_retry(2, backoff_duration="60s").output


def test_a_step_that_fails_twice_is_tried_again_and_succeeds(tmp_path, capsys):
    found, engine = run(twice, tmp_path / "run", {"folder": str(tmp_path), "fails": 2})
    assert found.parameters == {"Output": 3}
    assert len(lines(tmp_path / "tries")) == 3
    assert engine.ran == ["count"]
    assert "attempt 2 of 3 failed: not yet, 2" in capsys.readouterr().out


def test_a_step_that_fails_each_time_ends_the_run_with_its_own_words(tmp_path):
    with pytest.raises(UserError, match=r"^step 'count' failed: not yet, 3$"):
        run(twice, tmp_path / "run", {"folder": str(tmp_path), "fails": 9})
    assert len(lines(tmp_path / "tries")) == 3


def test_what_a_user_must_mend_is_not_tried_again(tmp_path):
    with pytest.raises(UserError, match=r"not yet, 1$"):
        run(twice, tmp_path / "run", {"folder": str(tmp_path), "fails": 9, "code": 2})
    assert len(lines(tmp_path / "tries")) == 1


def test_a_step_that_is_killed_goes_on_from_what_it_had(tmp_path):
    @dsl.pipeline
    def pipeline() -> dsl.Model:
        return resume(seconds=60.0).set_retry(1).outputs["made"]

    pid = tmp_path / "run/steps/resume/made/pid"

    def kill():
        until = time.monotonic() + 60
        while not pid.exists() or not pid.read_text():
            assert time.monotonic() < until
            time.sleep(0.01)
        os.kill(int(pid.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    found, _ = run(pipeline, tmp_path / "run", {})
    killer.join()
    steps = [line.split(" by ") for line in lines(Path(found.artifacts["Output"][0]["uri"]) / "steps")]
    assert [int(number) for number, _ in steps] == list(range(10))
    assert len({process for _, process in steps}) == 2


def test_a_step_that_takes_too_long_is_ended_and_named(tmp_path):
    container = {"command": ["sh", "-ec", "sleep 60 # kfp.dsl.executor_main"], "image": "none"}
    ended = launchers.Processes().run("slow", container, {}, limit=0.2, listen=print)
    assert ended.timed_out
    assert ended.code != 0


def test_a_step_that_ends_well_without_its_outputs_has_failed(tmp_path):
    @dsl.pipeline
    def pipeline():
        vanish()

    with pytest.raises(UserError, match="step 'vanish' failed: it ended as if well, but the record of its outputs is"):
        run(pipeline, tmp_path / "run", {})


def test_a_step_that_ends_well_without_its_file_has_failed(tmp_path):
    @dsl.pipeline
    def pipeline():
        forget()

    with pytest.raises(
        UserError, match="step 'forget' failed: it ended as if well, but its output 'made' is not there"
    ):
        run(pipeline, tmp_path / "run", {})


def test_a_run_that_is_stopped_ends_its_steps_and_tells_its_exit_handler(tmp_path):
    @dsl.pipeline
    def pipeline(folder: str):
        with dsl.ExitHandler(tell(path=f"{folder}/told")):
            resume(seconds=600.0).set_retry(3)

    pid = tmp_path / "run/steps/resume/made/pid"

    def stop():
        until = time.monotonic() + 60
        while not pid.exists() or not pid.read_text():
            assert time.monotonic() < until
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(KeyboardInterrupt):
        run(pipeline, tmp_path / "run", {"folder": str(tmp_path)})
    stopper.join()
    assert (tmp_path / "told").read_text() == "FAILED: the run was stopped"
    status = Path(f"/proc/{pid.read_text()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()  # nobody may have asked yet how it ended


@pytest.mark.parametrize(("fails", "told"), [(0, "SUCCEEDED: None"), (9, "FAILED: step 'count' failed: not yet, 1")])
def test_the_exit_handler_runs_whatever_happened_and_is_told(tmp_path, fails, told):
    @dsl.pipeline
    def pipeline(folder: str, fails: int):
        last = tell(path=f"{folder}/told")
        with dsl.ExitHandler(last):
            first = count(folder=folder, name="first", fails=fails)
            count(folder=folder, name="second", fails=0).after(first)

    if fails:
        with pytest.raises(StepFailed):
            run(pipeline, tmp_path / "run", {"folder": str(tmp_path), "fails": fails})
    else:
        run(pipeline, tmp_path / "run", {"folder": str(tmp_path), "fails": fails})
    assert (tmp_path / "told").read_text() == told
    assert (tmp_path / "second").exists() == (not fails)


@dsl.pipeline
def gathered(values: List[Dict], wanted: bool):  # noqa: UP006
    first = write(value={"size": 11})
    with dsl.If(first.outputs["large"] == wanted, name="wanted"):
        with dsl.ParallelFor(values, name="each") as value:
            written = write(value=value)
        total(parts=dsl.Collected(written.outputs["made"]), job=dsl.PIPELINE_JOB_NAME_PLACEHOLDER)


VALUES = [{"size": 1, "name": "it's; $(touch x) `y`"}, {"size": 2, "name": "b"}]


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_loop_runs_once_an_item_and_what_follows_reads_all_of_it(tmp_path, parallel):
    _, engine = run(gathered, tmp_path / "run", {"values": VALUES, "wanted": True}, parallel=parallel, name="nightly")
    assert sorted(engine.ran) == ["total", "write", "write-2.0", "write-2.1"]
    told = json.loads((tmp_path / "run/steps/total/executor_output.json").read_text())
    assert told["parameterValues"] == {"Output": "nightly: 3 [1, 2]"}


def test_what_hangs_on_a_condition_that_does_not_hold_does_not_run(tmp_path):
    _, engine = run(gathered, tmp_path / "run", {"values": VALUES, "wanted": False})
    assert engine.ran == ["write"]


def test_a_run_whose_steps_are_cached_starts_none_of_them(tmp_path, capsys):
    cache = str(tmp_path / "cache")
    run(gathered, tmp_path / "one", {"values": VALUES, "wanted": True}, cache=cache, name="n")
    _, engine = run(gathered, tmp_path / "two", {"values": VALUES, "wanted": True}, cache=cache, name="n")
    assert sorted(engine.attempts.reused) == sorted(engine.ran) == ["total", "write", "write-2.0", "write-2.1"]
    assert not (tmp_path / "two/steps").exists()
    _, engine = run(gathered, tmp_path / "three", {"values": VALUES[:1], "wanted": True}, cache=cache, name="n")
    assert sorted(engine.attempts.reused) == ["write", "write-2.0"]  # `total` reads something else


def test_a_step_without_caching_and_one_whose_output_has_gone_run_again(tmp_path):
    @dsl.pipeline
    def pipeline(folder: str):
        count(folder=folder, name="uncached", fails=0).set_caching_options(False)
        write(value={"size": 3})

    cache, parameters = str(tmp_path / "cache"), {"folder": str(tmp_path)}
    run(pipeline, tmp_path / "one", parameters, cache=cache)
    (tmp_path / "one/steps/write/made").unlink()
    _, engine = run(pipeline, tmp_path / "two", parameters, cache=cache)
    assert engine.attempts.reused == []
    assert len(lines(tmp_path / "uncached")) == 2


def test_a_parameter_that_is_unknown_or_missing_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no parameter 'fail'; did you mean 'fails'\?"):
        run(twice, tmp_path / "one", {"folder": str(tmp_path), "fail": 1})
    with pytest.raises(UserError, match="parameter 'fails' is missing"):
        run(twice, tmp_path / "two", {"folder": str(tmp_path)})


DOCKER = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
  run) echo "error: killed by the kernel"; exit 0;;
  inspect) echo {code};;
esac
"""


@pytest.mark.parametrize(("code", "wanted"), [("137", 137), ("", 125), ("0", 0)])
def test_a_container_s_own_exit_code_counts_and_its_entry_point_does_not(tmp_path, monkeypatch, code, wanted):
    (tmp_path / "docker").write_text(DOCKER.format(log=tmp_path / "log", code=code))
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    container = {"image": "example/steps@sha256:1", "command": ["sh", "-c", "true"], "args": ["{{$}}"]}
    listened = []
    launcher = launchers.Containers(["/shared"], mounts=["/text"])
    made = [{"uri": "/shared/steps/a/made"}, {"uri": "/before/steps/b/made"}, {"uri": "gs://b/made"}]
    told = {"inputs": {"artifacts": {"parts": {"artifacts": made}}}}
    ended = launcher.run("count.0", container, told, limit=None, listen=listened.append)
    assert (ended.code, listened) == (wanted, ["error: killed by the kernel"])
    started, asked, removed = lines(tmp_path / "log")
    for words in (
        "--entrypoint sh",
        "--read-only",
        "--cap-drop ALL",
        "--network none",
        "--volume=/text:/text:ro",
        "--volume=/shared:/shared ",
    ):
        assert words in started
    assert "--volume=/before/steps/b:/before/steps/b:ro" in started
    assert started.count("--volume") == 3
    assert started.endswith(f"example/steps@sha256:1 -c true {json.dumps(told)}")
    assert asked.startswith("inspect")
    assert removed.startswith("rm --force xlnet-count-0-")


def test_a_machine_on_which_no_container_can_start_is_told_so_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no docker on the PATH"):
        local.execute(None, {}, str(tmp_path / "run"), runner="docker")
    (tmp_path / "docker").write_text("#!/bin/sh\necho Cannot connect to the Docker daemon >&2\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    with pytest.raises(UserError, match=r"^--runner docker: Cannot connect to the Docker daemon$"):
        local.execute(None, {}, str(tmp_path / "run"), runner="docker")
    assert not (tmp_path / "run").exists()


def test_no_step_at_a_time_and_a_cache_that_is_a_file_are_refused_before_anything_runs(tmp_path):
    (tmp_path / "file").touch()
    for wrong, told in (({"parallel": 0}, "parallel is 0"), ({"cache": str(tmp_path / "file")}, "file is a file")):
        with pytest.raises(UserError, match=told):
            local.execute(None, {}, str(tmp_path / "run"), **wrong)
    assert not (tmp_path / "run").exists()


def test_containers_see_the_folders_of_the_paths_that_they_are_given(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b/c").mkdir(parents=True)
    told = {
        "corpus": [f"books={tmp_path}/a/*.txt:2", "gs://b/x/*.txt", f"{tmp_path}/missing/x.txt"],
        "tasks": [{"name": "x", "train": f"{tmp_path}/b/c/train.tsv"}],
        "config": "/etc: {}\n",
        "workers": 2,
    }
    assert local._folders(told) == [f"{tmp_path}/a", f"{tmp_path}/b/c"]


def test_the_log_of_attempts_reads_in_order():
    terminal, log = io.StringIO(), io.StringIO()
    console = local.Console(terminal, log)
    console.began("a")
    console.said("a", "INFO something")
    console.said("a", "error: it broke")
    console.ended("a", 1.0)
    assert terminal.getvalue() == "a\n    error: it broke\n    done in 0:01\n"
    assert log.getvalue() == "step 'a' begins\nINFO something\nerror: it broke\nstep 'a' done in 1.0 s\n"
