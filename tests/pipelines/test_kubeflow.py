"""`xlnet pipeline submit` and what goes with it, over HTTP, against a server that knows Kubeflow's models."""

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

from pipelines import compiling, kubeflow
from xlnet.cli import main

ROOT = Path(kubeflow.__file__).resolve().parent.parent
PARAMETERS = {
    "corpus": ["books=gs://b/text/*.txt:2"],
    "heldout": ["gs://b/heldout.txt"],
    "tasks": [{"name": "verbs", "train": "gs://b/train.tsv", "dev": "gs://b/dev.tsv"}],
    "config": "vocabulary: {size: 400}\n",
    "store": "gs://b/store",
}


@pytest.fixture(scope="module")
def server():
    path = Path(__file__).parent.parent / "kubeflow_server.py"
    spec = importlib.util.spec_from_file_location("kubeflow_server", path)
    sys.modules["kubeflow_server"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def specification():
    """Compiling takes a while; these tests are of what is sent."""
    from pipelines.cluster import read

    return compiling.documents(compiling.placed("kubeflow", read(str(ROOT / "configs/cluster.yaml"))))


@pytest.fixture
def service(server, specification, monkeypatch, tmp_path):
    monkeypatch.setattr(kubeflow.compiling, "placed", lambda target, cluster: None)
    monkeypatch.setattr(kubeflow.compiling, "documents", lambda pipeline: specification)
    monkeypatch.delenv(kubeflow.TOKEN, raising=False)
    service = server.Service()
    with server.serving(service) as address:
        monkeypatch.setenv(kubeflow.HOST, address)
        yield service


@pytest.fixture
def parameters(tmp_path):
    (tmp_path / "parameters.yaml").write_text(yaml.safe_dump(PARAMETERS))
    return ["--parameters", str(tmp_path / "parameters.yaml"), "--cluster", str(ROOT / "configs/cluster.yaml")]


def posts(service, kind):
    return service.asked.count(("POST", f"/apis/v2beta1/{kind}"))


def test_a_run_is_submitted_as_kubeflow_s_models_have_it(service, parameters, capsys, monkeypatch):
    monkeypatch.setenv(kubeflow.TOKEN, "planted-token")
    assert main(["pipeline", "submit", "--name", "nightly", *parameters, "--pipeline-root", "gs://b/root"]) == 0
    (run,) = service.runs
    assert (run["display_name"], run["service_account"], run["experiment_id"]) == ("nightly", "xlnet-pipeline", "e0")
    assert run["runtime_config"] == {"parameters": PARAMETERS, "pipeline_root": "gs://b/root"}
    executors = run["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-pretrain"]["nodeSelector"]["labels"]["cloud.google.com/gke-spot"] == "true"
    assert service.tokens[-1] == "Bearer planted-token"
    told = "".join(capsys.readouterr())
    assert "run nightly (runs-" in told
    assert "planted-token" not in told + str(service.runs)


def test_a_run_of_a_name_is_submitted_once(service, parameters, capsys):
    for _ in range(2):
        assert main(["pipeline", "submit", "--name", "nightly", *parameters]) == 0
    assert posts(service, "runs") == 1
    assert "it was there already" in capsys.readouterr().out
    service.runs[0]["state"] = "SUCCEEDED"
    assert main(["pipeline", "submit", "--name", "nightly", *parameters]) == 0
    assert posts(service, "runs") == 1
    service.runs[0]["state"] = "FAILED"
    assert main(["pipeline", "submit", "--name", "nightly", *parameters]) == 0
    assert posts(service, "runs") == 2


def test_a_submission_whose_answer_was_lost_is_found_by_the_next(service, parameters, capsys):
    service.lost = True
    assert main(["pipeline", "submit", "--name", "nightly", *parameters]) == 2
    assert "Kubeflow cannot be reached" in capsys.readouterr().err
    assert main(["pipeline", "submit", "--name", "nightly", *parameters]) == 0
    assert len(service.runs) == 1


def test_a_schedule_is_made_without_catching_up_one_at_a_time_and_skips_what_is_unchanged(service, parameters):
    assert main(["pipeline", "schedule", "--name", "weekly", "--cron", "0 3 * * 1", *parameters]) == 0
    (plan,) = service.schedules
    assert plan["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert (plan["no_catchup"], plan["max_concurrency"], plan["mode"]) == (True, "1", "ENABLE")
    assert plan["runtime_config"]["parameters"] == PARAMETERS | {"skip_unchanged": True}
    words = ["--cron", "30 0 3 * * 1", "--catch-up", "--max-concurrency", "3", "--even-unchanged", *parameters]
    assert main(["pipeline", "schedule", "--name", "other", *words]) == 0
    plan = service.schedules[1]
    assert (plan["no_catchup"], plan["max_concurrency"]) == (False, "3")
    assert plan["runtime_config"]["parameters"]["skip_unchanged"] is False


def test_a_schedule_that_says_the_same_stays_and_another_takes_its_place(service, parameters, capsys):
    words = ["pipeline", "schedule", "--name", "weekly", *parameters, "--cron"]
    assert main([*words, "0 3 * * 1"]) == 0
    first = service.schedules[0]["recurring_run_id"]
    assert main([*words, "0 3 * * 1"]) == 0
    assert [plan["recurring_run_id"] for plan in service.schedules] == [first]
    assert "stands already" in capsys.readouterr().out
    assert main([*words, "0 4 * * 1"]) == 0
    assert [plan["trigger"]["cron_schedule"]["cron"] for plan in service.schedules] == ["0 0 4 * * 1"]
    order = [path.rpartition("/")[2] for method, path in service.asked if method in ("POST", "DELETE")]
    assert order[-3:] == [f"{first}:disable", "recurringruns", first]


def test_a_schedule_rests_goes_on_and_ends(service, parameters):
    main(["pipeline", "schedule", "--name", "weekly", "--cron", "0 3 * * 1", *parameters])
    for change, status in (("pause", "DISABLED"), ("resume", "ENABLED")):
        assert main(["pipeline", "schedule", "--name", "weekly", f"--{change}"]) == 0
        assert service.schedules[0]["status"] == status
    assert main(["pipeline", "schedule", "--name", "weekly", "--remove"]) == 0
    assert service.schedules == []


@pytest.fixture
def going(service, parameters):
    main(["pipeline", "submit", "--name", "nightly", *parameters])
    service.runs[0]["run_details"] = {
        "task_details": [
            {"display_name": "root", "state": "RUNNING"},
            {
                "display_name": "pretrain",
                "state": "RUNNING",
                "start_time": "2026-11-25T02:00:00Z",
                "child_tasks": [{"pod_name": "pod-3"}, {"pod_name": "pod-4"}],
            },
            {
                "display_name": "preprocess",
                "state": "FAILED",
                "start_time": "2026-11-25T01:00:00Z",
                "child_tasks": [{"pod_name": "pod-1"}],
                "error": {"message": "no file matches 'x'"},
            },
        ]
    }
    service.logs = {"pod-1": "error: no file matches 'x'\n", "pod-3": "preempted\n", "pod-4": "step 7\n"}
    return service


def test_the_state_of_a_run_is_told_step_by_step(going, capsys):
    capsys.readouterr()
    assert main(["pipeline", "status", "nightly"]) == 0
    told = capsys.readouterr().out
    assert told.index("preprocess") < told.index("pretrain")
    assert "FAILED no file matches 'x'" in told
    assert "root" not in told


def test_the_logs_are_those_of_every_attempt_of_every_step(going, capsys):
    capsys.readouterr()
    assert main(["pipeline", "logs", "nightly"]) == 0
    wanted = "== preprocess\nerror: no file matches 'x'\n== pretrain\npreempted\n== pretrain\nstep 7\n"
    assert capsys.readouterr().out == wanted
    assert main(["pipeline", "logs", "nightly", "--step", "preprocess"]) == 0
    assert capsys.readouterr().out == "== preprocess\nerror: no file matches 'x'\n"
    assert main(["pipeline", "logs", "nightly", "--step", "evaluate"]) == 2
    assert "there are preprocess, pretrain" in capsys.readouterr().err


def test_a_run_is_cancelled_once_and_one_that_has_ended_stays_as_it_is(going, capsys):
    assert main(["pipeline", "cancel", "nightly"]) == 0
    assert going.runs[0]["state"] == "CANCELING"
    going.runs[0]["state"] = "SUCCEEDED"
    assert main(["pipeline", "cancel", "nightly"]) == 0
    assert going.runs[0]["state"] == "SUCCEEDED"


def test_every_run_is_listed_also_those_on_the_next_page(service, parameters, capsys):
    for number in range(5):
        main(["pipeline", "submit", "--name", f"run {number}", *parameters])
    main(["pipeline", "schedule", "--name", "weekly", "--cron", "0 3 * * 1", *parameters])
    capsys.readouterr()
    assert main(["pipeline", "list"]) == 0
    told = capsys.readouterr().out
    assert all(f"run {number} (" in told for number in range(5))
    assert "ENABLED 0 0 3 * * 1" in told


@pytest.mark.parametrize("words", [["list"], ["status", "nightly"], ["logs", "nightly"]])
def test_who_only_looks_makes_no_experiment(service, words, capsys):
    main(["pipeline", *words, "--experiment", "mistyped"])
    assert service.experiments == []


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ((401, {}), "it wants credentials: set KF_PIPELINES_TOKEN"),
        ((403, {}), "these credentials may not do that"),
        ((500, {"error_message": "the database\nis gone"}), "Kubeflow refuses (500): the database is gone"),
    ],
)
def test_a_refusal_is_one_line(service, parameters, capsys, refusal, told):
    service.refusal = refusal
    assert main(["pipeline", "submit", "--name", "nightly", *parameters]) == 2
    line = capsys.readouterr().err
    assert told in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status", "none"], "there is no run 'none'; xlnet pipeline list names them"),
        (["schedule", "--name", "none", "--pause"], "there is no schedule 'none'"),
        (["schedule", "--name", "weekly", "--pause", "--cron", "x"], "there is no schedule 'weekly'"),
        (["schedule", "--name", "weekly"], "--cron is missing"),
        (["status", "x", "--host", "localhost:80"], "the host is 'localhost:80'"),
        (["status", "x", "--host", "http://localhost:9"], "Kubeflow cannot be reached"),
        (["list", "--experiment", "a/../b"], "the experiment is 'a/../b'"),
    ],
)
def test_what_is_wrong_is_one_line(service, capsys, monkeypatch, words, told):
    monkeypatch.setattr(kubeflow.urllib3, "Retry", lambda *words, **options: False)
    assert main(["pipeline", *words]) == 2
    line = capsys.readouterr().err
    assert told in line
    assert line.count("\n") == 1


def test_local_paths_and_unknown_parameters_are_refused(service, tmp_path, capsys):
    for change, told in (
        ({"heldout": ["here.txt"]}, "here.txt is on this machine"),
        ({"titel": "x"}, "the parameter titel is 'x'"),
        ({"workers": "many"}, "the parameter workers is 'many'"),
    ):
        (tmp_path / "p.yaml").write_text(yaml.safe_dump(PARAMETERS | change))
        assert main(["pipeline", "submit", "--name", "n", "--parameters", str(tmp_path / "p.yaml")]) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "cron"),
    [("0 3 * * 1", "0 0 3 * * 1"), ("*/15 * * * *", "0 */15 * * * *"), ("30 0 3 ? * MON-FRI", "30 0 3 ? * MON-FRI")],
)
def test_a_cron_expression_gets_its_seconds(text, cron):
    assert kubeflow.cron_of(text) == cron


@pytest.mark.parametrize(
    "text", ["", "daily", "60 3 * * 1", "0 24 * * 1", "0 3 * *", "0 3 * * 1; rm -rf /", "0 5-3 * * *"]
)
def test_what_is_no_cron_expression_is_refused(text):
    with pytest.raises(kubeflow.UserError, match="cron is"):
        kubeflow.cron_of(text)


def test_the_server_of_these_tests_refuses_what_the_models_do_not_have(server):
    server.check({"display_name": "x", "runtime_config": {"parameters": {"a": 1}}}, "V2beta1Run")
    for wrong in ({"displayName": "x"}, {"display_name": 3}, {"runtime_config": {"parameter": {}}}, {"state": "GONE"}):
        with pytest.raises(ValueError, match="body"):
            server.check(wrong, "V2beta1Run")
