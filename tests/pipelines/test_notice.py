"""What a webhook is told, by a real server."""

import http.server
import json
import threading

import pytest

from pipelines import notice
from xlnet import storage


@pytest.fixture
def hook(monkeypatch):
    """A webhook with a secret in its address, and what it was told."""
    told = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append(body)
            self.send_response(500 if body["state"] == "BROKEN" else 200)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv(notice.WEBHOOK, f"http://localhost:{server.server_port}/T0/planted-secret")
    yield told
    server.shutdown()
    server.server_close()


def test_a_failed_run_leaves_its_summary_and_the_webhook_is_told(hook, tmp_path, capsys):
    told = notice.summarize(str(tmp_path), "n", title="Nightly", state="FAILED", error="step 'x' failed: no <text>")
    assert notice.post(told)
    assert hook[0]["text"] == "Nightly (n) failed: step 'x' failed: no <text>"
    assert storage.read_json(f"{tmp_path}/runs/n/summary.json") == told
    assert "no &lt;text&gt;" in notice.page(told)
    assert "planted-secret" not in "".join(capsys.readouterr()) + json.dumps(told)


def test_a_run_that_ended_well_says_what_was_decided(tmp_path):
    storage.publish_json(f"{tmp_path}/runs/n/decision.json", {"is_pushed": False, "reason": "worse in verbs"})
    told = notice.summarize(str(tmp_path), "n", title="Nightly", state="SUCCEEDED", error=None)
    assert notice.line(told) == "Nightly (n) succeeded: not pushed, worse in verbs"
    assert not notice.post(told)  # there is none


def test_a_webhook_that_does_not_answer_fails_nothing_and_its_address_stays_secret(hook, monkeypatch, capsys):
    assert not notice.post({"state": "BROKEN", "title": "t", "run": "r", "decision": None, "error": None})
    monkeypatch.setenv(notice.WEBHOOK, "file:///etc/planted-secret")
    assert not notice.post({"state": "X", "title": "t", "run": "r", "decision": None, "error": None})
    monkeypatch.setenv(notice.WEBHOOK, "http://localhost:1/planted-secret")
    assert not notice.post({"state": "X", "title": "t", "run": "r", "decision": None, "error": None})
    printed = capsys.readouterr().out
    assert printed.count("the webhook was not told") == 3
    assert "planted-secret" not in printed


def test_a_damaged_store_does_not_keep_the_summary_from_being_written(tmp_path):
    (tmp_path / "champion.json").write_text('{"version": "gone", "inputs": ""}')
    told = notice.summarize(str(tmp_path), "n", title="Nightly", state="FAILED", error="broken")
    assert "not whole" in told["error"]
    assert (tmp_path / "runs/n/summary.json").exists()
