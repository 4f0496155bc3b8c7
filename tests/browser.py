"""A browser for tests of pages; no test itself."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """Headless Chromium, spoken to through its DevTools pipe."""

    FLAGS = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --remote-debugging-pipe"
    )

    def __init__(self, program: str, profile: Path):
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        command = f'exec {program} {self.FLAGS} --user-data-dir="{profile}" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(["bash", "-c", command], pass_fds=(theirs_in, theirs_out), stdout=-3, stderr=-3)
        os.close(theirs_in)
        os.close(theirs_out)
        self.out, self.input = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb")
        self.events: list[dict] = []
        self.number, self.session = 0, {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Log", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def _read(self) -> dict:
        message = bytearray()
        while (byte := self.input.read(1)) != b"\0":
            assert byte, "the browser has ended"
            message += byte
        return json.loads(message)

    def call(self, method: str, **parameters) -> dict:
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters, **self.session}
        self.out.write(json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self.number:
            self.events.append(answer)
        return answer["result"]

    def open(self, url: str, *, width: int) -> tuple[list[str], list[str], int]:
        """What the console complained of, which other addresses were asked for, and how wide the page is, unfolded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())
        code = (
            "document.querySelectorAll('details').forEach(part => { part.open = true });"
            "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
        )
        wide = self.call("Runtime.evaluate", expression=code)["result"]["value"]
        complaints = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        said = [json.dumps(e["params"]) for e in self.events if e["method"] in complaints]
        return said, [address for address in asked if address != url], wide

    def close(self) -> None:
        with contextlib.suppress(AssertionError):
            self.call("Browser.close")
        self.process.wait(20)
        self.out.close()
        self.input.close()
