"""A headless Chromium over its debugging pipe, so that no driver package is needed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One tab: open a file, evaluate, move the mouse, press keys, take a picture."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._last, self._rest = commands, answers, 0, b""
        self.requests: list[str] = []
        self.exceptions: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session: str | None = None
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._last += 1
        message: dict[str, object] = {"id": self._last, "method": method, "params": parameters}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])
            self._note(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._answers, 1 << 20)
            assert piece, "the browser went away"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.exceptions.append(json.dumps(event["params"]["exceptionDetails"]))

    def open(self, path: Path, *, width: int = 1200, height: int = 900) -> float:
        """Load the page and wait until its script has finished; the seconds that took."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Performance.enable", timeDomain="threadTicks")
        start = time.perf_counter()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while self.evaluate("document.documentElement?.dataset.ready") != "1":
            assert not self.exceptions
            time.sleep(0.01)
        return time.perf_counter() - start

    def work(self) -> float:
        """Processor seconds that the page's thread has spent, whatever else this machine does."""
        metrics = {
            metric["name"]: metric["value"] for metric in self.call("Performance.getMetrics")["metrics"]
        }
        return float(metrics["TaskDuration"])

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def hover(self, selector: str) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", **self._middle(selector))

    def click(self, selector: str) -> None:
        place = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def _middle(self, selector: str) -> dict[str, float]:
        place = self.evaluate(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return {x: b.left + b.width / 2, y: b.top + b.height / 2}; })()"
        )
        return dict(place)

    def change(self, selector: str, value: str, *, event: str = "change") -> None:
        self.evaluate(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)});"
            f"node.value = {json.dumps(value)}; node.dispatchEvent(new Event({json.dumps(event)})); }})()"
        )

    def press(self, key: str, *, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A Chromium of our own; it reads commands from descriptor 3 and answers on descriptor 4."""
    assert CHROMIUM is not None
    from_us, commands = os.pipe()
    answers, to_us = os.pipe()
    # The shell moves the pipes to the numbers that the browser expects.
    script = (
        f'exec "$0" --headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run '
        f'--remote-debugging-pipe --user-data-dir="$1" about:blank 3<&{from_us} 4>&{to_us} 2>/dev/null'
    )
    process = subprocess.Popen(
        ["bash", "-c", script, CHROMIUM, str(profile)], pass_fds=(from_us, to_us), stdout=subprocess.DEVNULL
    )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Browser(commands, answers)
    finally:
        os.close(commands)
        process.terminate()
        process.wait(timeout=30)
        os.close(answers)
