# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A disk that notes each change and each sync of its files, and how a power cut leaves them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
import os
from pathlib import Path
import random
import threading
from typing import Any

from campaigns._interpose import Call

PAGE = 4096
SECTOR = 512

_write = os.write  # the real one, whatever is interposed


@dataclass(frozen=True)
class Event:
    """
    A change: `write`, `cut` (a new size) or `sync` of a node; `link` or `sync` of a directory.

    `link` sets what names stand for: the number of a node, or nothing.
    """

    kind: str
    node: int
    offset: int = 0
    data: bytes = b''
    names: tuple[tuple[str, int | None], ...] = ()


class ShortWriteError(OSError):
    """A write that fails after some of its data were written."""


@dataclass
class Disk:
    """A directory as it is, and every change that led there; the watch of `interposed`."""

    path: Path
    events: list[Event] = field(default_factory=list)
    nodes: dict[Path, int] = field(default_factory=dict)
    before: dict[int, bytes | dict[str, int]] = field(default_factory=dict)
    """What was there in the beginning: durable."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[int, int] = {}
        self._positions: dict[int, int] = {}
        self._open: dict[int, int] = {}
        self.fault: Callable[[Call], OSError | None] = lambda _call: None
        self._take_in(self.path)

    def _take_in(self, path: Path) -> int:
        node = self.nodes[path] = len(self.before)
        if path.is_dir():
            entries: dict[str, int] = {}
            self.before[node] = entries
            for child in sorted(path.iterdir()):
                entries[child.name] = self._take_in(child)
        else:
            self.before[node] = path.read_bytes()
            self._sizes[node] = path.stat().st_size
        return node

    def watch(self, call: Call, proceed: Callable[[], Any]) -> Any:
        """Make a call and note what it has changed."""
        fault = self.fault(call)
        with self._lock:
            if fault is not None:
                if isinstance(fault, ShortWriteError):
                    data = b''.join(call.args[1])
                    part = _write(call.args[0], data[: len(data) // 3])
                    self._note(call, part, existed=True)
                raise fault
            existed = call.name != 'open' or call.path in self.nodes
            result = proceed()
            self._note(call, result, existed=existed)
            return result

    def _note(self, call: Call, result: Any, *, existed: bool) -> None:
        args, path = call.args, call.path
        match call.name:
            case 'open':
                if not existed:
                    self._make(path, is_directory=False)
                node = self._open[result] = self.nodes[path]
                self._positions[result] = -1 if args[1] & os.O_APPEND else 0
                if args[1] & os.O_TRUNC:
                    self._cut(node, 0)
            case 'mkdir':
                self._make(path, is_directory=True)
            case 'rename' | 'replace':
                target = Path(args[1])
                assert target.parent == path.parent
                node = self.nodes.pop(path)
                self.nodes[target] = node
                self._link(path.parent, (path.name, None), (target.name, node))
            case 'unlink' | 'rmdir':
                del self.nodes[path]
                self._link(path.parent, (path.name, None))
            case 'writev':
                node = self._open[args[0]]
                self._write(node, self._sizes[node], b''.join(args[1])[:result])
            case 'write':
                node, position = self._open[args[0]], self._positions[args[0]]
                if position < 0:
                    position = self._sizes[node]
                else:
                    self._positions[args[0]] += result
                self._write(node, position, bytes(args[1])[:result])
            case 'pwrite':
                self._write(self._open[args[0]], args[2], bytes(args[1])[:result])
            case 'ftruncate':
                self._cut(self._open[args[0]], args[1])
            case 'posix_fallocate':
                node = self._open[args[0]]
                self._cut(node, max(self._sizes[node], args[1] + args[2]))
            case 'fsync' | 'fdatasync':
                self.events.append(Event('sync', self._open[args[0]]))

    def _make(self, path: Path, *, is_directory: bool) -> None:
        node = self.nodes[path] = len(self.before)
        self.before[node] = {} if is_directory else b''
        self._sizes[node] = 0
        self._link(path.parent, (path.name, node))

    def _link(self, directory: Path, *names: tuple[str, int | None]) -> None:
        self.events.append(Event('link', self.nodes[directory], names=names))

    def _write(self, node: int, offset: int, data: bytes) -> None:
        self._sizes[node] = max(self._sizes[node], offset + len(data))
        self.events.append(Event('write', node, offset, data))

    def _cut(self, node: int, size: int) -> None:
        self._sizes[node] = size
        self.events.append(Event('cut', node, size))

    # --- after the cut ---------------------------------------------------------------------

    def durable(self, moment: int) -> Durable:
        """Return what is certain after so many events."""
        durable = Durable(dict(self.before), {}, Counter())
        names: dict[int, dict[str, int | None]] = {}
        for event in self.events[:moment]:
            later = durable.later.setdefault(event.node, [])
            if event.kind != 'sync':
                later.append(event)
                continue
            durable.syncs[event.node] += 1
            content = durable.nodes[event.node]
            if isinstance(content, bytes):
                for change in later:
                    content = changed(content, change)
                durable.nodes[event.node] = content
            else:
                entries = names.setdefault(event.node, dict(content))
                for change in later:
                    entries.update(change.names)
                durable.nodes[event.node] = {
                    name: node for name, node in entries.items() if node is not None
                }
            later.clear()
        return durable


@dataclass
class Durable:
    """What is certain, and what has happened since to each node."""

    nodes: dict[int, bytes | dict[str, int]]
    later: dict[int, list[Event]]
    syncs: Counter[int]

    def build(self, target: Path, rng: random.Random) -> None:
        """Make a directory as the power cut may have left it."""
        is_ordered = rng.random() < 0.5
        hole = rng.choice(['zeros', 'zeros', 'rubbish'])
        self._build(0, target, rng, is_ordered=is_ordered, hole=hole)

    def _build(
        self, node: int, target: Path, rng: random.Random, *, is_ordered: bool, hole: str
    ) -> None:
        content = self.nodes[node]
        later = self.later.get(node, [])
        if isinstance(content, bytes):
            target.write_bytes(_torn(content, later, rng, hole))
            return
        target.mkdir()
        entries: dict[str, int | None] = dict(content)
        if is_ordered:
            happened = later[: rng.randint(0, len(later))]
        else:
            share = rng.random()
            happened = [change for change in later if rng.random() < share]
        for change in happened:
            entries.update(change.names)
        for name, child in entries.items():
            if child is not None:
                self._build(child, target / name, rng, is_ordered=is_ordered, hole=hole)

    def files(self, node: int = 0, path: Path = Path()) -> dict[Path, int]:
        """List the files whose names are certain: nothing has begun to remove them, either."""
        found: dict[Path, int] = {}
        content = self.nodes[node]
        if isinstance(content, bytes):
            return {path: node}
        touched = {name for change in self.later.get(node, ()) for name, _ in change.names}
        for name, child in content.items():
            if name not in touched:
                found.update(self.files(child, path / name))
        return found


def changed(content: bytes, change: Event) -> bytes:
    """Return a file's content after a write or a cut."""
    if change.kind == 'cut':
        return content[: change.offset].ljust(change.offset, b'\0')
    content = content.ljust(change.offset, b'\0')
    return content[: change.offset] + change.data + content[change.offset + len(change.data):]


def _torn(durable: bytes, later: list[Event], rng: random.Random, hole: str) -> bytes:
    """Return a file after a power cut: any of its sizes, each page as it was at any moment."""
    states = [durable]
    for change in later:
        states.append(changed(states[-1], change))
    if len(states) == 1 or rng.random() < 0.15:
        return rng.choice((states[0], states[-1]))
    size = len(rng.choice(states))
    share = rng.choice((0.05, 0.5, 0.95))  # of pages that did not reach the disk
    pages = []
    for start in range(0, size, PAGE):
        versions = [state[start:start + PAGE].ljust(PAGE, b'\0') for state in states]
        page = versions[-1]
        if rng.random() < share:
            if any(len(state) <= start for state in states):
                versions.append(b'\0' * PAGE if hole == 'zeros' else rng.randbytes(PAGE))
            page = rng.choice(versions)
            if rng.random() < 0.3:
                at = rng.randrange(0, PAGE, SECTOR)
                page = page[:at] + rng.choice(versions)[at:]
        pages.append(page)
    return b''.join(pages)[:size]
