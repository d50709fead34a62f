# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Lifecycle transitions of the node, driven and seen from another process."""

from __future__ import annotations

from pathlib import Path

from ground import DiagnosticStatus, Ground, has_alert
import pytest
from recorder_process import is_locked, read_flight, RecorderProcess
from std_msgs.msg import String

FAULTY = """
import os

_writev = os.writev


def writev(fd, buffers):
    if os.path.exists(os.environ['FAULT']):
        raise MemoryError('injected')
    return _writev(fd, buffers)


os.writev = writev
"""
"""A sitecustomize.py: writing fails, and not as files fail, while there is a file `$FAULT`."""


@pytest.fixture
def fault(tmp_path: Path) -> Path:
    """Return the file that makes a recorder with the environment `faulty` fail."""
    shim = tmp_path / 'shim'
    shim.mkdir()
    (shim / 'sitecustomize.py').write_text(FAULTY)
    return shim / 'fault'


def faulty(fault: Path) -> dict[str, str]:
    return {'PYTHONPATH': str(fault.parent), 'FAULT': str(fault)}


def publish(ground: Ground, recorder: RecorderProcess, *texts: str) -> None:
    """Publish on /chatter and wait until all is on disk."""
    publisher = ground.publisher(String, '/chatter')
    stored = recorder.stored('/chatter')
    for text in texts:
        publisher.publish(String(data=text))
    ground.wait_until(
        lambda: recorder.stored('/chatter') == stored + len(texts), f'{texts} on disk'
    )
    ground.node.destroy_publisher(publisher)


@pytest.mark.smoke
def test_the_whole_way(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root) as recorder:
        states = []
        for transition in ('configure', 'activate', 'deactivate', 'cleanup'):
            recorder.make(transition)
            states.append(recorder.state())
        assert states == ['inactive', 'active', 'inactive', 'unconfigured']
        ground.wait_until(lambda: len(recorder.events) == 8, 'all transition events')
        assert recorder.events == [
            ('unconfigured', 'configuring'),
            ('configuring', 'inactive'),
            ('inactive', 'activating'),
            ('activating', 'active'),
            ('active', 'deactivating'),
            ('deactivating', 'inactive'),
            ('inactive', 'cleaningup'),
            ('cleaningup', 'unconfigured'),
        ]
        recorder.read_flight()
        assert not is_locked(root)


def test_what_does_not_fit_the_state_is_refused(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        for transition in ('activate', 'deactivate', 'cleanup'):
            assert not recorder.change_state(transition)
            assert recorder.state() == 'unconfigured'
        recorder.make('configure')
        for transition in ('configure', 'deactivate'):
            assert not recorder.change_state(transition)
            assert recorder.state() == 'inactive'
        assert is_locked(root)
        assert not recorder.flights()

        recorder.make('activate')
        publish(ground, recorder, 'before')
        for transition in ('configure', 'activate', 'cleanup'):
            assert not recorder.change_state(transition)
            assert recorder.state() == 'active'
        publish(ground, recorder, 'after')
        recorder.make('deactivate')
        flight = recorder.read_flight()
        texts = [message.data[8:].rstrip(b'\0') for message in flight.of_topic('/chatter')]
        assert texts == [b'before', b'after']


@pytest.mark.smoke
def test_two_flights_and_then_other_parameters(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        recorder.make('configure', 'activate')
        publish(ground, recorder, 'one')
        recorder.make('deactivate', 'activate')
        publish(ground, recorder, 'two', 'three')
        recorder.make('deactivate', 'cleanup')

        other = tmp_path / 'other'
        other.mkdir()
        assert not recorder.set('flight_root', str(other))
        assert not recorder.set('flight_id', 'third')
        assert not recorder.set('topics', ['/other'])
        recorder.make('configure', 'activate')
        publisher = ground.publisher(String, '/other')
        publisher.publish(String(data='four'))
        recorder.root, first_root = other, recorder.root
        ground.wait_until(lambda: recorder.stored('/other') == 1, 'the message on disk')
        recorder.make('deactivate')

        recorder.root = first_root
        counts = [
            len(read_flight(path).of_topic('/chatter')) for path in recorder.flights()
        ]
        assert counts == [1, 2]
        third = read_flight(other / 'third')
        assert len(third.of_topic('/other')) == 1
        assert not third.of_topic('/chatter')
        assert not is_locked(first_root)


def test_an_exception_in_activate_leaves_nothing(
    ground: Ground, tmp_path: Path, root: Path, fault: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, environment=faulty(fault)) as recorder:
        recorder.make('configure')
        fault.touch()
        assert not recorder.change_state('activate')
        assert recorder.state() == 'unconfigured'
        status = recorder.wait_for_alert('recorder', 'transition_refused')
        assert status.level == DiagnosticStatus.ERROR
        assert 'injected' in status.message
        assert not recorder.flights()
        assert not is_locked(root)

        fault.unlink()
        recorder.make('configure', 'activate')
        recorder.wait_for_ok('recorder')
        recorder.make('deactivate')
        recorder.read_flight()


def test_a_failed_writer_can_be_deactivated_and_used_again(
    ground: Ground, tmp_path: Path, root: Path, fault: Path
) -> None:
    options = {'environment': faulty(fault), 'topics': ['/chatter']}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        publish(ground, recorder, 'before')
        publisher = ground.publisher(String, '/chatter')
        fault.touch()
        publisher.publish(String(data='lost'))
        recorder.wait_for_alert('recorder', 'writer_failed')
        summary = recorder.wait_for_summary(lambda values: True, 'another summary')
        assert summary.level == DiagnosticStatus.ERROR
        assert summary.message.startswith('not recording')

        fault.unlink()
        recorder.change_state('deactivate')
        assert recorder.state() in {'inactive', 'unconfigured'}
        (failed,) = recorder.flights()
        if recorder.state() == 'unconfigured':
            recorder.make('configure')
        recorder.make('activate')
        recorder.wait_for_ok('recorder')
        assert not has_alert(recorder.statuses('recorder')[-1], 'writer_failed')
        recorder.make('deactivate')
        (path,) = set(recorder.flights()) - {failed}
        read_flight(path)
        assert recorder.stop() == 0


def test_a_failed_writer_does_not_hinder_the_shutdown(
    ground: Ground, tmp_path: Path, root: Path, fault: Path
) -> None:
    options = {'environment': faulty(fault), 'topics': ['/chatter']}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        publisher = ground.publisher(String, '/chatter')
        fault.touch()
        publisher.publish(String(data='lost'))
        recorder.wait_for_alert('recorder', 'writer_failed')
        recorder.change_state('active shutdown')
        assert recorder.wait_for_end() == 0
        assert not is_locked(root)


def test_the_directory_of_flights_vanishes_before_activate(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root) as recorder:
        recorder.make('configure')
        moved = root.rename(tmp_path / 'moved')
        assert not recorder.change_state('activate')
        assert recorder.state() == 'inactive'
        status = recorder.wait_for_alert('disk', 'flight_root_unusable')
        assert str(root) in status.message
        assert [path.name for path in moved.iterdir()] == ['.fdr.lock']

        moved.rename(root)
        recorder.make('activate')
        recorder.wait_for_ok('disk')
        recorder.make('deactivate')
        recorder.read_flight()
