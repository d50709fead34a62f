# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The nodes record and log where there can be no log file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
import subprocess

from disk_faults import mounted_tmpfs
from ground import Ground
from node_process import NodeProcess
import pytest
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, QoSProfile
from recorder_process import RecorderProcess

Variables = dict[str, 'str | None']

WARN = 30
WITHOUT_PRIVILEGE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(header, data)
data[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: permissions hold for root, too
libc.capset(header, data)
"""
"""A sitecustomize.py."""


@contextmanager
def no_home(_: Path) -> Iterator[Variables]:
    yield {'HOME': None, 'ROS_HOME': None, 'ROS_LOG_DIR': None}


@contextmanager
def empty_home(_: Path) -> Iterator[Variables]:
    yield {'HOME': '', 'ROS_LOG_DIR': ''}


@contextmanager
def home_that_cannot_be(_: Path) -> Iterator[Variables]:
    yield {'HOME': '/proc/nonexistent', 'ROS_LOG_DIR': None}


@contextmanager
def ros_home_that_cannot_be(_: Path) -> Iterator[Variables]:
    yield {'ROS_HOME': '/proc/none', 'ROS_LOG_DIR': None}


@contextmanager
def a_file(directory: Path) -> Iterator[Variables]:
    (directory / 'file').touch()
    yield {'ROS_LOG_DIR': str(directory / 'file')}


@contextmanager
def below_a_file(directory: Path) -> Iterator[Variables]:
    (directory / 'file').touch()
    yield {'ROS_LOG_DIR': str(directory / 'file' / 'log')}


@contextmanager
def link_to_nothing(directory: Path) -> Iterator[Variables]:
    (directory / 'link').symlink_to('/proc/none')
    yield {'ROS_LOG_DIR': str(directory / 'link')}


@contextmanager
def without_permission(directory: Path) -> Iterator[Variables]:
    (directory / 'sitecustomize.py').write_text(WITHOUT_PRIVILEGE)
    (directory / 'closed').mkdir(mode=0o555)
    yield {'ROS_LOG_DIR': str(directory / 'closed'), 'PYTHONPATH': str(directory)}


@contextmanager
def read_only(directory: Path) -> Iterator[Variables]:
    with mounted_tmpfs(directory / 'disk', 1 << 16) as disk:
        subprocess.run(['mount', '-o', 'remount,ro', str(disk)], check=True)
        yield {'ROS_LOG_DIR': str(disk)}


@contextmanager
def full(directory: Path) -> Iterator[Variables]:
    with mounted_tmpfs(directory / 'disk', 1 << 16) as disk:
        (disk / 'filler').write_bytes(bytes(1 << 16))
        yield {'ROS_LOG_DIR': str(disk)}


@contextmanager
def without_inodes(directory: Path) -> Iterator[Variables]:
    with mounted_tmpfs(directory / 'disk', 1 << 16) as disk:
        subprocess.run(['mount', '-o', 'remount,nr_inodes=1', str(disk)], check=True)
        yield {'ROS_LOG_DIR': str(disk)}


PLACES: list[tuple[Callable[[Path], AbstractContextManager[Variables]], str]] = [
    (no_home, 'HOME is not set'),
    (empty_home, 'HOME is not set'),
    (home_that_cannot_be, '/proc/nonexistent/.ros/log: '),
    (ros_home_that_cannot_be, '/proc/none/log: '),
    (a_file, 'file: File exists'),
    (below_a_file, 'log: Not a directory'),
    (link_to_nothing, 'link: '),
    (without_permission, 'closed: Permission denied'),
    (read_only, 'disk: Read-only file system'),
    (full, 'disk: No space left on device'),
    (without_inodes, 'disk: No space left on device'),
]


def heard(ground: Ground) -> list[Log]:
    """Return the list to which log messages on /rosout are added."""
    said: list[Log] = []
    qos = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ground.node.create_subscription(Log, '/rosout', said.append, qos)
    return said


@pytest.mark.parametrize(('place', 'why'), PLACES, ids=[place.__name__ for place, _ in PLACES])
def test_it_records_and_warns_once(
    ground: Ground,
    tmp_path: Path,
    root: Path,
    place: Callable[[Path], AbstractContextManager[Variables]],
    why: str,
) -> None:
    said = heard(ground)
    with place(tmp_path) as environment, RecorderProcess(
        ground, tmp_path, root, environment=environment
    ) as recorder:
        recorder.make('configure', 'activate')
        ground.wait_until(
            lambda: any('recording to' in message.msg for message in said), 'a log on /rosout'
        )
        assert recorder.stop() == 0
        recorder.read_flight()
    (on_console,) = [line for line in recorder.log.splitlines() if 'no log file' in line]
    (on_rosout,) = [message for message in said if 'no log file' in message.msg]
    for text in (on_console, on_rosout.msg):
        assert why in text
        assert 'set ROS_LOG_DIR' in text
    assert on_rosout.level == WARN
    assert '[WARN]' in on_console
    assert 'Traceback' not in recorder.log


def test_the_flight_trigger_runs(ground: Ground, tmp_path: Path) -> None:
    with NodeProcess(
        ground,
        tmp_path,
        'fdr_recorder.node.trigger',
        'flight_trigger',
        environment={'HOME': None, 'ROS_LOG_DIR': None},
        options={},
    ) as trigger:
        assert trigger.get('source') == 'bool'
        assert 'no log file: HOME is not set' in trigger.log


def test_a_directory_that_can_be_written_has_a_log_file(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    environment = {'HOME': str(tmp_path / 'home'), 'ROS_LOG_DIR': '~/deep/log'}
    with RecorderProcess(ground, tmp_path, root, environment=environment) as recorder:
        assert recorder.stop() == 0
        assert 'no log file' not in recorder.log
    (file,) = (tmp_path / 'home' / 'deep' / 'log').iterdir()
    assert file.suffix == '.log'
