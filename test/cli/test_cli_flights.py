# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What `fdr ls`, `info`, `verify` and `recover` say is what independent readers find."""

from __future__ import annotations

from collections import Counter
import json
from pathlib import Path
from typing import Any

from campaigns._recovered import check_recovered, snapshot
from conftest import MakeWriter, Record, SMALL
from fdr_recorder import FdrConfig, FlightRoot, new_flight_header, RingConfig
from fdr_recorder.cli.main import main
from fdr_recorder.flights.info import read_info
from fdr_recorder.flights.recovery.recover import needs_recovery
from fdr_recorder.record.kinds import AlertRecord, FlightHeader
from flight_check import open_flight_files, read_whole_chunks
from paths_of_kinds import FLIGHTS, Kinds, MESSAGES
from producers import make_client, numbered, open_flight, send
import pytest

FIRST_NS = 1_700_000_000_000_000_000
MS = 1_000_000


@pytest.fixture
def kinds(make_writer: MakeWriter, record_flight: Record, root: Path, tmp_path: Path) -> Kinds:
    return Kinds(root, tmp_path, make_writer, record_flight)


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    """Return what a verb says as JSON."""
    assert main([*map(str, arguments), '--json']) == code
    return json.loads(capsys.readouterr().out)


# --- ls ----------------------------------------------------------------------------------------

STATES = {
    'clean': 'complete',
    'unclean': 'not closed',
    'recovered': 'recovered',
    'capped': 'losses',
    'recording': 'open',
}


def test_a_list_of_flights(kinds: Kinds, capsys: pytest.CaptureFixture[str]) -> None:
    paths = kinds.make_all(kind for kind in FLIGHTS if kind in STATES)
    found = said(capsys, 'ls', kinds.root)
    assert found['root'] == str(kinds.root)
    assert 'fdr_recorder on ' in found['in_use_by']
    flights = {item['flight_id']: item for item in found['flights']}
    assert {name: item['status']['ended'] for name, item in flights.items()} == {
        **STATES, 'clean': 'closed', 'capped': 'closed', 'unclean': 'unknown'
    }
    starts = [item['started_ns'] for item in found['flights']]
    assert starts == sorted(starts)
    for name, path in paths.items():
        item = flights[name]
        segments = sorted(path.glob('*.mcap'))
        messages = [message for file in segments for message in read_whole_chunks(file)]
        assert item['records'] == len(messages), name
        assert item['segments'] == len(segments), name
        kept = [*path.glob('*.tail'), *path.glob('*.damaged')]
        assert item['kept_bytes'] == sum(file.stat().st_size for file in kept), name
        assert item['bytes'] == sum(file.stat().st_size for file in (*segments, *kept)), name
        assert item['started_ns'] <= min(message.log_time for message in messages), name
    capped = open_flight_files(paths['capped'])
    assert flights['capped']['segments_dropped'] == capped.footer.segments_dropped
    assert flights['capped']['losses'] == {
        'transport': 0,
        'overrun': 0,
        'write_error': 0,
        'capacity': capped.footer.records_written - len(capped.messages),
        'before_match': 0,
        'removed': 0,
        'unexplained': 0,
        'unreadable_bytes': 0,
        'has_end': True,
        'unseen_topics': [],
    }
    main(['ls', str(kinds.root)])
    text = capsys.readouterr().out
    for name, state in STATES.items():
        assert any(name in line and state in line for line in text.splitlines())


def test_start_and_duration_are_those_of_header_and_footer(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer, client = make_writer(), make_client()
    writer.register(client)
    config = FdrConfig(flight_root=str(root), vehicle_id='drone-7')
    header = new_flight_header('x', config)
    writer.open_flight(header)
    send(client, range(10))
    footer = writer.close_flight('x').footer
    (item,) = said(capsys, 'ls', root)['flights']
    elapsed = footer.flight_ended_at_monotonic_ns - header.flight_started_at_monotonic_ns
    assert item['started_ns'] == header.flight_started_at_ns
    assert item['duration_s'] == elapsed / 1e9
    assert item['vehicle_id'] == 'drone-7'


def test_a_flight_that_an_earlier_recorder_left_is_not_being_recorded(
    kinds: Kinds, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds.unclean()
    with FlightRoot.acquire(kinds.root, owner='/recorder'):
        found = said(capsys, 'ls', kinds.root)
    assert '/recorder' in found['in_use_by']
    assert [item['status']['ended'] for item in found['flights']] == ['unknown']


# --- info --------------------------------------------------------------------------------------


def record_known(make_writer: MakeWriter, root: Path, *, close: bool) -> Path:
    """Record messages every 10 ms, with a gap of 250 ms behind the sixtieth."""
    writer = make_writer(**SMALL)
    steady, rare = make_client('/steady', '0a'), make_client('/rare', '0b')
    open_flight(writer, 'x', steady, rare)
    for number in range(100):
        time_ns = FIRST_NS + number * 10 * MS + (240 * MS if number >= 60 else 0)
        steady.enqueue(numbered(number, 300), time_ns)
        if not number % 50:
            rare.enqueue(numbered(number, 100), time_ns)
    if close:
        writer.close_flight('x')
    writer.stop()
    return root / 'x'


@pytest.mark.parametrize('close', [True, False])
def test_topics_with_rates_gaps_and_sizes(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str], *, close: bool
) -> None:
    flight = record_known(make_writer, root, close=close)
    if not close:  # no summary: the last segment is read whole
        last = max(flight.glob('*.mcap'))
        last.write_bytes(last.read_bytes()[:-5])
    found = said(capsys, 'info', flight)
    topics = {topic['name']: topic for topic in found['topics']}
    steady = topics['/steady']
    assert steady['messages'] == 100
    assert steady['bytes'] == 100 * 300
    assert steady['publishers'] == ['0a']
    assert steady['type'] == 'test_msgs/msg/Blob'
    assert steady['first_ns'] == FIRST_NS
    assert steady['last_ns'] == FIRST_NS + (990 + 240) * MS
    assert steady['rate_hz'] == pytest.approx(99 / 1.23)
    assert steady['gap_ns'] == 250 * MS
    assert steady['gap_at_ns'] == FIRST_NS + 590 * MS
    assert topics['/rare']['messages'] == 2
    assert topics['/rare']['bytes'] == 200
    assert sum(topic['messages'] for topic in found['topics']) == found['records']
    files = found['segment_files']
    assert [item['is_closed'] for item in files] == [True] * (len(files) - 1) + [close]
    assert sum(item['records'] for item in files) == found['records']
    assert main(['info', str(flight)]) == 0
    text = capsys.readouterr().out
    assert '0.250 s' in text
    assert '80.5 Hz' in text


@pytest.mark.parametrize('kind', FLIGHTS)
def test_it_counts_what_is_there(
    kinds: Kinds, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = kinds.make(kind)
    found = said(capsys, 'info', flight)
    paths = sorted(flight.glob('*.mcap'))
    messages = [message for path in paths for message in read_whole_chunks(path)]
    counted = {topic['name']: topic['messages'] for topic in found['topics'] if topic['messages']}
    if kind == 'damaged':  # indexes tell of messages that cannot be read any more
        assert counted['/blob'] == MESSAGES
    else:
        assert counted == Counter(message.topic for message in messages)
        sizes = {topic['name']: topic['bytes'] for topic in found['topics'] if topic['messages']}
        by_topic: Counter[str] = Counter()
        for message in messages:
            by_topic[message.topic] += len(message.data)
        assert sizes == by_topic
    assert (found['footer'] is None) == (kind in ('unclean', 'recording'))
    assert found['header']['flight_id'] == flight.name
    assert [item['name'] for item in found['segment_files']] == [path.name for path in paths]


def test_losses_and_alerts_in_order(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = make_writer()
    client = make_client('/blob', '0a', ring=RingConfig(max_records=4))
    open_flight(writer, 'x', client)
    writer.alerts.raise_alert('topic_missing', 'first', subject='/gps')
    client.count_transport_loss(1, 36)
    sent = send(client, range(2000), patient=False)
    writer.alerts.clear('topic_missing', 'second', subject='/gps')
    footer = writer.close_flight('x').footer
    assert footer.records_dropped_overrun == 2000 - sent > 0
    found = said(capsys, 'info', root / 'x')
    (topic,) = (topic for topic in found['topics'] if topic['name'] == '/blob')
    assert topic['lost_transport'] == 36
    assert topic['dropped_overrun'] == 2000 - sent
    assert found['losses']['transport'] == 36
    assert found['losses']['overrun'] == 2000 - sent
    times = [event['time_ns'] for event in found['events']]
    assert times == sorted(times)
    alerts = [event for event in found['events'] if event['kind'] == 'alert']
    about_gps = [item['message'] for item in alerts if item['subject'] == '/gps']
    assert about_gps == ['first', 'second']
    kinds = {event['kind'] for event in found['events']}
    assert kinds >= {'alert', 'overrun', 'transport_loss'}
    main(['info', str(root / 'x')])
    text = capsys.readouterr().out
    assert text.index('WARN topic_missing') < text.index('over: topic_missing')
    assert f'{2000 - sent + 36:,}' in text


def test_names_in_a_file_do_not_steer_the_terminal(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer, client = make_writer(), make_client('/\x1b[31mred\u202e[bold]', '0a')
    open_flight(writer, 'x', client)
    send(client, range(3))
    writer.close_flight('x')
    for arguments in (['info'], ['verify'], ['cat', '-n', '9'], ['export', '-o', 'x', '-t', '/y']):
        main([arguments[0], str(root / 'x'), *arguments[1:]])
        out, err = capsys.readouterr()
        assert '\x1b' not in out + err
        assert '\u202e' not in out + err
        assert 'red' in out + err or arguments == ['verify']


def test_progress_reaches_the_end(kinds: Kinds) -> None:
    flight = kinds.capped()
    steps: list[int] = []
    read_info(flight, steps.append)
    assert sum(steps) == sum(path.stat().st_size for path in flight.glob('*.mcap'))
    assert min(steps) >= 0


# --- verify ------------------------------------------------------------------------------------


def test_the_worst_flight_of_a_root_decides(
    kinds: Kinds, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds.clean()
    (only,) = said(capsys, 'verify', kinds.root)
    assert only['status']['verdict'] == 'complete'
    capped = kinds.capped()
    both = said(capsys, 'verify', kinds.root, code=1)
    assert {item['status']['verdict'] for item in both} == {'complete', 'losses'}
    damaged = kinds.damaged()
    verdicts = said(capsys, 'verify', capped, damaged, code=2)
    assert [item['status']['verdict'] for item in verdicts] == ['losses', 'damaged']


# --- recover -----------------------------------------------------------------------------------


def test_only_what_needs_it_is_recovered(
    kinds: Kinds, capsys: pytest.CaptureFixture[str]
) -> None:
    clean, unclean = kinds.clean(), kinds.unclean()
    before = snapshot(clean), snapshot(unclean)
    dry = said(capsys, 'recover', kinds.root, '--dry-run', code=1)
    assert [(item['path'], item['needs_recovery']) for item in dry] == [
        (str(clean), False),
        (str(unclean), True),
    ]
    assert (snapshot(clean), snapshot(unclean)) == before
    done = said(capsys, 'recover', kinds.root)
    assert done[0]['recovered'] is None
    assert done[1]['recovered']['footer']['clean_shutdown'] is False
    check_recovered(unclean)
    assert snapshot(clean) == before[0]
    again = snapshot(unclean)
    assert not said(capsys, 'recover', unclean)[0]['needs_recovery']
    assert snapshot(unclean) == again


def test_a_root_that_is_in_use_is_left_alone(
    kinds: Kinds, capsys: pytest.CaptureFixture[str]
) -> None:
    unclean = kinds.unclean()
    before = snapshot(unclean)
    with FlightRoot.acquire(kinds.root, owner='/recorder'):
        assert main(['recover', str(unclean)]) == 3
    assert '/recorder' in capsys.readouterr().err
    assert snapshot(unclean) == before
    assert needs_recovery(unclean)


def test_the_flight_that_is_being_recorded_is_left_alone(
    kinds: Kinds, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = kinds.recording()
    (item,) = said(capsys, 'recover', recording)
    assert item['is_open']
    assert not item['needs_recovery']
    assert item['recovered'] is None


def test_what_is_no_segment_any_more_is_said(
    kinds: Kinds, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = kinds.unclean()
    for path in flight.glob('*.mcap'):
        path.write_bytes(b'nothing')
    assert main(['recover', str(flight)]) == 1
    assert 'nothing of it can be read' in capsys.readouterr().out


def test_long_texts_of_users_are_cut_in_tables(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not in JSON; no terminal is needed for that."""
    long = 'a' + 10_000 * ' word'
    many = {f'key{number}': 'x' for number in range(1000)}
    writer, flight = make_writer(), root / 'x'
    writer.open_flight(FlightHeader(flight_id='x', metadata={'mission': long, **many}))
    writer.emit(AlertRecord(code='topic_missing', level=1, raised=True, message=long))
    writer.close_flight('x')
    for verb, path in (('info', flight), ('ls', root)):
        assert main([verb, str(path)]) == 0
        table = capsys.readouterr().out
        assert 'a word' in table
        assert max(map(len, table.splitlines())) < 1000, verb
        assert len(table.splitlines()) < 120, verb
    document = said(capsys, 'info', flight)
    assert document['metadata']['mission'] == long
    assert long in [event.get('message') for event in document['events']]
