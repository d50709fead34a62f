# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Names that are nonsense, by DDS from a real participant: they hide nothing but themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ground import Ground, RELIABLE
from hostile_graph import HostilePublisher, rename_node
import pytest
from rclpy.utilities import get_rmw_implementation_identifier
from recorder_process import RecorderProcess
from std_msgs.msg import String

pytestmark = pytest.mark.skipif(
    get_rmw_implementation_identifier() != 'rmw_fastrtps_cpp',
    reason='other middleware has other ways to tell the names of nodes',
)


@pytest.fixture
def hostile(ground: Ground) -> Iterator[Ground]:
    """Return another participant."""
    with Ground(ground.domain_id) as other:
        yield other


@pytest.mark.parametrize('chosen', [{'topics': ['/good', '/later']}, {'all_topics': True}])
@pytest.mark.parametrize('name', [b'rt/\xff', b'rt/1-b', b'rt/' + b'x' * 240])
def test_a_topic_with_an_impossible_name(
    ground: Ground,
    hostile: Ground,
    tmp_path: Path,
    root: Path,
    name: bytes,
    chosen: dict[str, object],
) -> None:
    nonsense = HostilePublisher(hostile, name, String)
    with RecorderProcess(ground, tmp_path, root, **chosen) as recorder:
        recorder.make('configure', 'activate')
        for topic in ('/good', '/later'):
            publisher = ground.publisher(String, topic, RELIABLE)
            publisher.publish(String(data='all the same'))
            ground.wait_until(lambda: recorder.stored(topic) == 1, topic)  # noqa: B023
        if name == b'rt/\xff':
            status = recorder.wait_for_alert('topics', 'topic_failed')
            assert 'topics cannot be listed: UnicodeDecodeError' in status.message
        nonsense.destroy()
        recorder.make('deactivate')
    recorder.read_flight()


@pytest.mark.parametrize('when', ['before', 'after'])
def test_a_publisher_whose_node_has_an_impossible_name(
    ground: Ground, hostile: Ground, tmp_path: Path, root: Path, when: str
) -> None:
    """It publishes the same topic; found before the recorder starts, or while it records."""
    good = ground.publisher(String, '/good', recorders=0)
    hostile.wait_until(lambda: hostile.node.count_publishers('/good') == 1, 'the graph')
    others = hostile.gids('/good')
    bad = hostile.publisher(String, '/good', recorders=0)
    hostile.wait_until(lambda: hostile.node.count_publishers('/good') == 2, 'the graph')
    (gid,) = map(bytes.fromhex, hostile.gids('/good') - others)
    nonsense = rename_node(hostile, gid, b'\xff\xfe') if when == 'before' else None
    with RecorderProcess(ground, tmp_path, root, topics=['/good', '/other']) as recorder:
        recorder.make('configure', 'activate')
        for publisher in (good, bad):
            ground.wait_until(publisher.get_subscription_count, 'the recorder')
            publisher.publish(String(data='all the same'))
        if nonsense is None:
            nonsense = rename_node(hostile, gid, b'\xff\xfe')
            third = ground.publisher(String, '/good')
            third.publish(String(data='the third'))
        ground.wait_until(
            lambda: recorder.stored('/good') == (2 if when == 'before' else 3), 'all of them'
        )
        nonsense.repeat()  # what its middleware says of its names may have been heard later
        assert '/good' in recorder.wait_for_alert('topics', 'topic_failed').message
        ground.publisher(String, '/other').publish(String(data='another topic'))
        ground.wait_until(lambda: recorder.stored('/other') == 1, 'the other topic')
        nonsense.destroy()
        recorder.make('deactivate')
    recorder.read_flight()
