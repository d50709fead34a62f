# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the node says in its terminal: ready, open, closed, and what a stranger did wrong."""

from __future__ import annotations

import logging
from pathlib import Path
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

from fdr_recorder.config import FdrConfig, FdrWriterConfig
from fdr_recorder.node import spoken
from fdr_recorder.node.graph_watch import GraphWatch
from flight_check import open_flight_files
from ground import Ground
import pytest
from recorder_process import RecorderProcess
from std_msgs.msg import String


def said(recorder: RecorderProcess, text: str) -> str:
    """Return the one line of the log with this text."""
    (line,) = recorder.wait_for_log(text)
    return line


@pytest.mark.smoke
def test_one_line_each_when_it_is_ready_when_a_flight_opens_and_when_it_closes(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter', '/other']) as recorder:
        recorder.make('configure')
        ready = said(recorder, 'ready: ')
        assert '[INFO]' in ready
        assert f'flight root {root};' in ready
        assert ' free, hours left unknown until the first flight; ' in ready
        assert ready.endswith(' 0 of 2 topics found so far')
        recorder.make('activate')
        (flight,) = recorder.flights()
        opened = said(recorder, ' is open: ')
        assert '[INFO]' in opened
        assert opened.endswith(f'flight {flight.name} is open: recording to {flight}')
        publisher = ground.publisher(String, '/chatter')
        for _ in range(3):
            publisher.publish(String(data='x'))
        ground.wait_until(lambda: recorder.stored('/chatter'), 'a message on disk')
        recorder.make('deactivate')
        closed = said(recorder, ' is closed: ')
        footer = open_flight_files(flight).footer
        assert '[INFO]' in closed
        assert f'flight {flight.name} is closed: {footer.records_written} records, ' in closed
        assert ' KiB, nothing lost; ' in closed
        assert closed.endswith(f'look at it: fdr info {flight}')


def test_losses_are_said_by_cause(ground: Ground, tmp_path: Path, root: Path) -> None:
    options: dict[str, Any] = {'topics': ['/chatter'], 'ring__max_records': 1}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        publisher = ground.publisher(String, '/chatter')

        def is_overrun() -> bool:
            for _ in range(20):
                publisher.publish(String(data='x'))
            return 'overrun: ' in recorder.log

        ground.wait_until(is_overrun, 'an overrun')
        recorder.make('deactivate')
        (flight,) = recorder.flights()
        footer = open_flight_files(flight).footer
        closed = said(recorder, ' is closed: ')
        assert f' {footer.records_dropped_overrun:,} overrun' in closed
        assert '[WARN]' in closed


def test_a_flight_without_a_message_is_said_to_be_so(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/nobody']) as recorder:
        recorder.make('configure', 'activate', 'deactivate')
        assert '[WARN]' in said(recorder, ' is closed without a message of any topic: ')


def test_a_misspelt_topic_is_named_with_the_one_that_may_be_meant(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    ground.node.create_publisher(String, '/chatter', 1)
    options = {'topics': ['/chater', '/nothing/like/it'], 'required': ['/chattter']}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        line = said(recorder, 'for want of a publisher')
        assert ': /chater (did you mean /chatter?), /nothing/like/it. ' in line
        said(recorder, '/chattter is required and has no publisher (did you mean /chatter?)')
        said(recorder, 'is ROS_DOMAIN_ID, here ')


@pytest.mark.parametrize('options', [{'all_topics': True, 'exclude_regex': '.'}, {}])
def test_a_node_that_records_nothing_says_so(
    ground: Ground, tmp_path: Path, root: Path, options: dict[str, Any]
) -> None:
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        assert '[WARN]' in said(recorder, 'no topic is recorded so far')


def test_a_disk_that_is_too_small_is_said_before_the_flight(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    options = {'writer__min_free_bytes': 2**50, 'topics': ['/chatter']}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        ready = said(recorder, 'ready: ')
        assert '[WARN]' in ready
        assert 'less than writer.min_free_bytes (1024.0 TiB): no flight can begin' in ready
        assert not recorder.change_state('activate')
        refused = said(recorder, 'activate refused')
        assert f'cannot begin a flight in {root}: ' in refused
        assert 'free some space, or choose another flight_root' in refused


def test_a_transition_that_does_not_fit_is_refused_in_words(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root) as recorder:
        assert not recorder.change_state('activate')
        said(recorder, 'activate refused: the recorder is unconfigured, not inactive')
        recorder.make('configure')
        assert not recorder.change_state('deactivate')
        said(recorder, 'deactivate refused: the recorder is inactive, not active')


# --- the space that is left ------------------------------------------------------------------


def ready(
    root: Path, caplog: pytest.LogCaptureFixture, config: FdrConfig | None = None
) -> logging.LogRecord:
    """Return what is said of a flight root at configure."""
    watch = cast(GraphWatch, SimpleNamespace(subscribed=1, asked=2))
    caplog.clear()
    with caplog.at_level(logging.INFO, 'fdr_recorder.node.spoken'):
        spoken.tell_ready(config or FdrConfig(), root, watch)
    (record,) = caplog.records
    return record


def write_metadata(flight: Path, *, seconds: float, records: int, sizes: list[int]) -> None:
    """Write a flight's metadata and its segments, as far as the space that is left needs them."""
    flight.mkdir()
    names = [f'segment_{index:06d}.mcap' for index in range(len(sizes))]
    lines = [
        'rosbag2_bagfile_information:',
        f'  duration: {{nanoseconds: {int(seconds * 1e9)}}}',
        f'  message_count: {records}',
        '  relative_file_paths:',
        *(f'    - "{name}"' for name in names),
    ]
    (flight / 'metadata.yaml').write_text('\n'.join(lines) + '\n')
    for name, size in zip(names, sizes, strict=True):
        (flight / name).touch()
        (flight / name).open('r+').truncate(size)


def test_the_last_flight_with_a_rate_says_how_long_the_space_lasts(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spoken, 'free_bytes', lambda _root: (512 << 20) + 7200 * (1 << 20))
    write_metadata(root / 'old', seconds=10, records=1000, sizes=[9 << 20])
    write_metadata(root / 'real', seconds=100, records=1000, sizes=[60 << 20, 40 << 20])
    write_metadata(root / 'short', seconds=0.5, records=1000, sizes=[60 << 20])
    write_metadata(root / 'empty', seconds=100, records=2, sizes=[1 << 20])
    (root / 'foreign').mkdir()
    text = ready(root, caplog).getMessage()
    lasts = 'enough for 2 h 00 min at the rate of the last flight (1.0 MiB/s)'
    assert f' 7.5 GiB free, {lasts}' in text


@pytest.mark.parametrize('break_it', ['unreadable', 'not_yaml', 'gone', 'link'])
def test_a_flight_that_cannot_be_read_is_no_obstacle(
    root: Path, caplog: pytest.LogCaptureFixture, break_it: str
) -> None:
    write_metadata(root / 'one', seconds=100, records=1000, sizes=[1 << 20])
    metadata = root / 'one' / 'metadata.yaml'
    if break_it == 'unreadable':
        metadata.unlink()
        metadata.mkdir()
    elif break_it == 'not_yaml':
        metadata.write_bytes(b'\xff\0' * 100)
    elif break_it == 'gone':
        (root / 'one' / 'segment_000000.mcap').unlink()
    else:
        metadata.unlink()
        metadata.symlink_to('/dev/zero')
    config = FdrConfig(writer=FdrWriterConfig(min_free_bytes=0))
    text = ready(root, caplog, config).getMessage()
    assert ' free, hours left unknown: no flight here tells a rate; ' in text


def test_a_disk_that_does_not_tell_its_space_holds_nothing_up(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(spoken, 'free_bytes', lambda _root: answer.wait() and 0)
    since = time.monotonic()
    record = ready(root, caplog)
    assert time.monotonic() - since < 4 * spoken.PATIENCE_S
    assert 'free space unknown: the disk does not answer' in record.getMessage()
    answer.set()
    for thread in threading.enumerate():
        if thread.name == 'fdr_space':
            thread.join(10)
