# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A report says the truth about a flight in plain words, on a page that needs nothing else."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
import pty
import re
import subprocess
import sys
import time

from conftest import MakeWriter, Record
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import AlertBoard, new_flight_header, RingConfig
from fdr_recorder.cli.main import main
from fdr_recorder.config import FdrConfig, FdrWriterConfig
from fdr_recorder.errors import ExportError
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.report import check_target, gather, render, write_page
from fdr_recorder.report.verdict import findings, Level, verdict
import numpy as np
from paths_of_kinds import Kinds
from producers import make_client, numbered, open_flight, send
import pytest
from report_pages import HOSTILE, Page, page_of, record_hostile
from sensor_flight import cdr, message, NS_PER_S, record_sensors, schema, START_NS
from waiting import wait_until


@pytest.fixture
def kinds(make_writer: MakeWriter, record_flight: Record, root: Path, tmp_path: Path) -> Kinds:
    return Kinds(root, tmp_path, make_writer, record_flight)


# --- the verdict -------------------------------------------------------------------------------


def test_a_complete_flight(make_writer: MakeWriter, root: Path) -> None:
    report = gather(record_sensors(make_writer, root))
    found = verdict(report)
    footer = report.info.footer
    assert footer is not None
    count = sum(item.offered for item in footer.producers if not item.topic.startswith('/fdr/'))
    assert found.level is Level.GOOD
    assert found.headline == 'Complete: closed, and nothing is missing.'
    assert f'Every one of {count:,} messages is accounted for.' in found.sentences
    page = Page(render(report))
    assert found.headline in page.text
    assert 'The sum above is right' in page.text
    assert '✕' not in page.text


def test_losses_are_told_with_numbers_topics_and_times(
    make_writer: MakeWriter, root: Path
) -> None:
    writer = make_writer()
    camera = make_client('/camera', '0a')
    lidar = make_client('/lidar', '0b', ring=RingConfig(max_records=10))
    open_flight(writer, 'x', camera, lidar)
    send(camera, range(5))
    camera.count_transport_loss(6, 40)
    send(camera, range(5))
    refused = 1000 - send(lidar, range(1000), patient=False)
    writer.close_flight('x')
    writer.stop()
    report = gather(root / 'x')
    found = verdict(report)
    assert refused > 0
    assert found.level is Level.LOSS
    missing = refused + 35
    assert found.headline.startswith(f'Closed, with losses: {missing:,} messages lost ')
    assert (
        f'Every one of 1,045 messages is accounted for; {missing:,} are not in this recording.'
    ) in found.sentences
    at = r'(at|between) \d\d:\d\d:\d\d\.\d'
    (camera_words,) = (words for words in found.sentences if '/camera' in words)
    (lidar_words,) = (words for words in found.sentences if '/lidar' in words)
    assert re.match(f'35 messages of /camera never reached the recorder, {at}', camera_words)
    assert re.match(f'{refused:,} messages of /lidar were refused, .*, {at}', lidar_words)
    page = Page(render(report))
    assert any(words.startswith('35 messages of /camera, ') for words in page.words())
    assert any(words.startswith(f'{refused:,} messages of /lidar, ') for words in page.words())


@pytest.mark.parametrize(
    ('kind', 'level', 'headline'),
    [
        ('clean', Level.GOOD, 'Complete: closed, and nothing is missing.'),
        ('unclean', Level.WARN, 'Not closed: a crash or a power cut ended it, '),
        ('recovered', Level.WARN, 'Recovered after a crash or a power cut: '),
        ('capped', Level.LOSS, 'Closed, with losses: '),
        ('recording', Level.LIVE, 'This flight is being recorded right now.'),
        ('damaged', Level.BAD, 'Damaged: '),
    ],
)
def test_flights_in_every_state(kind: str, level: Level, headline: str, kinds: Kinds) -> None:
    report = gather(kinds.make(kind))
    found = verdict(report)
    assert found.level is level
    assert found.headline.startswith(headline)
    page = Page(render(report))
    assert found.headline in page.text
    assert '/blob' in page.text
    dropped = [words for words in page.words() if 'dropped to free space' in words]
    assert bool(dropped) == (kind == 'capped')
    assert bool([words for words in page.words() if 'not closed' in words]) == (
        kind in ('unclean', 'recording')
    )


def test_what_a_crash_can_have_cost_is_as_configured(
    make_writer: MakeWriter, root: Path
) -> None:
    config = FdrConfig(writer=FdrWriterConfig(flush_interval_s=0.5, sync_interval_s=2.0))
    writer, client = make_writer(), make_client()
    writer.register(client)
    writer.open_flight(new_flight_header('x', config))
    send(client, range(10))
    writer.stop()
    found = verdict(gather(root / 'x'))
    bound = 'at most 0.5 s after a crash, 2.5 s after a power cut.'
    assert any(sentence.endswith(bound) for sentence in found.sentences)


def test_a_flight_of_nothing(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer()
    open_flight(writer, 'x', make_client())
    writer.close_flight('x')
    writer.stop()
    report = gather(root / 'x')
    assert verdict(report).headline == 'Empty: no message of any topic came.'
    Page(render(report))


def test_damage_is_told_without_end(kinds: Kinds) -> None:
    flight = kinds.make('damaged')
    for segment in flight.glob('*.mcap'):
        data = bytearray(segment.read_bytes())
        for place in range(2000, len(data), 2500):
            data[place] ^= 0xFF
        segment.write_bytes(data)
    report = gather(flight)
    found = verdict(report)
    assert found.level is Level.BAD
    assert 1 < len(found.sentences) < 30
    assert not any(str(flight) in sentence for sentence in found.sentences)
    assert any(sentence.startswith('segment_00000') for sentence in found.sentences)
    Page(render(report))


def test_what_the_disk_refused_is_told(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, client = make_writer(alerts=AlertBoard()), make_client(
        '/imu', '0a', ring=RingConfig(max_records=20)
    )
    open_flight(writer, 'x', client)
    send(client, range(10))
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writev.fail(errno.EIO)
    wait_until(lambda: writer.status.is_degraded, 'a refused write')
    send(client, range(60))
    wait_until(lambda: client.ring.fill <= 0.5, 'the oldest records are discarded')
    writev.work()
    wait_until(lambda: not writer.status.is_degraded, 'the disk to be tried again')
    footer = writer.close_flight('x').footer
    writer.stop()
    refused = footer.records_dropped_write_error
    assert refused >= 20
    report = gather(root / 'x')
    found = verdict(report)
    assert found.level is Level.LOSS
    assert any(
        sentence.startswith(f'{refused} messages were discarded, because the disk refused them')
        for sentence in found.sentences
    )
    page = Page(render(report))
    assert any(words.startswith(f'{refused} messages, ') for words in page.words())
    assert any('recording is suspended' in words for words in page.words())
    assert '✕' not in page.text


def test_silence_is_found(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer()
    fast, slow = make_client('/fast', '0a'), make_client('/slow', '0b')
    open_flight(writer, 'x', fast, slow)
    for number in range(400):
        at_ns = START_NS + number * NS_PER_S // 10
        if not 100 <= number < 130:
            fast.enqueue(numbered(number), at_ns)
        if number < 50:
            slow.enqueue(numbered(number), at_ns)
    writer.close_flight('x')
    writer.stop()
    first, second = findings(gather(root / 'x'))
    assert first.startswith('No topic at all had a message for 3.1 s, between ')
    assert re.fullmatch(r'/slow fell silent at [\d:.]+, 35\.0 s before the end\.', second)


def test_a_clock_that_was_set_is_told(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(), make_client()
    writer.register(client)
    now_ns, steady_ns = time.time_ns(), time.monotonic_ns()
    header = FlightHeader(
        flight_id='x',
        flight_started_at_ns=now_ns - 3600 * NS_PER_S,
        flight_started_at_monotonic_ns=steady_ns,
    )
    writer.open_flight(header)
    send(client, range(10))
    writer.close_flight('x')
    writer.stop()
    (found,) = findings(gather(root / 'x'))
    assert found.startswith("The vehicle's clock was set during the flight, ahead by 1 h 00 min.")


# --- the page ----------------------------------------------------------------------------------


def test_it_needs_nothing_else(make_writer: MakeWriter, root: Path) -> None:
    page = page_of(record_sensors(make_writer, root))
    for tag, attributes in page.elements:
        assert tag not in ('link', 'img', 'iframe', 'object', 'embed', 'base', 'form')
        assert 'src' not in attributes
        assert 'style' not in attributes, 'the policy lets no style attribute pass'
        assert attributes.get('href', '#').startswith('#')
    assert '//' not in re.sub(
        r'(?s)<script(?: type="text/plain"[^>]*)?>.*?</script>|//! .*', '', page.html
    )
    assert 'url(' not in page.html
    assert '@import' not in page.html
    assert page.html.startswith('<!doctype html>')
    ids = [attributes['id'] for _, attributes in page.elements if 'id' in attributes]
    assert len(ids) == len(set(ids))
    named = {
        attributes[key]
        for _, attributes in page.elements
        for key in ('aria-labelledby', 'aria-describedby')
        if key in attributes
    }
    assert named <= set(ids)
    for link in page.of('a'):
        assert str(link['href'])[1:] in ids


def test_it_has_every_section_and_the_numbers_behind_each_chart(
    make_writer: MakeWriter, root: Path
) -> None:
    page = page_of(record_sensors(make_writer, root))
    sections = [attributes['id'] for attributes in page.of('section')]
    assert sections == (
        'timeline attitude position battery topics accounts recorder alerts header segments'
    ).split()
    for kind in ('plot', 'lane', 'track'):
        ids = {item['id'] for item in page.data[f'{"chart" if kind == "plot" else kind}s']}
        assert ids == {item[f'data-{kind}'] for _, item in page.elements if f'data-{kind}' in item}
    known = {item['id'] for item in page.data['series']}
    assert {number for chart in page.data['charts'] for number in chart['series']} <= known
    for item in page.data['series'] + page.data['tracks']:
        times = page.times(item['t'])
        assert (np.diff(times) >= 0).all()
        for name in ('v', 'x', 'y'):
            assert name not in item or len(page.array(item[name])) == len(times)
    for text in ('/autopilot', 'best effort, volatile', 'sensor_msgs/msg/NavSatFix', '99.00'):
        assert text in page.text or text in page.html


def test_header_configuration_and_alerts(make_writer: MakeWriter, root: Path) -> None:
    board = AlertBoard()
    writer, client = make_writer(alerts=board), make_client()
    writer.register(client)
    config = FdrConfig(vehicle_id='drone-9', topics=('/imu', '/gps'))
    writer.open_flight(new_flight_header('x', config, rmw_implementation='rmw_test'))
    send(client, range(3))
    board.raise_alert('topic_missing', 'nobody publishes it', subject='/gps')
    board.clear('topic_missing', 'it is there', subject='/gps')
    writer.close_flight('x')
    writer.stop()
    page = page_of(root / 'x')
    for text in ('drone-9', 'rmw_test', '/imu, /gps', 'writer.flush_interval_s'):
        assert text in page.text
    assert page.text.index('nobody publishes it') < page.text.index('it is there')
    assert any('nobody publishes it' in words for words in page.words())
    unfolded = page.html.partition('id="configuration"')[2].partition('<details')[0]
    changed = re.findall(r'<dt><code>([\w.]+)', unfolded)
    assert set(changed) == {'vehicle_id', 'topics'}


def test_ring_fill_and_free_space_are_shown_where_they_were_recorded(
    make_writer: MakeWriter, root: Path
) -> None:
    kind = 'diagnostic_msgs/msg/DiagnosticArray'

    def status(flight_id: str, ring: str) -> bytes:
        values = {'flight_id': flight_id, 'ring_fill_percent': ring, 'disk_free_bytes': '1048576'}
        pairs = [
            message('diagnostic_msgs/msg/KeyValue', key=key, value=value)
            for key, value in values.items()
        ]
        summary = message('diagnostic_msgs/msg/DiagnosticStatus', name='x: summary', values=pairs)
        return cdr(kind, status=[summary])

    writer = make_writer()
    client = make_client('/diagnostics', '0a', schema=schema(kind))
    open_flight(writer, 'x', client)
    for ring in ('1.5', '98.6', 'none'):
        client.enqueue(status('x', ring))
    client.enqueue(status('other', '77'))
    client.enqueue(status('x', '12')[:60])
    writer.close_flight('x')
    writer.stop()
    report = gather(root / 'x')
    ((first, second),) = report.history.ring_fill()
    assert (first[1], second[1]) == (1.5, 98.6)
    assert {value for _, value in report.history.disk_free()[0]} == {1048576.0}
    assert 'Fullest ring' in Page(render(report)).text


def test_many_topics(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer()
    clients = [make_client(f'/topic/{number:03}', f'{number:04x}') for number in range(500)]
    open_flight(writer, 'x', *clients)
    for client in clients:
        send(client, range(3))
    writer.close_flight('x')
    writer.stop()
    page = page_of(root / 'x')
    topics = [item for item in page.of('details') if item.get('class') == 'topic']
    assert len(topics) == 500
    assert len(page.html) < 3_000_000


# --- hostile -----------------------------------------------------------------------------------


def test_no_text_of_a_recording_becomes_markup(make_writer: MakeWriter, root: Path) -> None:
    page = page_of(record_hostile(make_writer, root))
    assert len(page.of('script')) == 4
    assert len(page.of('style')) == 2
    for tag, attributes in page.elements:
        assert tag not in ('img', 'b>', 'iframe')
        assert not [name for name in attributes if name.startswith('on')]
    for text in HOSTILE:
        plain = ' '.join(re.sub('[\x00-\x1f]', '\N{REPLACEMENT CHARACTER}', text).split())
        assert plain in page.text, text
    assert '\x1b' not in page.html
    policy = next(item for item in page.of('meta') if 'http-equiv' in item)['content']
    code = r" 'sha256-[\w+/=]{44}' 'sha256-[\w+/=]{44}'"
    allowed = f'; img-src data:; style-src{code}; script-src{code}$'
    assert re.search(f"^default-src 'none'; .*{allowed}", str(policy))


# --- writing it --------------------------------------------------------------------------------


def test_a_page_replaces_a_page_and_nothing_else(
    make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    report = gather(record_sensors(make_writer, root, seconds=2))
    page, other = tmp_path / 'page.html', tmp_path / 'other.html'
    write_page(report, page)
    before = page.read_text()
    write_page(report, page)
    assert page.read_text() == before
    other.write_text('<!doctype html><p>precious</p>')
    with pytest.raises(ExportError, match='is not a page of `fdr report`'):
        write_page(report, other)
    assert other.read_text() == '<!doctype html><p>precious</p>'
    with pytest.raises(ExportError):
        check_target(next((root / 'sensors').glob('*.mcap')))
    with pytest.raises(FileNotFoundError):
        check_target(tmp_path / 'missing' / 'page.html')
    assert {path.name for path in tmp_path.iterdir()} == {'flights', 'page.html', 'other.html'}


@pytest.fixture
def flight(make_writer: MakeWriter, root: Path) -> Path:
    return record_sensors(make_writer, root, seconds=2)


def test_the_verb(
    flight: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(['report', str(flight)]) == 0
    assert capsys.readouterr().out.startswith('sensors.html: Complete: closed, and ')
    (tmp_path / 'pages').mkdir()
    assert main(['report', str(flight), '-o', 'pages']) == 0
    assert (tmp_path / 'pages' / 'sensors.html').is_file()
    (tmp_path / 'notes.txt').write_text('precious')
    assert main(['report', str(flight), '-o', 'notes.txt']) == 3
    assert 'notes.txt is not a page of `fdr report`' in capsys.readouterr().err
    assert main(['report', str(flight), '-o', 'missing/page.html']) == 3


def test_it_opens_the_page_on_a_desktop(
    flight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    browser = tmp_path / 'browser'
    browser.write_text('#!/bin/sh\necho "$1" >opened\n')
    browser.chmod(0o755)
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('BROWSER', str(browser))
    opened, page = tmp_path / 'opened', tmp_path / 'sensors.html'

    def report(*, on_terminal: bool) -> str:
        far, near = pty.openpty()
        done = subprocess.run(
            [sys.executable, '-m', 'fdr_recorder.cli', 'report', str(flight), '--open'],
            stdout=near if on_terminal else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        for end in (far, near):
            os.close(end)
        return done.stderr

    assert 'no desktop here; open sensors.html in a browser' in report(on_terminal=True)
    monkeypatch.setenv('WAYLAND_DISPLAY', 'wayland-0')
    assert 'no desktop here' in report(on_terminal=False)
    assert page.is_file()
    assert not opened.exists()
    report(on_terminal=True)
    assert opened.read_text() == f'{page.as_uri()}\n'


def test_its_json(
    flight: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(['report', str(flight), '--json']) == 0
    said = json.loads(capsys.readouterr().out)
    assert not list(tmp_path.glob('*.html'))
    assert said['verdict']['level'] == 'good'
    assert said['page'] is None
    counts = {topic['name']: sum(topic['counts']) for topic in said['topics']}
    assert counts == {topic['name']: topic['messages'] for topic in said['topics']}
    plots = {plot['topic']: plot for plot in said['plots']}
    assert set(plots) == {'/attitude', '/battery', '/gps/fix'}
    assert len(plots['/battery']['values'][0]['runs'][0]) == 200


def test_no_package_of_ros_is_needed(flight: Path, tmp_path: Path) -> None:
    script = (
        'import sys\n'
        'from fdr_recorder.cli.main import main\n'
        'code = main(sys.argv[1:])\n'
        "assert not [name for name in sys.modules if name.startswith(('rclpy', 'std_msgs'))]\n"
        'sys.exit(code)\n'
    )
    page = tmp_path / 'page.html'
    done = subprocess.run(
        [sys.executable, '-c', script, 'report', str(flight), '-o', str(page)], check=False
    )
    assert done.returncode == 0
    assert Page(page.read_text()).data['series']
