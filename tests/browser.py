"""Chromium without a window, driven over its DevTools protocol: what a page shows, says on its console, and asks for.

    with Browser() as browser:
        page = browser.open(path.as_uri())
        page.wait_for("document.querySelectorAll('tr').length > 3")
        assert not page.errors and not page.foreign_requests
        page.screenshot(tmp_path / "page.png")

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

NO_BROWSER = "no Chromium here: apt-get install chromium"


def chromium() -> str | None:
    """Its command; None where it is not installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextlib.contextmanager
def mlflow_pages(home: Path | str, port: int) -> Iterator[dict[str, str]]:
    """`hepbench ui` on the results of a home, while the context lasts: the addresses that it prints, by what each is
    called; of several tasks those of the first."""
    with subprocess.Popen(
        [sys.executable, "-m", "hepbench", "ui", "--port", str(port)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "HEPBENCH_HOME": str(home), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        printed = []
        try:
            for line in server.stdout or ():
                printed.append(line)
                if "startup complete" in line:
                    break
            else:
                raise RuntimeError(f"hepbench ui has ended: {''.join(printed)}")
            found: dict[str, str] = {}
            for line in printed:
                if "viewStateShareKey" in line:
                    found.setdefault(line.strip().partition("  ")[0], line.strip().rpartition(" ")[2])
            yield found
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # and the processes that it has started


class Browser:
    """A process of Chromium with a profile of its own; RuntimeError where it is not installed."""

    def __init__(self) -> None:
        command = chromium()
        if command is None:
            raise RuntimeError(NO_BROWSER)
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        (theirs, self._writer), (self._reader, answers) = os.pipe(), os.pipe()
        options = f"--headless=new --no-sandbox --disable-gpu --hide-scrollbars --disable-dev-shm-usage \
            --no-first-run --disable-background-networking --disable-component-update --disable-default-apps \
            --force-color-profile=srgb --remote-debugging-pipe --user-data-dir={self._profile.name} about:blank"
        # The protocol's messages come and go by the files 3 and 4, which those of this process must not be.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs, answers)]
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command} {options} 3<&{ends[0]} 4>&{ends[1]}"],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for end in (theirs, answers, *ends):
            os.close(end)
        self._buffer = b""
        self._calls = 0
        self._pages: dict[str, Page] = {}

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # that of Chromium and of the processes that it has started
        self._process.wait()
        os.close(self._writer)
        os.close(self._reader)
        self._profile.cleanup()

    def open(self, address: str, width: int = 1280, height: int = 900) -> Page:
        """A new tab on this address, its first document loaded."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.go(address)
        return page

    def call(self, method: str, session: str | None = None, seconds: float = 240, **parameters: Any) -> dict[str, Any]:
        """The answer to one command of the protocol. RuntimeError where it is refused, TimeoutError."""
        self._calls += 1
        number = self._calls
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            answer = self._next(deadline)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if page := self._pages.get(answer.get("sessionId", "")):
                page.took(answer["method"], answer["params"])

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reader], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("Chromium does not answer")
            got = os.read(self._reader, 1 << 20)
            if not got:
                raise RuntimeError("Chromium has ended")
            self._buffer += got
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


# Chromium's own notice that it hands changes of size on in the next frame, which it does on a busy machine; no script
# has failed. https://drafts.csswg.org/resize-observer/#deliver-resize-error
NOTICE = "ResizeObserver loop completed with undelivered notifications."


class Page:
    """errors: what it wrote on its console as an error, and what it did not catch. requests: every address that it has
    asked for."""

    def __init__(self, browser: Browser, session: str):
        self._browser = browser
        self._session = session
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.loaded = False

    @property
    def foreign_requests(self) -> list[str]:
        """Those that leave the machine."""
        own = ("file:", "data:", "blob:", "about:", "http://127.0.0.1", "http://localhost")
        return [one for one in self.requests if not one.startswith(own)]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def took(self, method: str, event: dict[str, Any]) -> None:
        """An event of the protocol."""
        if method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self._failed(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "assert"):
            self._failed(" ".join(str(one.get("value", one.get("description"))) for one in event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self._failed(f"{event['entry']['text']} {event['entry'].get('url', '')}".strip())
        elif method == "Page.loadEventFired":
            self.loaded = True

    def _failed(self, message: str) -> None:
        if NOTICE not in message:
            self.errors.append(message)

    def go(self, address: str) -> None:
        self.loaded = False
        answer = self.call("Page.navigate", url=address)
        if "errorText" in answer:
            raise RuntimeError(f"{address}: {answer['errorText']}")
        if "loaderId" in answer:  # else it is another place of the same document
            self.wait_for("document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """What a JavaScript expression gives, a promise's value included. RuntimeError where it throws."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = 240) -> Any:
        """The value of an expression once it is true. TimeoutError, after far more than any machine needs."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds} s it is not true: {script}")
            time.sleep(0.1)
        return value

    def click(self, selector: str) -> None:
        """On the middle of the first element of this selector, as a mouse does."""
        place = self.evaluate(
            f"""(() => {{
                const one = document.querySelector({json.dumps(selector)});
                one.scrollIntoView({{block: "center"}});
                const box = one.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **button)

    def press(self, key: str) -> None:
        """A key by its name: Tab, Enter, ArrowDown, ..."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39}
        codes |= {"ArrowDown": 40}
        text = {"Enter": "\r", " ": " "}.get(key)
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes[key], **more)

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def media(self, scheme: str = "light", kind: str = "screen") -> None:
        """scheme: "light" or "dark"; kind: "screen" or "print"."""
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=wanted)

    def screenshot(self, path: Path, whole: bool = False) -> Path:
        """A PNG of what is seen, or of the whole page."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path
