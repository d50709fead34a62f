# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A real browser, driven over its debugging pipe with nothing but the standard library."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import select
import shutil
import subprocess
import time
from typing import Any

from requirements import cannot_run

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome')
OPTIONS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
    '--hide-scrollbars',
    '--remote-debugging-pipe',
)
DEADLINE_S = 60.0


class Browser:
    """A running browser, spoken to through the Chrome DevTools protocol."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._buffer = b''
        self._last_id = 0

    def call(self, method: str, tab: Tab | None = None, **params: Any) -> dict[str, Any]:
        """Call a method, in a tab or not, and return its result; the tab hears of events."""
        self._last_id += 1
        message: dict[str, Any] = {'id': self._last_id, 'method': method, 'params': params}
        if tab is not None:
            message['sessionId'] = tab.session
        os.write(self._write_fd, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._next()
            if answer.get('id') == self._last_id:
                assert 'error' not in answer, answer['error']
                return answer.get('result', {})
            if tab is not None and answer.get('sessionId') == tab.session:
                tab.note(answer)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE_S
        while b'\0' not in self._buffer:
            ready, _, _ = select.select([self._read_fd], [], [], deadline - time.monotonic())
            data = os.read(self._read_fd, 1 << 20) if ready else b''
            assert data, 'the browser does not answer'
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b'\0')
        message: dict[str, Any] = json.loads(text)
        return message

    @contextmanager
    def tab(self) -> Iterator[Tab]:
        """Open a tab that shares nothing with those before it: no cookie, no storage, no cache."""
        context = self.call('Target.createBrowserContext')['browserContextId']
        target = self.call('Target.createTarget', url='about:blank', browserContextId=context)
        attached = self.call('Target.attachToTarget', targetId=target['targetId'], flatten=True)
        try:
            yield Tab(self, attached['sessionId'])
        finally:
            self.call('Target.disposeBrowserContext', browserContextId=context)


class Tab:
    """One page in the browser; what its scripts complain about is in `complaints`."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.session = session
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._browser = browser
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol in this tab; return its result."""
        return self._browser.call(method, self, **params)

    def note(self, message: dict[str, Any]) -> None:
        """Take note of an event."""
        method, params = message.get('method'), message.get('params', {})
        if method == 'Runtime.exceptionThrown':
            self.complaints.append(json.dumps(params['exceptionDetails'])[:500])
        elif method == 'Log.entryAdded':
            self.complaints.append(params['entry']['text'])
        elif method == 'Runtime.consoleAPICalled':
            self.complaints.append(json.dumps(params['args'])[:500])
        elif method == 'Network.requestWillBeSent':
            self.requests.append(params['request']['url'])

    def open(self, path: Path, width: int = 1440, height: int = 900, **media: str) -> None:
        """Open a file, and wait until it is there; `media`: say `prefers_color_scheme='dark'`."""
        features = [
            {'name': name.replace('_', '-'), 'value': value} for name, value in media.items()
        ]
        self.call('Emulation.setEmulatedMedia', features=features)
        self.resize(width, height)
        self.call('Page.navigate', url=path.as_uri())
        deadline = time.monotonic() + DEADLINE_S
        while self.run('document.readyState + location.href') != f'complete{path.as_uri()}':
            assert time.monotonic() < deadline, f'{path} does not open'

    def open_live(self, path: Path, width: int = 1440, height: int = 900, **media: str) -> None:
        """Open a report, and wait until its script has started."""
        self.open(path, width, height, **media)
        deadline = time.monotonic() + DEADLINE_S
        while not self.run("document.documentElement.classList.contains('live')"):
            assert time.monotonic() < deadline, f'{path} stays without life'
        self.settle()

    def resize(self, width: int, height: int) -> None:
        """Give the page a size, in CSS pixels."""
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.call(
            'Runtime.evaluate', expression=script, returnByValue=True, awaitPromise=True
        )
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def settle(self) -> None:
        """Wait until the page has drawn what it was asked to."""
        self.run('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')

    def point(self, selector: str, share: float, *, press: bool = False) -> None:
        """Move the mouse to a place in the width of an element, and press it there or not."""
        box = self.run(
            f'(() => {{const e = document.querySelector({json.dumps(selector)});'
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            'return [b.left, b.top, b.width, b.height]})()'
        )
        at = {'x': box[0] + share * box[2], 'y': box[1] + box[3] / 2}
        self.call('Input.dispatchMouseEvent', type='mouseMoved', **at)
        if press:
            for kind in ('mousePressed', 'mouseReleased'):
                self.call(
                    'Input.dispatchMouseEvent', type=kind, button='left', clickCount=1, **at
                )
        self.settle()

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key)
        self.settle()

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what can be seen, or the whole page, as PNG."""
        answer = self.call('Page.captureScreenshot', captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer['data']))

    def print(self, path: Path) -> None:
        """Write the page as PDF, as it would be printed."""
        answer = self.call('Page.printToPDF', printBackground=True, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(answer['data']))


@contextmanager
def run_browser(profile: Path) -> Iterator[Browser]:
    """Run a browser; skip the test where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        cannot_run('there is no chromium or google-chrome on the PATH')
    to_browser, from_browser = os.pipe(), os.pipe()
    for fd in (to_browser[0], from_browser[1]):
        os.set_inheritable(fd, True)
    # the browser wants its two ends as descriptors 3 and 4
    script = f'exec 8<&{to_browser[0]} 9>&{from_browser[1]}; exec "$@" 3<&8 4>&9 8<&- 9>&-'
    process = subprocess.Popen(
        ['bash', '-c', script, 'bash', program, *OPTIONS, f'--user-data-dir={profile}'],
        pass_fds=(to_browser[0], from_browser[1]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
        yield Browser(from_browser[0], to_browser[1])
    finally:
        os.close(to_browser[1])
        os.close(from_browser[0])
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
