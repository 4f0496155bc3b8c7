"""Google Cloud Dataflow's job service on a port of this machine: it takes jobs, and its jobs go the way they are told.

It answers what Beam's client asks: create, list, get, update, messages, metrics. It proves a submission, not a worker;
`during` may do a worker's work meanwhile.
"""

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

OVER = ("DONE", "FAILED", "CANCELLED")
PATH = re.compile(r"/v1b3/projects/([^/]+)/locations/([^/]+)/jobs(?:/([^/:]+))?(?:/(messages|metrics))?")


@dataclass
class Job:
    """A job: what was posted, and the states that it has still to go through, one a look."""

    id: str
    posted: dict[str, Any]
    states: list[str]

    @property
    def state(self) -> str:
        return self.states[0]

    def resource(self) -> dict[str, Any]:
        named = {name: self.posted[name] for name in ("name", "labels", "clientRequestId") if name in self.posted}
        return {"id": self.id, "projectId": "test-project", "currentState": f"JOB_STATE_{self.state}", **named}


@dataclass
class Service:
    """What the service holds, and how it is to behave."""

    states: Sequence[str] = ("PENDING", "RUNNING", "DONE")
    errors: Sequence[str] = ()
    counters: dict[str, int] = field(default_factory=dict)
    during: Callable[[Job], None] = lambda job: None  # when a job is looked at while it runs
    hidden: int = 0  # lists that do not show a job that is there, as happens right after it was created
    lost: int = 0  # answers to a creation that get lost
    refusal: tuple[int, str] | None = None  # of every request
    jobs: list[Job] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def active(self, name: str) -> Job | None:
        return next((job for job in self.jobs if job.posted["name"] == name and job.state not in OVER), None)

    def start(self, posted: dict[str, Any]) -> Job:
        self.jobs.append(Job(f"job-{len(self.jobs) + 1}", posted, list(self.states)))
        return self.jobs[-1]

    def create(self, posted: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        job = self.active(posted["name"])
        if job is not None and job.posted.get("clientRequestId") != posted.get("clientRequestId"):
            return 409, _error(409, f"(1a2b): There is already an active job named {posted['name']}.")
        job = job or self.start(posted)
        if self.lost:
            self.lost -= 1
            return 0, {}
        return 200, job.resource()

    def listed(self, query: dict[str, list[str]]) -> dict[str, Any]:
        wanted = query.get("filter", [""])[0] in ("3", "ACTIVE")
        name = query.get("name", [None])[0]
        found = [job for job in self.jobs if name in (None, job.posted["name"]) and not (wanted and job.state in OVER)]
        if found and self.hidden:
            self.hidden -= 1
            found = []
        return {"jobs": [job.resource() for job in found]}

    def looked_at(self, job: Job) -> dict[str, Any]:
        if job.state == "RUNNING":
            self.during(job)
        resource = job.resource()
        if len(job.states) > 1:
            job.states.pop(0)
        return resource

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
        address = urlsplit(target)
        found = PATH.fullmatch(address.path)
        if found is None:
            return 404, _error(404, f"no such place: {address.path}")
        self.asked.append(method if found[3] is None else f"{method} {found[4] or 'job'}")
        if self.refusal is not None:
            return self.refusal[0], _error(*self.refusal)
        if found[3] is None:
            return self.create(json.loads(body)) if method == "POST" else (200, self.listed(parse_qs(address.query)))
        job = next(job for job in self.jobs if job.id == found[3])
        if method == "PUT":
            job.states[:] = ["CANCELLING", "CANCELLED"]
        elif found[4] == "messages":
            return 200, {"jobMessages": [_message(number, text) for number, text in enumerate(self.errors)]}
        elif found[4] == "metrics":
            return 200, {"metrics": [_metric(name, count) for name, count in self.counters.items()]}
        return 200, self.looked_at(job)


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message}}


def _message(number: int, text: str) -> dict[str, Any]:
    moment = f"2026-11-21T00:00:{number:02d}Z"
    return {"id": str(number), "time": moment, "messageText": text, "messageImportance": "JOB_MESSAGE_ERROR"}


def _metric(name: str, count: int) -> dict[str, Any]:
    context = {"namespace": "preprocess", "step": "s1"}
    return {"name": {"origin": "user", "name": name, "context": context}, "scalar": count}


class Handler(BaseHTTPRequestHandler):
    """One connection: also asked for an access token, as a service account's key file may say."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            if self.path == "/token":
                status, answer = 200, {"access_token": "a", "expires_in": 3600, "token_type": "Bearer"}
            else:
                status, answer = self.server.service.answer(self.command, self.path, body)
        if status == 0:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _serve


@contextlib.contextmanager
def serving(service: Service) -> Iterator[str]:
    """The service's address while the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.service, server.lock = service, threading.RLock()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
