"""A real Chromium without a window, driven through a pipe: what a page does is what people's browsers do with it.

    with chromium() as browser:
        browser.open("http://127.0.0.1:8000/")
        browser.type("#id_username", "ann")
        browser.press("[type=submit]")  # returns when the next page is there
        assert "Welcome" in browser.text()

It speaks the DevTools protocol on two file descriptors, so it needs no driver and no port, and it ends with the process
that started it: the pipe closes. It reaches nothing but loopback addresses.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.servers import HOST, ServerFailed, ServerMissing, scratch_directory

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Browser", "chromium"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WITHIN = 60.0  # seconds for whatever we wait for; a loaded machine takes its time

# The protocol is spoken on descriptors 3 and 4, and subprocess has no way to say which become which.
_ON_3_AND_4 = "import os, sys; a = sys.argv; os.dup2(int(a[1]), 3); os.dup2(int(a[2]), 4); os.execv(a[3], a[3:])"


class Browser:
    """One browser with one page of *width* by *height* pixels.

    Raises:
        ServerMissing: when no Chromium is installed.
        ServerFailed: when it ends, or does not answer in time.
    """

    def __init__(self, width: int = 1000, height: int = 800) -> None:
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            raise ServerMissing(f"The tests need {PROGRAMS[0]}, which this machine does not have.")
        self.directory = scratch_directory("chromium")
        # High numbers, so that making them 3 and 4 closes neither.
        theirs_in, self._out = _pipe()
        self._in, theirs_out = _pipe()
        arguments = [
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={self.directory}",
            f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HOST}, EXCLUDE localhost",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-sync",
            "--hide-scrollbars",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # its sandbox refuses to run as root
        ]
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _ON_3_AND_4, f"{theirs_in}", f"{theirs_out}", program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs_in, theirs_out),
                start_new_session=True,
            )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._asked = 0
        self._session: str | None = None
        self._is_left = self._is_loaded = False
        try:
            window = {"width": width, "height": height, "newWindow": True}
            target = self.call("Target.createTarget", url="about:blank", **window)["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self.call("Page.enable")
        except BaseException:
            self.close()
            raise

    # What people do

    def open(self, address: str) -> None:
        """Go to *address*, and wait until it is there."""
        self._is_left = False
        self.call("Page.navigate", url=address)
        self._wait_for_page()

    def press(self, selector: str) -> None:
        """Click with the mouse in the middle of what *selector* finds; when that leaves the page, wait for the next."""
        self._is_left = False
        self.click(selector)
        self._wait_for_page()

    def click(self, selector: str) -> None:
        """Click with the mouse in the middle of what *selector* finds."""
        box = self.run(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)});"
            "found.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const box = found.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def type(self, selector: str, text: str) -> None:
        """Click on what *selector* finds and type *text*."""
        self.click(selector)
        self.call("Input.insertText", text=text)

    # What people see

    @property
    def address(self) -> str:
        """Of the page."""
        return str(self.run("location.href"))

    def text(self, selector: str = "body") -> str:
        """What can be read in what *selector* finds."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def screenshot(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    # The protocol

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise ServerFailed(f"{expression}: {answer['exceptionDetails']['exception']['description']}")
        return answer["result"].get("value")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to one command of the protocol."""
        self._asked += 1
        message: dict[str, Any] = {"id": self._asked, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + WITHIN
        while (answer := self._receive(deadline)).get("id") != self._asked:
            pass
        if "error" in answer:
            raise ServerFailed(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _wait_for_page(self) -> None:
        deadline = time.monotonic() + WITHIN
        while not (self._is_left and self._is_loaded):
            self._receive(deadline)

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next message: an answer or an event."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            received = os.read(self._in, 1 << 16) if ready else b""
            if not received:
                log = (self.directory / "log").read_text(errors="replace")[-2000:]
                raise ServerFailed(f"Chromium {'ended' if ready else 'is silent'}. It printed:\n{log}")
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        match found:
            case {"method": "Page.frameNavigated", "params": {"frame": frame}} if "parentId" not in frame:
                self._is_left, self._is_loaded = True, False
            case {"method": "Page.loadEventFired"}:
                self._is_loaded = True
        return found

    # Its end

    def close(self) -> None:
        """End it and remove what it kept."""
        os.close(self._out)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._in)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def chromium(width: int = 1000, height: int = 800) -> Browser:
    """A started browser, with a page of so many pixels."""
    return Browser(width, height)


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
