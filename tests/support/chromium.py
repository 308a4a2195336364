"""Debian's chromium, driven over the DevTools protocol."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
LISTENING = "DevTools listening on ws://"


class Tab:
    """One page: what it asked for (`requests`), what was answered (`answers`: status and kind by address) and what it
    complained of (`complaints`), and a hand on its mouse."""

    def __init__(self, socket: ClientConnection) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.answers: dict[str, tuple[int, str]] = {}
        self._user: tuple[str, str] | None = None
        self._socket, self._last = socket, 0
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and hear its answer; events that come before it are noted."""
        self._tell(method, **parameters)
        wanted = self._last
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == wanted:
                assert "error" not in message, message
                return dict(message["result"])
            if "method" in message:
                self._note(message["method"], message["params"])

    def know(self, user: str, password: str) -> None:
        """From now on, give these to whoever asks for them, as a person at the browser's own dialog would."""
        self._user = (user, password)
        self.call("Fetch.enable", handleAuthRequests=True)

    def _tell(self, method: str, **parameters: Any) -> None:
        """Send one command whose answer does not matter."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))

    def _note(self, event: str, details: dict[str, Any]) -> None:
        if event == "Fetch.requestPaused":
            self._tell("Fetch.continueRequest", requestId=details["requestId"])
        elif event == "Fetch.authRequired":
            user, password = self._user or ("", "")
            given = {"response": "ProvideCredentials", "username": user, "password": password}
            self._tell("Fetch.continueWithAuth", requestId=details["requestId"], authChallengeResponse=given)
        elif event == "Network.responseReceived":
            answer = details["response"]
            self.answers[answer["url"]] = (answer["status"], answer["mimeType"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(details["exceptionDetails"]["text"])
        elif event == "Log.entryAdded":
            self.complaints.append(details["entry"]["text"])
        elif event == "Runtime.consoleAPICalled":
            self.complaints.append(str(details["args"]))
        elif event == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {details['message']}")

    def open(self, page: Path, width: int = 1280, dark: bool = False) -> None:
        """Show a page from disk and wait until it is drawn."""
        self.requests.clear()
        self.complaints.clear()
        size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.as_uri())
        self.until("document.readyState === 'complete' && document.querySelectorAll('.lane').length > 0")
        self.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, condition: str, patience_s: float = 20.0) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + patience_s
        while not self.ask(condition):
            assert time.monotonic() < end, f"never came true: {condition}"
            time.sleep(0.05)

    def click(self, selector: str, across: float = 0.5) -> None:
        """A real mouse click on an element, `across` of its width from its left."""
        self.ask(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
        box = self.ask(f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()")
        spot = {"x": box["x"] + across * box["width"], "y": box["y"] + box["height"] / 2, "button": "left"}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, clickCount=1, buttons=1, **spot)


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """A tab of a fresh headless chromium; ends with it."""
    command = [str(shutil.which("chromium")), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            host = next(line for line in process.stderr if LISTENING in line).split("ws://")[1].split("/")[0]
            with urllib.request.urlopen(f"http://{host}/json") as answer:
                page = next(target for target in json.load(answer) if target["type"] == "page")
            with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
                yield Tab(socket)
        finally:
            process.kill()
