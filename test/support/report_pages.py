# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Pages as tests see them, and a flight in which every text wants to be markup."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
import json
from pathlib import Path
from typing import Any
import zlib

from conftest import MakeWriter, writers
from fdr_recorder import AlertBoard, Channel, FdrClient, FlightHeader, Schema
from fdr_recorder.report import gather, render, write_page
import numpy as np
from producers import blob

HOSTILE = (
    '<script>window.hacked=1</script>',
    '"><img src=x onerror=window.hacked=1>',
    "'-alert(1)-'",
    '</script><script>window.hacked=1</script>',
    '</style><style>body{display:none}',
    '</title><svg onload=window.hacked=1>',
    '&lt;b&gt; &amp; `code`',
    '\x1b[31m\x07\u202egnp.live',
    'javascript:window.hacked=1',
    '{{7*7}}${7*7}%s',
    '\u2028\u2029',
)


def recorded_page(directory: Path, record: Callable[[MakeWriter, Path], Path]) -> Path:
    """Record a flight in a directory, and write its page there; return the page."""
    with writers(directory) as make_writer:
        write_page(gather(record(make_writer, directory)), directory / 'page.html')
    return directory / 'page.html'


@dataclass
class Page(HTMLParser):
    """A page, taken apart: its elements with their attributes, and its texts."""

    html: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    data: Any = None

    _arrays: bytes = b''

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag != 'wbr':
            self.texts.append(' ')

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ''
        if inside == 'script' and self.elements[-1][1].get('type') == 'application/json':
            self.data = json.loads(data)
        elif inside == 'script' and self.elements[-1][1].get('id') == 'arrays':
            self._arrays = zlib.decompress(base64.b64decode(data), -zlib.MAX_WBITS)
        elif inside not in ('script', 'style'):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All that can be read."""
        return ' '.join(''.join(self.texts).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def array(self, ref: list[Any]) -> Any:
        """Return an array of numbers."""
        offset, length, dtype, count = ref
        found = np.frombuffer(self._arrays[offset:offset + length], f'<{dtype}')
        assert len(found) == count
        return found

    def samples(self, topic: str, field: str) -> tuple[Any, Any]:
        """Return times (seconds) and values of a series."""
        (item,) = [
            item
            for item in self.data['series']
            if item['topic'] == topic and item['field'] == field
        ]
        return self.times(item['t']), self.array(item['v'])

    def times(self, ref: list[Any]) -> Any:
        """Return times in seconds."""
        found = self.array(ref)
        return np.cumsum(found.astype(float)) / 1e6 if ref[2] == 'i4' else found

    def words(self) -> list[str]:
        """Return what the marks of the time line say."""
        return [event[2] for lane in self.data['lanes'] for event in lane['events']]


def page_of(flight: Path) -> Page:
    """Report on a flight."""
    return Page(render(gather(flight)))


def record_hostile(make_writer: MakeWriter, root: Path) -> Path:
    """Record a flight whose texts are all hostile."""
    board = AlertBoard()
    writer = make_writer(alerts=board)
    clients = []
    for number, text in enumerate(HOSTILE):
        metadata = {'offered_qos_profiles': json.dumps([{'reliability': text}])}
        metadata['publisher_node'] = text
        channel = Channel(
            f'/{number}{text}', Schema(text, text), publisher=text, metadata=metadata
        )
        clients.append(FdrClient(channel))
        writer.register(clients[-1])
    everything = ' '.join(HOSTILE)
    header = FlightHeader(
        flight_id='hostile',
        vehicle_id=everything,
        config_snapshot=json.dumps({text: text for text in HOSTILE}),
        manifest_content_hashes={text: text for text in HOSTILE},
        host_name=everything,
        software_version=everything,
    )
    writer.open_flight(header)
    for client in clients:
        for _ in range(5):
            client.enqueue(blob(b'x'))
        client.count_transport_loss(7, 9)
    for text in HOSTILE:
        board.raise_alert('overrun', text, subject=text, values={text: text})
    writer.close_flight('hostile')
    writer.stop()
    return root / 'hostile'
