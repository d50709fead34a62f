# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The end of the recorder's process: by a signal or by the shutdown transition."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys

from conftest import handled
from ground import Ground
import pytest
from recorder_process import is_locked, read_flight, RecorderProcess
from ros_domain import ros_environment
from std_msgs.msg import String
from waiting import wait_until

WAY_TO = {
    'unconfigured': (),
    'inactive': ('configure',),
    'active': ('configure', 'activate'),
}


def fly_until_stored(ground: Ground, recorder: RecorderProcess) -> None:
    """Publish three messages; at least one is on disk then."""
    publisher = ground.publisher(String, '/chatter')
    for number in range(3):
        publisher.publish(String(data=str(number)))
    ground.wait_until(lambda: recorder.stored('/chatter'), 'a message on disk')


@pytest.mark.parametrize('state', WAY_TO)
@pytest.mark.parametrize('how', ['SIGINT', 'SIGTERM', 'SIGHUP', 'shutdown'])
@pytest.mark.usefixtures('hangup_ends')
def test_the_flight_is_complete_and_the_exit_code_0(
    ground: Ground, tmp_path: Path, root: Path, state: str, how: str
) -> None:
    with RecorderProcess(ground, tmp_path, root, forked=False, topics=['/chatter']) as recorder:
        recorder.make(*WAY_TO[state])
        if state == 'active':
            fly_until_stored(ground, recorder)
        if how == 'shutdown':
            assert recorder.change_state(f'{state} shutdown')
        else:
            recorder.send(signal.Signals[how])
        assert recorder.wait_for_end() == 0
        assert 'Traceback' not in recorder.log
        if state == 'active':
            flight = recorder.read_flight()
            assert len(flight.of_topic('/chatter')) == 3
        else:
            assert not recorder.flights()
        if state != 'unconfigured':
            assert not is_locked(root)


@pytest.mark.smoke
def test_two_interrupts_in_a_row(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, forked=False, topics=['/chatter']) as recorder:
        recorder.make('configure', 'activate')
        fly_until_stored(ground, recorder)
        recorder.send(signal.SIGINT)
        assert recorder.stop(signal.SIGINT) == 0
        assert len(recorder.read_flight().of_topic('/chatter')) == 3


def test_an_impatient_user(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, forked=False, topics=['/chatter']) as recorder:
        recorder.make('configure', 'activate')
        fly_until_stored(ground, recorder)

        def interrupt_again() -> bool:
            recorder.send(signal.SIGINT)
            return recorder.process.poll() is not None

        wait_until(interrupt_again, 'the end of the recorder')
        assert recorder.wait_for_end() == 0, recorder.log
        assert len(recorder.read_flight().of_topic('/chatter')) == 3


def test_nohup_keeps_it_running(ground: Ground, tmp_path: Path, root: Path) -> None:
    recorder = RecorderProcess(ground, tmp_path, root, forked=False, topics=['/chatter'])
    with handled(signal.SIGHUP, signal.SIG_IGN):
        recorder.start()
    with recorder:
        recorder.make('configure', 'activate')
        recorder.send(signal.SIGHUP)
        fly_until_stored(ground, recorder)
        recorder.send(signal.SIGHUP)
        assert recorder.state() == 'active'
        assert recorder.stop(signal.SIGTERM) == 0
        assert len(recorder.read_flight().of_topic('/chatter')) == 3


@pytest.mark.usefixtures('hangup_ends')
def test_hangup_then_sigterm(ground: Ground, tmp_path: Path, root: Path) -> None:
    """A session that ends sends both, in either order."""
    with RecorderProcess(ground, tmp_path, root, forked=False, topics=['/chatter']) as recorder:
        recorder.make('configure', 'activate')
        fly_until_stored(ground, recorder)
        recorder.send(signal.SIGHUP)
        recorder.send(signal.SIGTERM)
        assert recorder.stop(signal.SIGHUP) == 0
        assert len(recorder.read_flight().of_topic('/chatter')) == 3


@pytest.mark.usefixtures('hangup_ends')
def test_the_terminal_is_gone(ground: Ground, tmp_path: Path, root: Path) -> None:
    """The kernel sends SIGHUP, and nothing can be written to the terminal any more."""
    words = [sys.executable, '-m', 'fdr_recorder.node', '--ros-args', '-p', 'autostart:=true']
    options = [f'flight_root:={root}', "topics:=['/chatter']", 'writer.min_free_bytes:=0']
    words += [word for option in options for word in ('-p', option)]
    terminal = f'import pty; pty.spawn({words!r})'
    environment = {
        **os.environ,
        **ros_environment(ground.domain_id),
        'ROS_LOG_DIR': str(tmp_path / 'ros_log'),
    }
    with subprocess.Popen(
        [sys.executable, '-c', terminal],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as sshd:
        try:
            ground.wait_until((root / '.fdr.lock').exists, 'the recorder')
            ground.publisher(String, '/chatter').publish(String(data='x'))
        finally:
            sshd.kill()
    wait_until(lambda: not is_locked(root), 'the end of the recorder')
    (flight,) = (path for path in root.iterdir() if path.is_dir())
    assert read_flight(flight).footer.clean_shutdown


def test_others_see_it_go_at_once(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        recorder.make('configure')
        assert recorder.name in ground.node.get_node_names()
        assert recorder.stop(signal.SIGTERM) == 0
        ground.wait_until(
            lambda: recorder.name not in ground.node.get_node_names(), 'a graph without it', 10
        )


def test_no_thread_or_process_is_left(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, forked=False) as recorder:
        recorder.make('configure', 'activate')
        assert recorder.stop() == 0
        session = recorder.process.pid  # it leads a session of its own
        found = subprocess.run(
            ['pgrep', '--session', str(session)], capture_output=True, text=True, check=False
        )
        assert not found.stdout


BROKEN_CLOCK = """
import os
from rclpy.node import Node

_get_clock = Node.get_clock


def get_clock(self):
    if os.path.exists(os.environ['FAULT']):
        raise RuntimeError('injected')
    return _get_clock(self)


Node.get_clock = get_clock
"""
"""A sitecustomize.py: diagnostics, which have a time stamp, fail while there is `$FAULT`."""


def test_a_callback_that_fails_does_not_end_the_recording(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    fault = tmp_path / 'fault'
    (tmp_path / 'sitecustomize.py').write_text(BROKEN_CLOCK)
    environment = {'PYTHONPATH': str(tmp_path), 'FAULT': str(fault)}
    with RecorderProcess(
        ground, tmp_path, root, environment=environment, topics=['/chatter']
    ) as recorder:
        recorder.make('configure', 'activate')
        publisher = ground.publisher(String, '/chatter')
        fault.touch()
        ground.wait_until(lambda: 'a callback failed' in recorder.log, 'the fault')
        publisher.publish(String(data='during'))
        ground.wait_until(lambda: recorder.stored('/chatter'), 'a message on disk')
        fault.unlink()
        recorder.wait_for_summary(lambda values: values['state'] == 'active', 'a summary again')
        assert recorder.stop() == 0
        recorder.read_flight()
