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
The recorder on ROS 2 Humble, for which there is no rclpy here: what Humble lacks is hidden.

From the sources of rclpy, branch `humble` (3.3): no `rclpy.clock_type` (`ClockType` is in
`rclpy.clock`); no `EventHandle`, and no event for publishers that come and leave (`QoSEvent` in
`src/rclpy/qos_event.cpp` has neither); `take_message` tells two times alone
(`src/rclpy/subscription.cpp`); endpoints of the graph have no `topic_type_hash`. There is no
package `type_description_interfaces`. `rmw_message_info_t` has numbers and a gid of 24 bytes
(`rmw/types.h`), as long as those of the graph.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from fdr_recorder import verify
from fdr_recorder.node.topic_plan import _type_hash
from ground import BEST_EFFORT, Ground, LATCHED
from recorder_process import RecorderProcess
from std_msgs.msg import String
import yaml

SHIM = """
import builtins
import types

HIDDEN = ('type_description_interfaces', 'rclpy.clock_type')
import_ = builtins.__import__


class Humble:
    def __init__(self, whole):
        self._whole = whole

    def __getattr__(self, name):
        if name == 'EventHandle':
            raise AttributeError(name)
        return getattr(self._whole, name)


def import_as_on_humble(name, globals=None, locals=None, fromlist=(), level=0):
    if (globals or {}).get('__name__', '').startswith('fdr_recorder'):
        if name.startswith(HIDDEN):
            raise ModuleNotFoundError(f'No module named {name!r}')
        if name == 'rclpy.impl.implementation_singleton':
            module = import_(name, globals, locals, fromlist, level)
            return types.SimpleNamespace(rclpy_implementation=Humble(module.rclpy_implementation))
    return import_(name, globals, locals, fromlist, level)


builtins.__import__ = import_as_on_humble
"""


def test_publishers_that_come_and_leave(ground: Ground, tmp_path: Path, root: Path) -> None:
    shim = tmp_path / 'shim'
    shim.mkdir()
    (shim / 'sitecustomize.py').write_text(SHIM)
    latched = ground.publisher(String, '/latched', LATCHED, recorders=0)
    latched.publish(String(data='latched'))
    first = ground.publisher(String, '/plain', recorders=0)
    environment = {'PYTHONPATH': str(shim), 'ROS_DISTRO': 'humble'}
    with RecorderProcess(
        ground, tmp_path, root, topics=['/plain', '/latched'], environment=environment,
        forked=False,
    ) as recorder:  # fmt: skip
        recorder.make('configure', 'activate')
        ground.wait_until(lambda: first.get_subscription_count() == 1, 'the recorder')
        for number in range(20):
            first.publish(String(data=f'first {number}'))
        ground.wait_until(lambda: recorder.stored('/plain') == 20, 'the first')
        other = ground.publisher(String, '/plain', BEST_EFFORT)  # once the QoS is adapted
        other.publish(String(data='other'))
        ground.wait_until(lambda: recorder.stored('/plain') == 21, 'the other')
        recorder.wait_for_summary(lambda values: values['producers'] == '3', 'their rings')
        ground.node.destroy_publisher(other)
        recorder.wait_for_summary(lambda values: values['producers'] == '2', 'its end')
        recorder.make('deactivate')
        log = recorder.log
    assert 'rclpy alone' not in log
    flight = recorder.read_flight()
    assert len(flight.of_topic('/latched')) == 1
    accounts = {item.publisher: item for item in flight.footer.producers if item.topic == '/plain'}
    assert sorted(item.offered for item in accounts.values()) == [1, 20]
    assert {item.loss_detection for item in accounts.values()} == {'sequence'}
    assert verify(flight.path).damage == []
    bag = yaml.safe_load((flight.path / 'metadata.yaml').read_text())
    assert bag['rosbag2_bagfile_information']['version'] == 5


def test_an_endpoint_without_a_hash() -> None:
    assert _type_hash(SimpleNamespace()) == ''  # type: ignore[arg-type]
