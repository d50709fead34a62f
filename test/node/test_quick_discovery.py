# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The recorder discovers publishers in time, though the first announcements are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import statistics
import subprocess
import sys
import time
from typing import Any

from fdr_recorder.flights.directory import flights_in, segment_files
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.node.quick_discovery import announce_often, OLD_PROFILE, PROFILE
from preload import preload_library
import pytest
import rclpy
from ros_domain import own_domain, ros_environment

TOP = Path(__file__).resolve().parents[2]
VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
DOWN_MS = 1500
STARTS = 4
TALKER = """
import time
import rclpy
from std_msgs.msg import String

rclpy.init()
publisher = rclpy.create_node('talker').create_publisher(String, '/talk', 10)
print('up', flush=True)
while True:
    publisher.publish(String(data='x'))
    time.sleep(0.02)
"""
DEADLINE_S = 60.0
RARELY_S = 15
RARE = f"""
<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
  <participant profile_name="rare" is_default_profile="true">
    <rtps>
      <builtin>
        <discovery_config>
          <leaseAnnouncement>
            <sec>{RARELY_S}</sec>
          </leaseAnnouncement>
        </discovery_config>
      </builtin>
    </rtps>
  </participant>
</profiles>
"""
"""A participant that announces itself at first, and then so rarely: it has to be asked."""


def default_environment(domain_id: int) -> dict[str, str]:
    """Return an environment in which Fast DDS has no profile."""
    environment = {**os.environ, **ros_environment(domain_id), 'PYTHONPATH': str(TOP)}
    return {name: text for name, text in environment.items() if name not in VARIABLES}


@contextmanager
def program(arguments: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program; kill it in the end."""
    process = subprocess.Popen([sys.executable, *arguments], text=True, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def first_message_s(log: Path, environment: dict[str, str], root: Path) -> float:
    """Start a recorder; return the time from its `recording to` to the first message in a file."""
    root.mkdir()
    parameters = log.with_suffix('.json')
    options = {
        'flight_root': str(root), 'autostart': True, 'topics': ['/talk'],
        'writer.flush_interval_s': 0.05, 'writer.reserve_bytes': 0, 'writer.min_free_bytes': 0,
    }
    parameters.write_text(json.dumps({'/**': {'ros__parameters': options}}))
    command = ['-m', 'fdr_recorder.node', '--ros-args', '--params-file', str(parameters)]
    with log.open('w') as output, program(
        command, env=environment, cwd=root, stdout=output, stderr=output
    ):
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            for flight in flights_in(root):
                times = [time_ns for time_ns, topic in messages(flight) if topic == '/talk']
                if times:
                    assert 'deprecated' not in log.read_text()
                    begun_ns = next(time_ns for time_ns, topic in messages(flight))
                    return (times[0] - begun_ns) / 1e9
            time.sleep(0.1)
    pytest.fail(f'no message was recorded:\n{log.read_text()}')


def messages(flight: Path) -> Iterator[tuple[int, str]]:
    """Yield log time and topic of what is in the first segment so far."""
    with SegmentReader(segment_files(flight)[0].path) as reader:
        yield from ((message.log_time_ns, message.channel.topic) for message in reader.messages())


@pytest.fixture
def fast_dds() -> None:
    """Skip where the middleware is another one: it does not read these profiles."""
    if 'fastrtps' not in rclpy.get_rmw_implementation_identifier():
        pytest.skip('the middleware here is not Fast DDS')


@pytest.mark.usefixtures('fast_dds')
def test_a_recorder_whose_network_comes_up_late_does_not_wait_three_seconds(
    tmp_path: Path,
) -> None:
    library = preload_library('late_network', tmp_path, 'a network cannot come up late')
    with own_domain() as domain_id:
        environment = default_environment(domain_id)
        with program(['-c', TALKER], env=environment, stdout=subprocess.PIPE) as talker:
            assert talker.stdout is not None
            assert talker.stdout.readline() == 'up\n'
            late = {**environment, 'LD_PRELOAD': str(library)}
            late['FDR_NETWORK_AFTER_MS'] = str(DOWN_MS)
            waits = [
                first_message_s(tmp_path / f'{number}.log', late, tmp_path / f'root_{number}')
                for number in range(STARTS)
            ]
    assert statistics.median(waits) < DOWN_MS / 1000 + 1.2, waits


@pytest.mark.usefixtures('fast_dds')
def test_publishers_answer_a_recorder_that_listens(tmp_path: Path) -> None:
    library = preload_library('late_network', tmp_path, 'a network cannot be slow')
    rare = tmp_path / 'rare.xml'
    rare.write_text(RARE)
    with own_domain() as domain_id:
        environment = default_environment(domain_id)
        silent = {**environment, **dict.fromkeys(VARIABLES, str(rare))}
        with program(['-c', TALKER], env=silent, stdout=subprocess.PIPE) as talker:
            assert talker.stdout is not None
            assert talker.stdout.readline() == 'up\n'
            slow = {**environment, 'LD_PRELOAD': str(library), 'FDR_SEND_TAKES_MS': '10'}
            wait_s = first_message_s(tmp_path / 'log', slow, tmp_path / 'root')
    assert wait_s < RARELY_S / 3


@pytest.mark.parametrize(
    'name', [*VARIABLES, 'FASTDDS_ENVIRONMENT_FILE', 'RMW_FASTRTPS_USE_QOS_FROM_XML']
)
def test_a_vehicle_that_configures_fast_dds_is_left_alone(name: str, tmp_path: Path) -> None:
    environment = {name: 'vehicle'}
    assert not announce_often(environment, tmp_path, 'libfastdds.so')
    assert environment == {name: 'vehicle'}


@pytest.mark.parametrize('name', ['DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml'])
def test_so_is_one_with_a_profile_where_it_runs(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    environment: dict[str, str] = {}
    assert not announce_often(environment, tmp_path, 'libfastdds.so')
    assert environment == {}


@pytest.mark.parametrize('number', [0, 1])
def test_without_one_the_profile_is_named_as_this_version_reads_it(
    number: int, tmp_path: Path
) -> None:
    environment = {'HOME': '/', VARIABLES[0]: ''}
    library = ('/opt/lib/libfastdds.so.3.2', '/opt/lib/libfastrtps.so.2.14')[number]
    profile = (PROFILE, OLD_PROFILE)[number]
    assert announce_often(environment, tmp_path, f'7f0 r-xp {library}\n')
    assert environment == {'HOME': '/', VARIABLES[0]: '', VARIABLES[number]: str(profile)}
    assert profile.is_file()
