"""Kubeflow's API server as far as a client sees it; it takes what kfp-server-api's own models describe, and no more."""

import contextlib
import datetime
import http.server
import json
import re
import threading
import urllib.parse

import kfp_server_api as api

SIMPLE = {"str": str, "bool": bool, "int": int, "object": object, "float": float}


def check(value, kind, where="body"):
    """Raises ValueError where a value is not what a model's type says; a field that it does not have is wrong."""
    if value is None or kind == "object":
        return
    if kind.startswith("list["):
        for item in value:
            check(item, kind[5:-1], where)
    elif kind.startswith("dict("):
        for key, item in value.items():
            check(item, kind[5:-1].partition(", ")[2], f"{where}.{key}")
    elif kind == "datetime":
        datetime.datetime.fromisoformat(value)
    elif kind in SIMPLE:
        if not isinstance(value, SIMPLE[kind]):
            raise ValueError(f"{where} is {value!r}, not {kind}")
    else:
        model = getattr(api, kind)
        if hasattr(model, "allowable_values") and model.allowable_values:
            if value not in model.allowable_values:
                raise ValueError(f"{where} is {value!r}, not one of {model.allowable_values}")
            return
        names = {name: key for key, name in model.attribute_map.items()}
        for name, item in value.items():
            if name not in names:
                raise ValueError(f"{where} has no field {name!r}")
            check(item, model.openapi_types[names[name]], f"{where}.{name}")


class Service:
    """What the server holds, and what it was asked."""

    def __init__(self):
        self.experiments, self.runs, self.schedules, self.logs = [], [], [], {}
        self.asked, self.refusal, self.tokens, self.page = [], None, [], 2
        self.lost = False  # whether the answer to the next POST is lost

    def new(self, held, kind, body, **more):
        check(body, kind)
        made = {**body, **more, "created_at": f"2026-11-25T00:00:{len(held):02}Z"}
        held.append(made)
        return made

    def answer(self, method, path, query, body):
        kind, _, rest = path.removeprefix("/apis/v2beta1/").partition("/")
        name, _, action = rest.partition(":")
        if log := re.fullmatch(r"/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", path):
            return self.logs[log[2]]
        if kind == "experiments":
            if method == "POST":
                return self.new(self.experiments, "V2beta1Experiment", body, experiment_id=f"e{len(self.experiments)}")
            return {"experiments": self.named(self.experiments, query)}
        held, model, key = {
            "runs": (self.runs, "V2beta1Run", "run_id"),
            "recurringruns": (self.schedules, "V2beta1RecurringRun", "recurring_run_id"),
        }[kind]
        if method == "POST" and not rest:
            self.specification(body)
            more = {"state": "RUNNING"} if kind == "runs" else {"status": "ENABLED"}
            return self.new(held, model, body, **{key: f"{kind}-{len(self.asked)}"}, **more)
        if not rest:
            found = self.named(list(reversed(held)), query)
            start = int(query.get("page_token") or 0)
            more = {"next_page_token": str(start + self.page)} if len(found) > start + self.page else {}
            field, listed = {
                "runs": ("runs", "V2beta1ListRunsResponse"),
                "recurringruns": ("recurringRuns", "V2beta1ListRecurringRunsResponse"),
            }[kind]
            told = {field: found[start : start + self.page], **more}
            check(told, listed, "the answer")
            return told
        one = next(item for item in held if item[key] == name)
        if method == "DELETE":
            held.remove(one)
        elif action:
            changes = {"terminate": ("state", "CANCELING"), "disable": ("status", "DISABLED")}
            field, value = changes.get(action, ("status", "ENABLED"))
            one[field] = value
        return one if method == "GET" else {}

    def named(self, held, query):
        if "filter" not in query:
            return held
        (predicate,) = json.loads(query["filter"])["predicates"]
        assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
        return [item for item in held if item["display_name"] == predicate["stringValue"]]

    def specification(self, body):
        """A pipeline that Kubeflow could not read is refused; so are parameters that it does not have."""
        spec = body["pipeline_spec"]["pipeline_spec"]
        known = spec["root"]["inputDefinitions"]["parameters"]
        given = body["runtime_config"]["parameters"]
        kinds = {"STRING": str, "LIST": list, "BOOLEAN": bool, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float)}
        for name, value in given.items():
            if name not in known or not isinstance(value, kinds[known[name]["parameterType"]]):
                raise ValueError(f"the parameter {name} is {value!r}")
        for name, definition in known.items():
            if name not in given and "defaultValue" not in definition:
                raise ValueError(f"the parameter {name} is missing")


@contextlib.contextmanager
def serving(service):
    """The address of the service."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            parsed = urllib.parse.urlsplit(self.path)
            query = {key: values[0] for key, values in urllib.parse.parse_qs(parsed.query).items()}
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            service.asked.append((self.command, parsed.path))
            service.tokens.append(self.headers.get("authorization"))
            if service.refusal is not None:
                return self.tell(*service.refusal)
            try:
                told = service.answer(self.command, parsed.path, query, body)
            except ValueError as error:
                return self.tell(400, {"error_message": str(error)})
            except StopIteration:
                return self.tell(404, {"error_message": "not found"})
            if service.lost and self.command == "POST" and parsed.path.endswith("runs"):
                service.lost = False
                self.close_connection = True
                self.connection.close()
                return None
            return self.tell(200, told)

        do_GET = do_POST = do_DELETE = handle_any

        def tell(self, status, content):
            text = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
