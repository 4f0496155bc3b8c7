"""What became of a run, for people and for a webhook."""

import json
import os
import urllib.error
import urllib.request
from typing import Any

from pipelines import champion, markdown
from xlnet import storage
from xlnet.errors import UserError

WEBHOOK = "XLNET_WEBHOOK"  # the environment variable with its address, which is a secret
PATIENCE = 10.0  # seconds


def summarize(store: str, run: str, *, title: str, state: str, error: str | None) -> dict[str, Any]:
    """Write runs/RUN/summary.json; returns its content."""
    folder = champion.run_folder(store, run)
    decision = storage.join(folder, champion.DECISION)
    try:
        now = champion.find(store)
    except UserError as damaged:  # the summary is written whatever happened
        now, error = None, f"{error or ''} {damaged}".strip()
    told = {
        "format": "xlnet-run/1",
        "run": run,
        "title": title,
        "state": state,
        "error": error,
        "decision": storage.read_json(decision) if storage.exists(decision) else None,
        "champion": None if now is None else now.name,
    }
    storage.publish_json(storage.join(folder, champion.SUMMARY), told)
    return told


def line(told: dict[str, Any]) -> str:
    """The summary in one line."""
    decision = told["decision"]
    result = (
        "" if decision is None else f": {'pushed' if decision['is_pushed'] else 'not pushed'}, {decision['reason']}"
    )
    return f"{told['title']} ({told['run']}) {told['state'].lower()}{result}" + (
        f": {told['error']}" if told["error"] else ""
    )


def page(told: dict[str, Any]) -> str:
    """The summary as Markdown."""
    return f"{markdown.text(line(told))}\n\nThe champion is {markdown.text(told['champion'] or 'none')}.\n"


def post(told: dict[str, Any]) -> bool:
    """Send the summary to the webhook, if there is one; a webhook that does not answer fails nothing."""
    address = os.environ.get(WEBHOOK)
    if not address:
        return False
    body = json.dumps({"text": line(told), **told}).encode()
    try:
        request = urllib.request.Request(address, data=body, headers={"Content-Type": "application/json"})
        if request.type not in ("http", "https"):
            raise ValueError
        with urllib.request.urlopen(request, timeout=PATIENCE):
            return True
    except (OSError, ValueError) as error:  # its text may hold the address
        print(f"the webhook was not told ({type(error).__name__})", flush=True)
        return False
