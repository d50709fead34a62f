# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What a hand does on a page: drag with the mouse, turn the wheel, pinch with two fingers."""

from __future__ import annotations

from dataclasses import dataclass
import json
import time
from typing import Any

from browser import Tab

STEPS = 4
DEADLINE_S = 20.0


@dataclass(frozen=True)
class Place:
    """An element's place on the screen, in CSS pixels."""

    left: float
    top: float
    width: float
    height: float

    def at(self, share: float, down: float = 0.5) -> dict[str, float]:
        """Return a point at a share of the width, and of the height."""
        return {'x': self.left + share * self.width, 'y': self.top + down * self.height}


def see(tab: Tab, selector: str) -> Place:
    """Scroll to an element, and return where it is then."""
    tab.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
    tab.settle()
    box = tab.run(
        f'(() => {{const b = document.querySelector({json.dumps(selector)})'
        '.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]})()'
    )
    return Place(*box)


def until(tab: Tab, condition: str) -> Any:
    """Wait until an expression in the page is true; return its value."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := tab.run(condition)):
        assert time.monotonic() < deadline, f'never: {condition}'
        tab.settle()
    return value


def _mouse(tab: Tab, kind: str, **params: Any) -> None:
    tab.call('Input.dispatchMouseEvent', type=kind, **params)


def drag(tab: Tab, selector: str, from_share: float, to_share: float) -> None:
    """Drag with the left mouse button, from one share of the width to another."""
    place = see(tab, selector)
    shares = [from_share + (to_share - from_share) * step / STEPS for step in range(STEPS + 1)]
    _mouse(tab, 'mouseMoved', **place.at(from_share))
    _mouse(tab, 'mousePressed', button='left', buttons=1, clickCount=1, **place.at(from_share))
    for share in shares[1:]:
        _mouse(tab, 'mouseMoved', button='left', buttons=1, **place.at(share))
    _mouse(tab, 'mouseReleased', button='left', clickCount=1, **place.at(to_share))
    tab.settle()


def double_click(tab: Tab, selector: str, share: float = 0.5) -> None:
    """Click twice with the left mouse button."""
    place = see(tab, selector)
    _mouse(tab, 'mouseMoved', **place.at(share))
    for count in (1, 2):
        for kind in ('mousePressed', 'mouseReleased'):
            _mouse(tab, kind, button='left', clickCount=count, **place.at(share))
    tab.settle()


def turn_wheel(
    tab: Tab, selector: str, share: float, *, by: float, across: float = 0, control: bool = False
) -> None:
    """Turn the wheel over an element: by less than 0 is away from the hand."""
    place = see(tab, selector)
    _mouse(tab, 'mouseMoved', **place.at(share - 0.01))
    _mouse(tab, 'mouseMoved', **place.at(share))
    _mouse(
        tab,
        'mouseWheel',
        deltaX=across,
        deltaY=by,
        modifiers=2 if control else 0,
        **place.at(share),
    )
    tab.settle()


def touch(tab: Tab, selector: str, *fingers: tuple[float, float]) -> None:
    """Touch with some fingers, move each from one share of the width to another, let go."""
    place = see(tab, selector)
    for step in range(STEPS + 1):
        points = [
            {**place.at(start + (end - start) * step / STEPS), 'id': number}
            for number, (start, end) in enumerate(fingers)
        ]
        kind = 'touchMove' if step else 'touchStart'
        tab.call('Input.dispatchTouchEvent', type=kind, touchPoints=points)
    tab.call('Input.dispatchTouchEvent', type='touchEnd', touchPoints=[])
    tab.settle()


def tap(tab: Tab, selector: str, share: float = 0.5, *, times: int = 1) -> None:
    """Tap with a finger; twice is a double tap, however slow the machine is."""
    place = see(tab, selector)
    start_s = time.time()
    for number in range(times):
        for kind, points in (('touchStart', [place.at(share)]), ('touchEnd', [])):
            at_s = start_s + 0.1 * number
            tab.call('Input.dispatchTouchEvent', type=kind, touchPoints=points, timestamp=at_s)
    tab.settle()


def write(tab: Tab, words: str) -> None:
    """Type words into what has the focus."""
    tab.call('Input.insertText', text=words)
    tab.settle()


def painted(tab: Tab, selector: str, color: str) -> list[tuple[int, int]]:
    """
    Return the pixels of a canvas that have a colour: its first and last row in each column.

    Args:
        tab: The page.
        selector: The canvas.
        color: A CSS colour; pixels that are near to it count.

    """
    found = tab.run(
        f"""(() => {{
          const canvas = document.querySelector({json.dumps(selector)});
          const {{ width, height }} = canvas;
          const copy = new OffscreenCanvas(width, height + 1);
          const context = copy.getContext('2d', {{ willReadFrequently: true }});
          context.fillStyle = {json.dumps(color)};
          context.fillRect(0, height, 1, 1);
          const [r, g, b] = context.getImageData(0, height, 1, 1).data;
          context.drawImage(canvas, 0, 0);
          const {{ data }} = context.getImageData(0, 0, width, height);
          const columns = [];
          for (let x = 0; x < width; x++) {{
            let [first, last] = [-1, -1];
            for (let y = 0; y < height; y++) {{
              const at = 4 * (y * width + x);
              const off = Math.abs(data[at] - r) + Math.abs(data[at + 1] - g)
                + Math.abs(data[at + 2] - b);
              if (data[at + 3] < 100 || off > 150) continue;
              if (first < 0) first = y;
              last = y;
            }}
            columns.push([first, last]);
          }}
          return columns;
        }})()"""
    )
    return [(first, last) for first, last in found]
