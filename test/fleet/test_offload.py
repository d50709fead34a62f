# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr offload`: what arrives is the flight, byte by byte; whatever cuts it, it goes on."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
import re
import shutil
import signal
import socket
import time
from typing import Any

from disk_faults import mounted_tmpfs
from fdr_recorder import FlightHeader
from fdr_recorder.cli.main import main
from fdr_recorder.fleet.errors import StoreError, StoreUnreachableError
from fdr_recorder.fleet.layout import FlightKey, manifests_prefix
from fdr_recorder.fleet.manifest import Manifest
from fdr_recorder.fleet.refusals import unreachable
from fdr_recorder.fleet.store import Store
from fdr_recorder.fleet.stored_manifests import stored_manifests
from fdr_recorder.flights.recovery.recover import recover
from fork_server import fork_server
from json_documents import errors
from offloading import (
    contents,
    DirectoryStore,
    linked,
    make_writer,
    record_flights,
    stored_flight,
    VEHICLE,
)
from producers import make_client, send
import pytest
from store_places import Place
from store_servers import KEY, SECRET, StoreServer
from waiting import wait_until

LARGE = 12 << 20
SEGMENT = 6 << 20
"""In S3 in two parts."""


def offload(
    capsys: pytest.CaptureFixture[str], root: Path, place: Place | str, *words: object
) -> tuple[int, dict[str, Any]]:
    """Run `fdr offload` in this process; return exit code and document."""
    url = place if isinstance(place, str) else place.url
    capsys.readouterr()
    code = main(['offload', str(root), url, '--json', *map(str, words)])
    said, warned = capsys.readouterr()
    assert SECRET not in said + warned
    document = json.loads(said) if said else {'warned': warned}
    assert not said or not errors('offload', document)
    return code, document


def states(document: dict[str, Any]) -> dict[str, str]:
    return {flight['flight']: flight['state'] for flight in document['flights']}


class Running:
    """An `fdr offload` in a process of its own."""

    def __init__(
        self, root: Path, place: Place, *words: str, port: int | None = None
    ) -> None:
        server = place.environment(port) if isinstance(place, StoreServer) else {}
        self._out = root.parent / f'out{time.monotonic_ns()}'
        with self._out.open('wb') as said, Path(os.devnull).open() as nothing:
            self.process = fork_server('fleet').start(
                'fdr_recorder.cli',
                ['offload', str(root), place.url, *words],
                {**os.environ, **server},
                (nothing.fileno(), said.fileno(), said.fileno()),
            )

    @property
    def said(self) -> str:
        """Return what it has said so far."""
        return self._out.read_text()

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Wait for its end, after a signal; return exit code and what it said."""
        try:
            if number is not None:
                self.process.send_signal(number)
            return self.process.wait(60), self.said
        finally:
            self.process.kill()
            self.process.wait()


def test_what_is_in_the_store_is_what_is_on_the_drone(
    tmp_path: Path, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / 'root'
    flights = record_flights(root, 'one', 'two')
    large = record_flights(root, 'large', size=LARGE, segment_bytes=SEGMENT)
    (flights[0] / 'link').symlink_to('/etc/passwd')
    (flights[0] / '.metadata.yaml.tmp').write_text('half')
    code, document = offload(capsys, root, place)
    assert (code, document['is_complete']) == (0, True)
    assert states(document) == {'one': 'stored', 'two': 'stored', 'large': 'stored'}
    objects = place.objects()
    (flights[0] / 'link').unlink()
    (flights[0] / '.metadata.yaml.tmp').unlink()
    for flight in (*flights, *large):
        assert stored_flight(objects, flight.name) == contents(flight)
    assert len(objects) == 3 + sum(len(contents(flight)) for flight in (*flights, *large))
    code, again = offload(capsys, root, place)
    assert (code, again['sent_bytes']) == (0, 0)
    (journal,) = (root / '.fdr.offload').iterdir()
    for name in ('one', 'two', 'large'):
        path = journal / name
        data = re.sub(rb'"[0-9a-f]{64}"', b'"%064d"' % 0, path.read_bytes())
        path.write_bytes(data[:-20] + b'\xff\n')
    place.remove(FlightKey(VEHICLE, 'one').manifest)  # it is not written from such a journal
    code, again = offload(capsys, root, place)
    assert (code, again['sent_bytes']) == (0, 0)
    assert place.objects() == objects


def test_killed_in_the_middle_it_goes_on_there(
    tmp_path: Path, weed: StoreServer, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weed.empty()
    root = tmp_path / 'root'
    (flight,) = record_flights(root, 'large', size=LARGE, segment_bytes=SEGMENT)
    with linked(weed.port) as link:
        link.bytes_per_s = 8 << 20
        running = Running(root, weed, port=link.port)
        arrived = SEGMENT + (5 << 20) + (256 << 10)
        wait_until(lambda: link.up_bytes > arrived, 'a part of the second segment')
        running.end(signal.SIGKILL)
    assert weed.uploads() == [FlightKey(VEHICLE, 'large').file('segment_000001.mcap')]
    for name, value in weed.environment().items():
        monkeypatch.setenv(name, value)
    assert offload(capsys, root, weed)[0] == 0
    objects = weed.objects()
    assert stored_flight(objects, 'large') == contents(flight)
    assert not weed.uploads()


@pytest.mark.slow
def test_a_link_that_is_cut_all_the_time_only_makes_it_slower(
    tmp_path: Path, weed: StoreServer
) -> None:
    weed.empty()
    root = tmp_path / 'root'
    (flight,) = record_flights(root, 'large', size=LARGE, segment_bytes=SEGMENT)
    with linked(weed.port) as link:
        link.cut_after = 6 << 20
        code, said = Running(root, weed, port=link.port).end()
        assert code == 0, said
        assert link.up_bytes < 2 * LARGE
    assert stored_flight(weed.objects(), 'large') == contents(flight)
    assert not weed.uploads()


def test_a_store_that_is_full_or_refuses_is_told_and_nothing_is_lost(
    tmp_path: Path, weed: StoreServer, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weed.empty()
    root = tmp_path / 'root'
    (flight,) = record_flights(root, 'one')
    for name, value in weed.environment().items():
        monkeypatch.setenv(name, value)
    said = {}
    said['bucket'] = offload(capsys, root, 's3://no-such-bucket')
    with linked(weed.port) as link:
        monkeypatch.setenv('AWS_ENDPOINT_URL', f'http://127.0.0.1:{link.port}')
        for name, status in (('full', '507 Insufficient Storage'), ('down', '503 Slow Down')):
            link.answer = f'HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n'.encode()
            said[name] = offload(capsys, root, weed, '--prune', '--timeout', 2)
    monkeypatch.setenv('AWS_ENDPOINT_URL', f'http://127.0.0.1:{weed.port}')
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'wrong')
    said['key'] = offload(capsys, root, weed)
    assert {name: code for name, (code, _) in said.items()} == {
        'bucket': 3, 'full': 3, 'down': 2, 'key': 3,
    }
    assert 'no such bucket' in said['bucket'][1]['warned']
    assert 'the store is full (507)' in said['full'][1]['warned']
    assert 'run it again' in said['down'][1]['why']
    assert 'look at the key and its rights' in said['key'][1]['warned']
    assert not any('wrong' in json.dumps(document) for _, document in said.values())
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', SECRET)
    assert offload(capsys, root, weed)[0] == 0
    assert stored_flight(weed.objects(), 'one') == contents(flight)


def test_a_store_that_cannot_be_reached_is_told_in_one_sentence(
    tmp_path: Path, moto: StoreServer, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / 'root'
    record_flights(root, 'one')
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr('fdr_recorder.fleet.store._RETRIES', 0)
    with pytest.raises(StoreError, match='no such bucket'):
        list(Store.open('s3://no-such-bucket').objects('catalogue/'))
    with socket.create_server(('127.0.0.1', 0)) as closed:
        address = f'http://127.0.0.1:{closed.getsockname()[1]}'
    monkeypatch.setenv('AWS_ENDPOINT_URL', address)
    store = Store.open(moto.url)
    said = set()
    for ask in (
        lambda: [*store.objects('a/')], lambda: store.get('b/c'), lambda: store.put('d', b''),
        lambda: store.sweep('e/', lambda _key: None),
    ):
        with pytest.raises(StoreUnreachableError) as caught:
            ask()
        said.add(str(caught.value))
    (sentence,) = said
    assert f'{address} cannot be reached: it refuses connections' in sentence
    assert main(['offload', str(root), moto.url, '--timeout', '2']) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2  # once, and that it was given up
    assert all(sentence in line for line in told)


@pytest.mark.parametrize(
    ('said', 'why'),
    [
        ('GET http://a.b:9/f?X-Amz-Signature=5 in 2ms Connect "dns error"', 'knows this name'),
        ('Could not connect to "http://user:5@a.b:9/f": [Errno 111] refused', 'refuses'),
        ('http://a.b:9/ source: TimedOut', 'does not answer in time'),
        ('something new about http://a.b:9', 'the connection failed'),
    ],
)
def test_why_a_store_is_not_reached_is_told_without_what_is_secret(said: str, why: str) -> None:
    text = str(unreachable('s3://flights', said))
    assert text.startswith('s3://flights: http://a.b:9 cannot be reached: ')
    assert why in text
    assert '5' not in text


def test_a_flight_that_goes_on_is_followed_and_dropped_segments_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, store = tmp_path / 'root', DirectoryStore(tmp_path / 'store')
    root.mkdir()
    writer = make_writer(root, flight_cap_bytes=200 << 10)
    client = make_client('/blob')
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id='live', vehicle_id=VEHICLE))
    flight = root / 'live'
    send(client, range(40), 4096)
    wait_until(lambda: 'segment_000001.mcap' in (flight / 'metadata.yaml').read_text())
    code, document = offload(capsys, root, store)
    assert (code, states(document)) == (2, {'live': 'ongoing'})
    key = FlightKey(VEHICLE, 'live')
    early = store.objects(key.files)
    assert early
    assert key.manifest not in store.objects()
    assert all(data == (flight / Path(name).name).read_bytes() for name, data in early.items())
    send(client, range(200), 4096)
    first = flight / 'segment_000000.mcap'
    wait_until(lambda: not first.exists(), 'the cap')
    writer.close_flight('live')
    writer.stop()
    code, document = offload(capsys, root, store)
    assert (code, states(document)) == (0, {'live': 'stored'})
    there = stored_flight(store.objects(), 'live')
    assert there == contents(flight) | {Path(name).name: data for name, data in early.items()}


def test_a_flight_that_is_recovered_later_replaces_what_was_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, store = tmp_path / 'root', DirectoryStore(tmp_path / 'store')
    (flight,) = record_flights(root, 'torn')
    (flight / 'metadata.yaml').unlink()
    last = sorted(flight.glob('*.mcap'))[-1]
    with last.open('r+b') as file:
        file.truncate(last.stat().st_size // 2)
    key = FlightKey(VEHICLE, 'torn')
    for ended in ('unknown', 'recovered'):
        assert offload(capsys, root, store)[0] == 0
        objects = store.objects()
        assert stored_flight(objects, 'torn') == contents(flight)
        assert Manifest.parse(objects[key.manifest], key).ended == ended
        recover(flight)


def test_a_flight_without_a_header_is_that_of_the_vehicle_whose_the_others_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, store = tmp_path / 'root', DirectoryStore(tmp_path / 'store')
    (torn,) = record_flights(root, 'torn', size=4 << 10)
    (torn / 'metadata.yaml').unlink()
    (segment,) = torn.glob('*.mcap')
    with segment.open('r+b') as file:
        file.truncate(2 << 10)
    code, document = offload(capsys, root, store)
    assert (code, states(document), store.objects()) == (1, {'torn': 'failed'}, {})
    assert 'say --vehicle NAME' in document['flights'][0]['why']

    record_flights(root, 'whole')
    for _ in range(2):
        assert offload(capsys, root, store)[0] == 0
        objects = store.objects()
        assert stored_flight(objects, 'torn') == contents(torn)
        assert {key.split('/')[1] for key in objects} == {'drone~207'}
        recover(torn)


def test_another_flight_of_the_same_name_is_left_there_and_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = DirectoryStore(tmp_path / 'store')
    record_flights(tmp_path / 'a', 'same')
    assert offload(capsys, tmp_path / 'a', store)[0] == 0
    before = store.objects()
    record_flights(tmp_path / 'b', 'other', 'more')
    (tmp_path / 'b' / 'other').rename(tmp_path / 'b' / 'same')
    code, document = offload(capsys, tmp_path / 'b', store)
    assert (code, states(document)) == (1, {'same': 'refused', 'more': 'stored'})
    assert {key: store.objects()[key] for key in before} == before
    (store.directory / FlightKey(VEHICLE, 'same').manifest).unlink()  # not yet complete
    code, document = offload(capsys, tmp_path / 'b', store)
    assert (code, states(document)) == (1, {'same': 'refused', 'more': 'stored'})
    code, document = offload(capsys, tmp_path / 'b', store, '--vehicle', 'drone-8')
    assert code == 0
    assert set(stored_flight(store.objects(), 'same', 'drone-8')) == set(
        contents(tmp_path / 'b' / 'same')
    )


def test_what_is_wrong_with_one_flight_does_not_hold_up_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, store = tmp_path / 'root', DirectoryStore(tmp_path / 'store')
    first, second = record_flights(root, 'first', 'second')
    blocked = store.directory / FlightKey(VEHICLE, 'first').files.rstrip('/')
    blocked.parent.mkdir(parents=True)
    blocked.touch()
    code, document = offload(capsys, root, store)
    assert code == 3
    assert 'something else is in its place' in document['warned']
    assert stored_flight(store.objects(), 'second') == contents(second)
    blocked.unlink()
    assert offload(capsys, root, store)[0] == 0
    assert stored_flight(store.objects(), 'first') == contents(first)


def test_a_drone_deletes_nothing_and_needs_no_right_to(
    tmp_path: Path, moto: StoreServer, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moto.empty()
    root = tmp_path / 'root'
    flights = record_flights(root, 'one', size=LARGE, segment_bytes=SEGMENT)
    with linked(moto.port) as link:
        for name, value in moto.environment(link.port).items():
            monkeypatch.setenv(name, value)
        assert offload(capsys, root, moto)[0] == 0
        (flights[0] / 'PINS').write_text('{}')  # it replaces an object or two
        assert offload(capsys, root, moto)[0] == 0
        (flights[0] / 'PINS').unlink()
        assert offload(capsys, root, moto, '--prune')[0] in (0, 1)
        assert {'PUT', 'GET', 'POST'} <= link.methods
        assert 'DELETE' not in link.methods


@pytest.mark.slow
def test_the_rate_is_kept(tmp_path: Path, weed: StoreServer) -> None:
    weed.empty()
    root = tmp_path / 'root'
    record_flights(root, 'large', size=LARGE, segment_bytes=SEGMENT)
    rate = 2_000_000
    with linked(weed.port) as link:
        words = '--rate-limit', '2MB/s', '--low-priority'
        running = Running(root, weed, *words, port=link.port)
        wait_until(lambda: link.up_bytes > 500_000, 'the beginning')
        begun, before = time.monotonic(), link.up_bytes
        wait_until(lambda: time.monotonic() - begun > 4.0, 'some seconds')
        took_s, count = time.monotonic() - begun, link.up_bytes - before
        nice = os.getpriority(os.PRIO_PROCESS, running.process.pid)
        policy = os.sched_getscheduler(running.process.pid)
        ended = time.monotonic()
        code, _ = running.end(signal.SIGTERM)
        took_to_end_s = time.monotonic() - ended
    assert count / took_s == pytest.approx(rate, rel=0.07)
    assert (nice, policy) == (19, os.SCHED_IDLE)
    assert took_to_end_s < 3.0  # two, on a machine that does nothing else
    assert code == 2


def test_one_at_a_time(tmp_path: Path, weed: StoreServer) -> None:
    weed.empty()
    root = tmp_path / 'root'
    record_flights(root, 'one')
    with linked(weed.port) as link:
        link.down()
        first = Running(root, weed, '--watch', port=link.port)
        wait_until(lambda: [*root.glob('.fdr.offload/*/.lock')], 'the journal')
        code, second = Running(root, weed, port=link.port).end()
        assert code == 3
        assert 'another process' in second
        code, out = first.end(signal.SIGINT)
        assert code == 130
    assert KEY not in out
    assert SECRET not in out


@pytest.mark.parametrize('name', ['a//b.json', '../b.json', 'a\1b.json'])
def test_an_object_with_an_impossible_name_hides_its_vehicle_alone(
    moto: StoreServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    moto.empty()
    for variable, value in moto.environment().items():
        monkeypatch.setenv(variable, value)
    store = Store.open(moto.url)
    keys = [FlightKey(f'drone-{number}', 'flight') for number in range(3)]
    for key in keys:
        store.put(key.manifest, b'{}')
    moto.put(manifests_prefix('drone-1') + name, b'')
    unlisted: dict[str, str] = {}
    found = stored_manifests(store, '', lambda *said: unlisted.update([map(str, said)]))
    assert [key for key, _ in found] == [keys[0], keys[2]]
    assert unlisted.keys() == {'drone-1'}
    assert 'remove them' in unlisted['drone-1']


def test_a_full_directory_keeps_what_was_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / 'root'
    (flight,) = record_flights(root, 'one', size=2 << 20, segment_bytes=256 << 10)
    with mounted_tmpfs(tmp_path / 'small', 1 << 20) as small:
        code, document = offload(capsys, root, str(small), '--prune')
        assert code == 3
        assert 'No space left' in document['warned']
        assert not list(small.rglob('*#*'))
        assert not list(small.rglob('*.json'))
    assert flight.exists()


def test_leftovers_of_the_dead_are_removed_and_not_of_the_living(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, store = tmp_path / 'root', DirectoryStore(tmp_path / 'store')
    record_flights(root, 'one')
    assert offload(capsys, root, store)[0] == 0
    below = store.directory / FlightKey(VEHICLE, 'one').files
    dead, living = below / 'segment_000000.mcap#1', below / 'segment_000000.mcap#2'
    dead.write_bytes(b'half')
    with living.open('wb') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert offload(capsys, root, store)[0] == 0
        assert (dead.exists(), living.exists()) == (False, True)
    shutil.rmtree(root)


def test_watching_follows_what_comes_and_costs_nothing_for_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, store = tmp_path / 'root', DirectoryStore(tmp_path / 'store')
    running = Running(root, store, '--watch')
    try:
        wait_until(lambda: 'waiting for it' in running.said, 'the beginning')
        record_flights(root, 'one')
        wait_until(lambda: f'{VEHICLE}/one: stored\n' in running.said, 'the first')
        record_flights(root, 'two')
        wait_until(lambda: f'{VEHICLE}/two: stored\n' in running.said, 'the second')
    finally:
        code, said = running.end(signal.SIGTERM)
    assert code == 0
    assert [line for line in said.splitlines() if 'stored' not in line][1:] == [
        f'2 of 2 flights in {store.url}; {said.rpartition("; ")[2]}'.rstrip()
    ]
