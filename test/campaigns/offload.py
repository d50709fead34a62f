# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
Off the drone, whatever happens: kills, cut and slow links, errors, a full store, false clocks.

Each round has a root in which flights are recorded, end in every way, are recovered and lose
segments to the cap, and a store: SeaweedFS, moto's server or a directory. `fdr offload` is run
again and again, and each time something breaks. In the end it is run once more with nothing
broken: then every flight must be in the store, byte by byte, nothing may have been removed here
that is not there, and nothing may be left over.
"""

from __future__ import annotations

import atexit
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
import hashlib
import os
from pathlib import Path
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from campaigns import Figures
from disk_faults import fill_disk, mounted_tmpfs
from false_clock import ProcessClock
from fdr_recorder import FdrClient, FileFdrWriter, FlightHeader
from fdr_recorder.fleet.layout import decoded, encoded, FlightKey
from fdr_recorder.fleet.local_flight import read_facts
from fdr_recorder.fleet.manifest import Manifest
from fdr_recorder.flights.recovery.recover import recover
from fork_server import fork_server, ForkedProcess
from offloading import contents, DirectoryStore, Link, linked, make_writer
from producers import make_client, send
import pytest
from store_servers import SECRET, StoreServer
from waiting import wait_until

NAME = 'offload'
ABOUT = (
    'Kills, cut and slow links, errors, a full store, false clocks while flights go off the '
    'drone: all arrive byte by byte, nothing is removed that is not there, nothing is left over.'
)
DEFAULT_ROUNDS = 200
SHORT_ROUNDS = 1

KIB = 1024
SEGMENT = 64 * KIB
LARGE = 11 << 20
"""In S3 in three parts."""
VEHICLE = 'd/1'
PATIENCE_S = 60.0
ENDS = (0, 1, 2, 3, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Bring some flights off a drone while things break."""
    kind = rng.choice(('weed', 'weed', 'moto', 'directory', 'directory'))
    return _run_round(rng, directory, kind, steps=rng.randint(2, 4))


def run_short_round(rng: random.Random, directory: Path) -> Figures:
    """Do so with a directory, which needs no server."""
    return _run_round(rng, directory, 'directory', steps=2)


def _run_round(rng: random.Random, directory: Path, kind: str, steps: int) -> Figures:
    with _store(rng, directory, kind) as (store, link):
        round_ = Round(rng, directory, store, link)
        try:
            round_.begin()
            for _ in range(steps):
                round_.step()
            round_.end()
        finally:
            round_.close()
        return {f'on_{kind}': 1, **round_.figures}


@cache
def _server(kind: str) -> StoreServer:
    """Return a server that all rounds of this process share."""
    server = StoreServer(kind, Path(tempfile.mkdtemp(prefix=f'fdr_{kind}_')))
    atexit.register(server.discard)
    server.start()
    return server


@contextmanager
def _store(
    rng: random.Random, directory: Path, kind: str
) -> Iterator[tuple[StoreServer | DirectoryStore, Link | None]]:
    """Yield a store, and the link to it."""
    if kind == 'directory':
        place = directory / 'store'
        if rng.random() < 0.5:
            with mounted_tmpfs(place, 32 << 20):
                yield DirectoryStore(place), None
        else:
            yield DirectoryStore(place), None
        return
    try:
        server = _server(kind)
    except pytest.skip.Exception:
        yield DirectoryStore(directory / 'store'), None
        return
    server.empty()
    with linked(server.port) as link:
        yield server, link


class Round:
    """A root, a store, and what must be there in the end."""

    def __init__(
        self,
        rng: random.Random,
        directory: Path,
        store: StoreServer | DirectoryStore,
        link: Link | None,
    ) -> None:
        self.rng = rng
        self.directory = directory
        self.root = directory / 'root'
        self.store = store
        self.link = link
        self.figures: Counter[str] = Counter()
        self.truth: dict[str, dict[str, str]] = {}
        """SHA-256 of the files of each flight that is closed, by name."""
        self.seen: dict[str, dict[str, str]] = {}
        """Likewise of segments that were closed while their flight went on."""
        self.torn: list[str] = []
        self.is_altered = False
        self._writer: FileFdrWriter | None = None
        self._client: FdrClient | None = None
        self._live = ''
        self._flights = 0

    # --- the drone -----------------------------------------------------------------------

    def begin(self) -> None:
        """Record some flights, and begin one."""
        self.root.mkdir()
        for _ in range(self.rng.randint(1, 3)):
            self.record(self.rng.randint(1, 300) * KIB)
        if self.rng.random() < (0.4 if self.link is None else 0.7):
            self.record(LARGE, segment_bytes=2 * LARGE)
        if self.rng.random() < 0.6:
            self.begin_live()

    def record(self, size: int, segment_bytes: int = SEGMENT) -> None:
        """Record a flight; some are torn."""
        self.end_live()
        self._flights += 1
        name = f'flight{self._flights}'
        writer = make_writer(self.root, segment_bytes)
        client = make_client()
        writer.register(client)
        writer.open_flight(FlightHeader(flight_id=name, vehicle_id=VEHICLE))
        piece = 64 * KIB if size > 1 << 20 else 2 * KIB
        send(client, range(-(-size // piece)), piece)
        writer.close_flight(name)
        writer.stop()
        self.figures['flights'] += 1
        if self.rng.random() < 0.25:
            self._tear(name)
        else:
            self._note(name)

    def _tear(self, name: str) -> None:
        """Make a flight as a power cut leaves it."""
        segments = sorted((self.root / name).glob('*.mcap'))
        (self.root / name / 'metadata.yaml').unlink()
        whole = segments[-1].read_bytes()
        size = self.rng.randint(2 * KIB, len(whole))
        segments[-1].write_bytes(whole[:size])
        while not read_facts(self.root / name, None, '').flight_id:  # nobody knows whose it is
            size = (size + len(whole) + 1) // 2
            segments[-1].write_bytes(whole[:size])
        self.torn.append(name)

    def _note(self, name: str) -> None:
        """Keep what a flight is, unless it was removed at this moment."""
        with suppress(FileNotFoundError):
            found = contents(self.root / name)
            self.truth[name] = {file: _hash(data) for file, data in found.items()}

    def begin_live(self) -> None:
        """Begin a flight that goes on, with a cap."""
        self._flights += 1
        self._live = f'flight{self._flights}'
        self._writer = make_writer(self.root, SEGMENT // 2, flight_cap_bytes=3 * SEGMENT)
        self._client = make_client()
        self._writer.register(self._client)
        self._writer.open_flight(FlightHeader(flight_id=self._live, vehicle_id=VEHICLE))
        self.figures['flights'] += 1
        self.fly()

    def fly(self) -> None:
        """Record some more of the flight that goes on."""
        if self._client is None:
            return
        for _ in range(self.rng.randint(1, 4)):
            send(self._client, range(self.rng.randint(1, 40)), 2 * KIB)
            self._look_at_live()

    def _look_at_live(self) -> None:
        """Note the segments that are closed now: the cap may drop them later."""
        flight = self.root / self._live
        listed = (flight / 'metadata.yaml').read_text() if self._live else ''
        known = self.seen.setdefault(self._live, {})
        for path in flight.glob('*.mcap'):
            if f'"{path.name}"' in listed and path.name not in known:
                with suppress(FileNotFoundError):
                    known[path.name] = _hash(path.read_bytes())

    def end_live(self) -> None:
        """Close the flight that goes on."""
        if self._writer is None:
            return
        self._look_at_live()
        name = self._live
        self._writer.close_flight(name)
        self._note(name)
        self._writer.stop()
        self._writer = self._client = None
        self._live = ''

    def look_after(self) -> None:
        """Let something happen on the drone."""
        rng = self.rng
        self.fly()
        chance = rng.random()
        if chance < 0.2:
            self.record(rng.randint(1, 200) * KIB)
        elif chance < 0.4 and self._writer is None:
            self.begin_live()
        elif chance < 0.5:
            self.end_live()
        elif chance < 0.7 and self.torn and self._writer is None:
            self.recover(self.torn[0])

    def recover(self, name: str) -> None:
        """Recover a torn flight."""
        self.torn.remove(name)
        recover(self.root / name)
        self._note(name)
        self.figures['recovered'] += 1

    # --- what breaks ---------------------------------------------------------------------

    def step(self) -> None:
        """Run `fdr offload` while something breaks."""
        kinds = ['kill', 'watch', 'skew', 'journal', 'alter', 'full']
        if self.link is not None:
            kinds += ['cut', 'cut', 'slow', 'errors', 'down']
        if self.store.kind == 'weed':
            kinds += ['server']
        kind = self.rng.choice(kinds)
        self.figures[kind] += 1
        getattr(self, f'_{kind}')()
        self.look_after()

    def _kill(self) -> None:
        process, out = self._start(*self._maybe_prune())
        link = self.link
        if link is not None and self.rng.random() < 0.7:
            arrived = link.up_bytes + self.rng.randint(1, LARGE)
            self._wait(3.0, lambda: link.up_bytes > arrived or process.poll() is not None)
        else:
            self._wait(self.rng.expovariate(2.0))
        process.send_signal(self.rng.choice((signal.SIGKILL, signal.SIGTERM)))
        self._ended(process, out)

    def _watch(self) -> None:
        process, out = self._start('--watch', *self._maybe_prune())
        for _ in range(self.rng.randint(1, 3)):
            self._wait(self.rng.uniform(0.0, 1.0))
            self.look_after()
        process.send_signal(self.rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
        self._ended(process, out)

    def _cut(self) -> None:
        assert self.link is not None
        after = self.rng.choice((self.rng.randint(1, SEGMENT), 3 << 20, 7 << 20))
        self.link.cut_after = after
        self._run('--timeout', '2', *self._maybe_prune())
        self.link.cut_after = 0

    def _slow(self) -> None:
        assert self.link is not None
        self.link.bytes_per_s = self.rng.randint(50, 2000) * KIB
        process, out = self._start(*self._maybe_prune())
        self._wait(self.rng.uniform(0.2, 2.0))
        process.send_signal(self.rng.choice((signal.SIGTERM, signal.SIGKILL)))
        self._ended(process, out)
        self.link.bytes_per_s = 0

    def _errors(self) -> None:
        assert self.link is not None
        status = self.rng.choice(('500 Internal', '503 Slow Down', '502 Bad', '429 Too Many'))
        self.link.answer = f'HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n'.encode()
        process, out = self._start('--timeout', '4', *self._maybe_prune())
        self._wait(self.rng.uniform(0.0, 3.0))
        self.link.answer = b''
        self._ended(process, out)

    def _down(self) -> None:
        assert self.link is not None
        process, out = self._start('--timeout', '3', *self._maybe_prune())
        self._wait(self.rng.uniform(0.0, 1.0))
        self.link.down()
        self._wait(self.rng.uniform(0.0, 1.5))
        self.link.is_up = True
        self._ended(process, out)

    def _full(self) -> None:
        if self.link is not None:
            status = self.rng.choice(('507 Insufficient Storage', '413 Too Large'))
            self.link.answer = f'HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n'.encode()
            self._run('--timeout', '2', *self._maybe_prune())
            self.link.answer = b''
            return
        assert isinstance(self.store, DirectoryStore)
        if self.store.directory.is_mount():
            ballast = fill_disk(
                self.store.directory, leave_bytes=self.rng.randint(0, 200) * KIB
            )
            self._run(*self._maybe_prune())
            ballast.unlink()

    def _skew(self) -> None:
        clock_directory = self.directory / f'clock{self.figures["skew"]}'
        clock_directory.mkdir()
        clock = ProcessClock(clock_directory)
        clock.error_ns = self.rng.randint(-(10**9), 10**9) * self.rng.choice((60, 10**6)) * 1000
        command = [sys.executable, '-m', 'fdr_recorder.cli', *self._words('--timeout', '2')]
        done = subprocess.run(
            command,
            env={**os.environ, **self._environment(), **clock.environment},
            capture_output=True,
            check=False,
            timeout=PATIENCE_S,
        )
        said = (done.stdout + done.stderr).decode()
        assert done.returncode in ENDS, said
        assert 'Traceback' not in said, said

    def _journal(self) -> None:
        files = [path for path in self.root.glob('.fdr.offload/*/*') if path.name[0] != '.']
        for path in files:
            data = bytearray(path.read_bytes())
            if self.rng.random() < 0.5:  # what looks right and is not
                path.write_bytes(re.sub(rb'"[0-9a-f]{60}', b'"' + b'0' * 60, data))
                continue
            for _ in range(self.rng.randint(1, 20)):
                if data:
                    data[self.rng.randrange(len(data))] = self.rng.randrange(256)
            path.write_bytes(data[:self.rng.randint(0, len(data))] if data else b'')
        self._run(*self._maybe_prune())

    def _alter(self) -> None:
        """Change or remove an object of a flight that is still on the drone."""
        prefix = f'vehicles/{encoded(VEHICLE)}/flights/'
        there = {path.name for path in self.root.iterdir()} - {self._live}
        keys = [key for key in self.store.objects(prefix) if decoded(key.split('/')[3]) in there]
        keys = [
            key for key in keys if (self.root / key.split('/')[3] / key.split('/')[4]).exists()
        ]
        if keys:
            key = self.rng.choice(keys)
            self.is_altered = True
            data = bytearray(self.store.objects(key)[key])
            if data and self.rng.random() < 0.6:
                data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
                self.store.put(key, bytes(data))
            else:
                self.store.remove(key)
        self._run('--prune')

    def _server(self) -> None:
        assert isinstance(self.store, StoreServer)
        process, out = self._start('--timeout', '20', *self._maybe_prune())
        self._wait(self.rng.uniform(0.0, 1.0))
        self.store.kill()
        self._wait(self.rng.uniform(0.0, 1.0))
        self.store.start()
        self._ended(process, out)

    # --- running it ----------------------------------------------------------------------

    def _maybe_prune(self) -> list[str]:
        return ['--prune'] if self.rng.random() < 0.3 else []

    def _words(self, *words: str) -> list[str]:
        return ['offload', str(self.root), self.store.url, *words]

    def _environment(self, port: int | None = None) -> dict[str, str]:
        if not isinstance(self.store, StoreServer):
            return {}
        ours = self.link.port if self.link is not None else None
        return dict(self.store.environment(port or ours))

    def _start(self, *words: str, port: int | None = None) -> tuple[ForkedProcess, Path]:
        out = self.directory / f'out{time.monotonic_ns()}'
        with out.open('wb') as said, Path(os.devnull).open() as nothing:
            process = fork_server('fleet').start(
                'fdr_recorder.cli',
                self._words(*words),
                {**os.environ, **self._environment(port)},
                (nothing.fileno(), said.fileno(), said.fileno()),
            )
        return process, out

    def _run(self, *words: str, port: int | None = None) -> int:
        process, out = self._start(*words, port=port)
        return self._ended(process, out)

    def _ended(self, process: ForkedProcess, out: Path) -> int:
        try:
            code = process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
        said = out.read_text()
        assert code in ENDS, (code, said)
        assert 'Traceback' not in said, said
        assert SECRET not in said
        out.unlink()
        self.figures['incomplete'] += code == 2
        return code

    def _wait(self, seconds: float, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Let some time go by, in which the flight that goes on is recorded."""
        until = time.monotonic() + seconds

        def is_over() -> bool:
            return is_enough() or time.monotonic() >= until

        wait_until(is_over, 'a while', seconds + PATIENCE_S)

    # --- what must hold ------------------------------------------------------------------

    def end(self) -> None:
        """Let nothing break any more; then all must be there."""
        self.end_live()
        for name in [*self.torn]:
            self.recover(name)
        words = ['--prune'] if self.is_altered else []
        port = self.store.port if isinstance(self.store, StoreServer) else None
        begun = time.monotonic()
        code = self._run(*words, port=port)
        self.figures['last_run_s'] += time.monotonic() - begun
        assert code == 0, code
        self.check()

    def check(self) -> None:
        """Check every flight in the store, and that nothing else is there."""
        objects = self.store.objects('vehicles/')
        assert not self.store.uploads('vehicles/')
        there = {path.name for path in self.root.iterdir() if path.name[0] != '.'}
        named = set()
        for number in range(1, self._flights + 1):
            name = f'flight{number}'
            key = FlightKey(VEHICLE, name)
            manifest = Manifest.parse(objects[key.manifest], key)
            named.add(key.manifest)
            found = {}
            for file in manifest.files:
                data = objects[key.file(file.name)]
                assert _hash(data) == file.sha256, (name, file)
                named.add(key.file(file.name))
                found[file.name] = file.sha256
            truth = self.truth.get(name)
            if name in there:
                assert truth is not None
                now = contents(self.root / name)
                assert {file: _hash(data) for file, data in now.items()} == truth
            more = found
            if truth is not None:
                assert truth.items() <= found.items(), (name, truth, found)
                more = {file: value for file, value in found.items() if file not in truth}
            seen = self.seen.get(name, {})
            assert all(seen.get(file, value) == value for file, value in more.items()), name
            self.figures['removed_here'] += name not in there
        assert set(objects) == named, set(objects) ^ named
        logged = self.root / '.fdr.pruned'
        text = logged.read_text() if logged.exists() else ''
        assert text.count('\nflight: ') == self._flights - len(there)
        self.figures['megabytes'] += sum(map(len, objects.values())) / 1e6

    def close(self) -> None:
        """End what is still recorded."""
        if self._writer is not None:
            self._writer.stop()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
