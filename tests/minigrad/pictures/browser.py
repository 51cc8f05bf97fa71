"""A browser for the tests of pages, and texts that a page must not take for markup."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


# Run in a child: puts two pipes where the browser expects them, and becomes the browser.
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A headless Chromium, spoken to through the two pipes of its debugging protocol."""

    def __init__(self, folder: Path) -> None:
        (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(their_in), str(their_out), CHROMIUM, "--headless=new", "--no-sandbox",
             "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(their_in, their_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(their_in)
        os.close(their_out)
        self.to, self.fro = our_out, our_in
        self.rest, self.count, self.session, self.errors = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        waiting = memoryview(json.dumps(message).encode() + b"\0")
        while waiting:
            waiting = waiting[os.write(self.to, waiting) :]
        while True:
            while b"\0" not in self.rest:
                piece = os.read(self.fro, 1 << 20)
                assert piece, "the browser has gone"
                self.rest += piece
            first, _, self.rest = self.rest.partition(b"\0")
            answer = json.loads(first)
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(answer["params"])
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path, width=1400, height=900, *features):
        wishes = {"prefers-reduced-motion": "reduce", **dict(features)}
        media = [{"name": name, "value": value} for name, value in wishes.items()]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Page.navigate", url="about:blank")
        self.errors.clear()
        address, _, place = str(path).partition("#")
        self.call("Page.navigate", url=Path(address).as_uri() + (f"#{place}" if place else ""))
        for _ in range(1000):
            if self.js("document.readyState === 'complete' && Boolean(window.minigrad)"):
                return self
            time.sleep(0.01)
        raise AssertionError(f"the page did not start: {self.errors}")

    def js(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key, text=None, code=None):
        event = {"key": key, "code": code or key, "text": text if text is not None else key if len(key) == 1 else ""}
        if key == "Enter":
            event |= {"text": "\r", "windowsVirtualKeyCode": 13}
        if key == "Tab":
            event |= {"windowsVirtualKeyCode": 9}
        self.call("Input.dispatchKeyEvent", type="keyDown" if event["text"] else "rawKeyDown", **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    @contextlib.contextmanager
    def frame(self):
        """Inside of the one frame of the page."""
        outside, self.session = self.session, None
        (target,) = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "iframe"]
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        self.call("Log.enable")
        try:
            yield self
        finally:
            self.session = outside

    def state(self):
        return self.js("minigrad.state()")

    def screenshot(self, path):
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.fro)


def rectangle(selector):
    return f"document.querySelector('{selector}').getBoundingClientRect().toJSON()"


HOSTILE = [
    'say "hi"', "it's", "<b>bold</b>", "a & b &amp;", "two\nlines", "räksmörgås 🎉", "x" * 10_000, "{{script}}{{data}}",
    "</script><script>document.title='owned'</script>", "<img src=x onerror=\"document.title='owned'\">", "]]>--><!--",
    "\u2028\u2029\x00\x1b", "\ud800",
]  # fmt: skip
