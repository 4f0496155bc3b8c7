"""A storage service on a port of this machine, and the faults of one that is far away.

It answers what google-cloud-storage and Apache Beam ask of Google Cloud Storage's JSON API; STORAGE_EMULATOR_HOST
names it. With `Faults` it fails as a network does, at random by a seed: also after an object was stored, so that the
client repeats what has already happened.
"""

import contextlib
import email
import email.policy
import json
import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Answer = tuple[int, dict[str, str], bytes]  # status, headers, body
QUANTUM = 256 * 1024  # bytes: a part of a resumable upload is a multiple


@dataclass(frozen=True)
class Faults:
    """How often a request meets what, 0 to 1."""

    unavailable: float = 0  # 503
    throttled: float = 0  # 429
    dropped: float = 0  # no answer, nothing done
    lost: float = 0  # no answer, but done
    cut: float = 0  # half of the answer, and of an upload's part
    halved: float = 0  # half of an upload's part is kept, and this is said
    forgotten: float = 0  # uploads in parts are no longer known
    slow: float = 0  # the answer trickles
    stalled: float = 0  # half of the answer, and then silence for longer than a client waits
    damaged: float = 0  # a bit of an object's content is another one
    seed: int = 0

    def draws(self) -> Iterator[str]:
        """Endlessly the name of a fault, or nothing."""
        random_state = random.Random(self.seed)
        kinds = [entry.name for entry in fields(self) if entry.name != "seed"]
        weights = [getattr(self, kind) for kind in kinds]
        while True:
            yield random_state.choices([*kinds, ""], [*weights, 1 - sum(weights)])[0]


@dataclass
class Session:
    """A resumable upload: what has arrived of it, and the answer once it is complete."""

    bucket: str
    name: str
    query: dict[str, str]
    properties: dict[str, Any]
    content: bytearray = field(default_factory=bytearray)
    stored: Any = None


class Server(ThreadingHTTPServer):
    """The service; `met` counts the faults that it gave, `asked` the requests by method."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, objects: Any, faults: Faults) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects = objects
        self.sessions: dict[str, Session] = {}
        self.met: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.sent = 0  # bytes of answers
        self.silence = 5.0  # seconds of a stall
        self.set(faults.draws())

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def set(self, faults: Iterable[str]) -> None:
        """The faults of the requests to come; none when they end."""
        self._faults = iter(faults)

    def draw(self, method: str) -> str:
        """The fault of the next request."""
        with self.objects.lock:
            fault = next(self._faults, "")
            self.asked[method] += 1
            self.met.update([fault] if fault else [])
            return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients come and go."""


@contextlib.contextmanager
def serving(objects: Any, faults: Faults | None = None) -> Iterator[Server]:
    """The service while the block lasts."""
    with Server(objects, faults or Faults()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms
    server: Server

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _serve(self) -> None:
        body = self._body()
        fault = self.server.draw(self.command)
        if fault in ("unavailable", "throttled"):
            status = 503 if fault == "unavailable" else 429
            return self._send(_error(status, f"{fault}, as is asked for"))
        if fault == "dropped":
            return self._hang_up()
        answer = self._answered(
            self.command, self.path, dict(self.headers.items()), body, is_cut=fault in ("cut", "halved")
        )
        if fault == "lost" or (fault == "cut" and not answer[2]):
            return self._hang_up()
        return self._send(answer, fault)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)

    def _send(self, answer: Answer, fault: str = "") -> None:
        status, headers, body = answer
        if fault == "damaged" and "X-Goog-Hash" in headers:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "slow":
            for start in range(0, len(body), 1 + len(body) // 10):
                self._write(body[start : start + 1 + len(body) // 10])
                time.sleep(0.003)
        elif fault in ("cut", "stalled"):
            self._write(body[: len(body) // 2])
            time.sleep(self.server.silence if fault == "stalled" else 0)
            self._hang_up()
        else:
            self._write(body)

    def _write(self, body: bytes) -> None:
        with self.server.objects.lock:
            self.server.sent += len(body)
        self.wfile.write(body)

    def _answered(self, method: str, target: str, headers: dict[str, str], body: bytes, *, is_cut: bool) -> Answer:
        address = urlsplit(target)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in headers.items()}
        try:
            if address.path == "/batch/storage/v1":
                return self._batch(headers, body)
            if address.path.startswith(("/upload/", "/resumable/upload/")):
                return self._upload(method, address.path, query, headers=headers, body=body, is_cut=is_cut)
            return self._resource(method, address.path, query, headers=headers, body=body)
        except Exception as error:
            status = getattr(error, "status", None)
            if status is None:
                raise
            return _error(status, str(error))

    def _resource(
        self, method: str, path: str, query: dict[str, str], *, headers: dict[str, str], body: bytes
    ) -> Answer:
        objects = self.server.objects
        match [unquote(part) for part in path.removeprefix("/download").removeprefix("/storage/v1/").split("/")]:
            case ["b"] if method == "POST":
                bucket = json.loads(body)["name"]
                objects.buckets.setdefault(bucket, {})
                return _json({"kind": "storage#bucket", "name": bucket, "id": bucket})
            case ["b", bucket]:
                objects.bucket(bucket)
                return _json({"kind": "storage#bucket", "name": bucket, "id": bucket, "projectNumber": "1"})
            case ["b", bucket, "o"]:
                return _json(objects.listed(bucket, query))
            case ["b", bucket, "o", name] if method == "DELETE":
                objects.delete(bucket, name, query)
                return 204, {}, b""
            case ["b", bucket, "o", name] if method == "GET":
                stored = objects.get(bucket, name, query)
                return _media(stored, headers) if query.get("alt") == "media" else _json(stored.resource())
            case ["b", bucket, "o", name, "compose"]:
                parts = [part["name"] for part in json.loads(body)["sourceObjects"]]
                return _json(objects.compose(bucket, name, query, parts=parts).resource())
            case ["b", bucket, "o", name, "rewriteTo" | "copyTo" as kind, "b", other, "o", new]:
                source = objects.get(bucket, name, {"generation": query.get("sourceGeneration")})
                stored = objects.insert(other, new, query, content=source.content, properties=source.properties)
                size = str(len(stored.content))
                done = {"done": True, "objectSize": size, "totalBytesRewritten": size, "resource": stored.resource()}
                return _json(stored.resource() if kind == "copyTo" else done)
        return _error(501, f"{method} {path} is not played")

    def _upload(
        self, method: str, path: str, query: dict[str, str], *, headers: dict[str, str], body: bytes, is_cut: bool
    ) -> Answer:
        if "upload_id" in query:
            return self._continue(query["upload_id"], headers=headers, body=body, is_cut=is_cut)
        bucket = unquote(path.split("/b/")[1].split("/")[0])
        properties: dict[str, Any] = {}
        content = body
        if query["uploadType"] == "multipart":
            properties, content = _parts(headers["content-type"], body)
        elif query["uploadType"] == "resumable":
            properties = json.loads(body or b"{}")
        name = properties.get("name") or query["name"]
        if query["uploadType"] != "resumable":
            stored = self.server.objects.insert(bucket, name, query, content=content, properties=properties)
            return _json(stored.resource())
        self.server.objects.require(bucket, name, query)
        key = uuid.uuid4().hex
        self.server.sessions[key] = Session(bucket, name, query, properties)
        return 200, {"Location": f"{self.server.address}{path}?uploadType=resumable&upload_id={key}"}, b""

    def _continue(self, key: str, *, headers: dict[str, str], body: bytes, is_cut: bool) -> Answer:
        """A part of a resumable upload; bytes that are already here are sent in vain."""
        session = self.server.sessions.get(key)
        if session is None:
            return _error(410, "this upload is gone")
        with self.server.objects.lock:
            found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("content-range", "bytes 0-0/*"))
            assert found is not None
            start = int(found[1] or 0)
            if session.stored is None:
                if found[1] is not None and start > len(session.content):
                    return _error(400, f"bytes from {start} on were sent, {len(session.content)} are here")
                arrived = body[: len(body) // 2 // QUANTUM * QUANTUM] if is_cut else body
                session.content += arrived[len(session.content) - start :]
                if found[2] != "*" and len(session.content) == int(found[2]):
                    hashes = dict(part.split("=", 1) for part in headers.get("x-goog-hash", "").split(",") if part)
                    sent = {"crc32c": hashes.get("crc32c"), "md5Hash": hashes.get("md5")}
                    properties = session.properties | {name: value for name, value in sent.items() if value}
                    session.stored = self.server.objects.insert(
                        session.bucket,
                        session.name,
                        session.query,
                        content=bytes(session.content),
                        properties=properties,
                    )
            if session.stored is not None:
                return _json(session.stored.resource())
            last = len(session.content) - 1
            return 308, {"Range": f"bytes=0-{last}"} if last >= 0 else {}, b""

    def _batch(self, headers: dict[str, str], body: bytes) -> Answer:
        """Several requests in one."""
        whole = email.message_from_bytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
        answers = []
        for part in whole.get_payload():
            head, _, rest = part.get_payload(decode=True).decode().partition("\n")
            method, target, *_ = head.split()
            inner = email.message_from_string(rest)
            status, _, content = self._answered(
                method, target, dict(inner.items()), inner.get_payload().encode(), is_cut=False
            )
            head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            answers.append(b"--part\r\nContent-Type: application/http\r\n\r\n" + head.encode() + content + b"\r\n")
        return 200, {"Content-Type": "multipart/mixed; boundary=part"}, b"".join(answers) + b"--part--\r\n"


def _parts(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The properties and the content of an upload in one request."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    assert boundary is not None
    _, first, second, _ = body.split(b"--" + boundary[1].encode(), 3)
    properties = json.loads(first.split(b"\r\n\r\n", 1)[1])
    head, content = second.split(b"\r\n\r\n", 1)
    kind = email.message_from_bytes(head.strip(), policy=email.policy.HTTP).get_content_type()
    return {"contentType": kind, **properties}, content.removesuffix(b"\r\n")


def _media(stored: Any, headers: dict[str, str]) -> Answer:
    """An object's content, or the range of it that is asked for."""
    about = {
        "Content-Type": stored.resource()["contentType"],
        "ETag": f'"{stored.md5}"',
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Metageneration": str(stored.metageneration),
        "X-Goog-Hash": f"crc32c={stored.crc32c},md5={stored.md5}",
        "X-Goog-Stored-Content-Encoding": stored.properties.get("contentEncoding", "identity"),
        "X-Goog-Stored-Content-Length": str(len(stored.content)),
    }
    if "contentEncoding" in stored.properties:
        about["Content-Encoding"] = stored.properties["contentEncoding"]
    size = len(stored.content)
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", ""))
    if found is None:
        return 200, about, stored.content
    start = int(found[1]) if found[1] else size - int(found[2])
    stop = min(int(found[2]) + 1, size) if found[1] and found[2] else size
    if start >= size:
        return _error(416, f"of {size} bytes none is at {start}")
    return 206, about | {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}, stored.content[start:stop]


def _json(content: dict[str, Any]) -> Answer:
    return 200, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(content).encode()


def _error(status: int, message: str) -> Answer:
    _, headers, body = _json({"error": {"code": status, "message": message, "errors": [{"message": message}]}})
    return status, headers, body
