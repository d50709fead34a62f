# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Flights to bring into a store, a directory as a store, and what must be there in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import hashlib
from pathlib import Path
import re
import socket
import threading
import time
from typing import Any

from fdr_recorder import CapacityCapPolicy, FdrWriterConfig, FileFdrWriter, FlightHeader
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.manifest import Manifest
from producers import make_client, send

VEHICLE = 'drone 7'
"""With a sign that is escaped in keys."""


@dataclass
class DirectoryStore:
    """A directory as a store, with what `StoreServer` has for tests."""

    directory: Path
    kind: str = 'directory'

    @property
    def url(self) -> str:
        """Return what leads to it."""
        return str(self.directory)

    def environment(self) -> Mapping[str, str]:
        """Return what a process needs to know."""
        return {}

    def objects(self, prefix: str = '') -> dict[str, bytes]:
        """Return all objects below a prefix, and all that is on its way to be one."""
        files = [path for path in self.directory.rglob('*') if path.is_file()]
        found = {str(path.relative_to(self.directory)): path.read_bytes() for path in files}
        return {key: data for key, data in found.items() if key.startswith(prefix)}

    def uploads(self, prefix: str = '') -> list[str]:
        """Return what is on its way to be an object."""
        return [key for key in self.objects(prefix) if '#' in key]

    def put(self, key: str, data: bytes) -> None:
        """Replace an object."""
        (self.directory / key).write_bytes(data)

    def remove(self, key: str) -> None:
        """Remove an object."""
        (self.directory / key).unlink()


def make_writer(root: Path, segment_bytes: int = 64 << 10, **options: Any) -> FileFdrWriter:
    """Return a started writer of small segments."""
    given = {
        'segment_size_bytes': segment_bytes, 'chunk_size_bytes': min(segment_bytes // 8, 1 << 20),
        'flush_interval_s': 0.02, 'sync_interval_s': 0.05, 'min_free_bytes': 0,
        'reserve_bytes': 0, 'flight_cap_bytes': 1 << 40,
    }
    config = FdrWriterConfig(**{**given, **options})
    writer = FileFdrWriter(root, config)
    policy = CapacityCapPolicy(config.flight_cap_bytes, writer, writer.alerts)
    writer.on_rotation = policy.on_rotation
    writer.start()
    return writer


def record_flights(
    root: Path,
    *names: str,
    vehicle: str = VEHICLE,
    size: int = 200_000,
    segment_bytes: int = 64 << 10,
) -> list[Path]:
    """Record flights of about so many bytes each, and close them."""
    root.mkdir(exist_ok=True)
    writer = make_writer(root, segment_bytes)
    client = make_client('/blob')
    writer.register(client)
    piece = 64 << 10 if size > 1 << 20 else 4 << 10
    for name in names:
        writer.open_flight(FlightHeader(flight_id=name, vehicle_id=vehicle))
        send(client, range(-(-size // piece)), piece)
        writer.close_flight(name)
    writer.stop()
    return [root / name for name in names]


def contents(flight: Path) -> dict[str, bytes]:
    """Return the files of a flight."""
    return {path.name: path.read_bytes() for path in flight.iterdir()}


def stored_flight(
    objects: Mapping[str, bytes], name: str, vehicle: str = VEHICLE, prefix: str = ''
) -> dict[str, bytes]:
    """Return the files of a flight in a store by its manifest, each checked against that."""
    key = FlightKey(vehicle, name)
    manifest = Manifest.parse(objects[prefix + key.manifest], key)
    found = {}
    for file in manifest.files:
        data = objects[prefix + key.file(file.name)]
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256), file
        found[file.name] = data
    return found


class Link:
    """
    A TCP proxy: the link between drone and store, which can be cut, slow, or answer with errors.

    Attributes:
        port: Where it listens.
        is_up: Whether connections are made; those that are there are cut when it goes down.
        bytes_per_s: How fast it is towards the store; 0 for as fast as can be.
        cut_after: Cut each connection after so many bytes towards the store; 0 for never.
        answer: What each request is answered with in place of the store: an HTTP response.
        up_bytes: Bytes that went towards the store.
        methods: HTTP methods of the requests.

    """

    def __init__(self, target: int) -> None:
        self.is_up = True
        self.bytes_per_s = 0
        self.cut_after = 0
        self.answer = b''
        self.up_bytes = 0
        self.methods: set[str] = set()
        self._target = target
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut it for good."""
        self.is_up = False
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join(10)

    def cut(self) -> None:
        """Cut what is connected now."""
        for item in list(self._open):
            _shut(item)

    def down(self) -> None:
        """Cut it until it is up again."""
        self.is_up = False
        self.cut()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = None
        try:
            if not self.is_up:
                return
            if self.answer:
                client.recv(1 << 16)
                client.sendall(self.answer)
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):  # a reset would reach the client before the answer
                    pass
                return
            server = socket.create_connection(('127.0.0.1', self._target), timeout=10)
            server.settimeout(None)
            self._open |= {client, server}
            back = threading.Thread(target=self._copy, args=(server, client, False), daemon=True)
            back.start()
            self._copy(client, server, True)
            back.join()
        except OSError:
            return
        finally:
            for item in filter(None, (client, server)):
                self._open.discard(item)
                _shut(item)
                item.close()

    def _note(self, data: bytes) -> None:
        method = re.match(rb'(GET|HEAD|PUT|POST|DELETE) /', data)
        if method:
            self.methods.add(method[1].decode())

    def _copy(self, source: socket.socket, target: socket.socket, is_up: bool) -> None:
        count = 0
        try:
            while data := source.recv(1 << 14):
                if is_up and self.bytes_per_s:
                    time.sleep(len(data) / self.bytes_per_s)
                target.sendall(data)
                count += len(data)
                if is_up:
                    self._note(data)
                    self.up_bytes += len(data)
                    if self.cut_after and count > self.cut_after:
                        break
        except OSError:
            pass
        _shut(source)
        _shut(target)


def _shut(item: socket.socket) -> None:
    try:
        item.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@contextmanager
def linked(target: int) -> Iterator[Link]:
    """Yield a link to a server on this machine."""
    link = Link(target)
    try:
        yield link
    finally:
        link.close()
