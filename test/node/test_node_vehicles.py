# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The parameter files for PX4 and MAVROS: a recorder runs with them, beside such a vehicle."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
import re
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from fdr_recorder.flights.verify import Verdict, verify
from geometry_msgs.msg import PoseStamped, QuaternionStamped
from ground import BEST_EFFORT, Ground, LATCHED, values_of
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from recorder_process import RecorderProcess
from sensor_msgs.msg import BatteryState, Imu, NavSatFix
from std_msgs.msg import Header, String

CONFIG = Path(__file__).resolve().parents[2] / 'config'
OF_PX4 = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


@dataclass(frozen=True)
class Vehicle:
    """
    What a vehicle publishes: topic, type and QoS; and of that, what is not to be recorded.

    Types of `px4_msgs` and `mavros_msgs` are not installed here: others stand for them.
    """

    recorded: dict[str, tuple[Any, QoSProfile]]
    left_out: tuple[str, ...]


VEHICLES = {
    'px4': Vehicle(
        {
            '/fmu/out/vehicle_attitude': (QuaternionStamped, OF_PX4),
            '/fmu/out/sensor_combined': (Imu, OF_PX4),
            '/fmu/out/timesync_status': (Header, OF_PX4),
            '/fmu/out/vehicle_status_v1': (String, OF_PX4),
            '/fmu/in/trajectory_setpoint': (PoseStamped, BEST_EFFORT),
            '/robot_description': (String, LATCHED),
        },
        ('/camera/image_raw', '/fmu_tool/state'),
    ),
    'mavros': Vehicle(
        {
            '/mavros/state': (String, LATCHED),
            '/mavros/imu/data': (Imu, BEST_EFFORT),
            '/mavros/global_position/global': (NavSatFix, BEST_EFFORT),
            '/mavros/battery': (BatteryState, BEST_EFFORT),
            '/mavros/setpoint_raw/local': (PoseStamped, BEST_EFFORT),
            '/robot_description': (String, LATCHED),
        },
        ('/camera/image_raw', '/mavros/param/event', '/mavros/hil/gps', '/uas1/mavlink_source'),
    ),
}


@pytest.mark.parametrize('name', VEHICLES)
def test_a_vehicle_is_recorded(ground: Ground, tmp_path: Path, root: Path, name: str) -> None:
    vehicle = VEHICLES[name]
    own = {'flight_root': root, 'writer.min_free_bytes': 0, 'writer.flush_interval_s': 0.05}
    arguments = [word for item in own.items() for word in ('-p', f'{item[0]}:={item[1]}')]
    with RecorderProcess(
        ground,
        tmp_path,
        root,
        parameters=(CONFIG / f'{name}.yaml').read_text(),
        arguments=arguments,
    ) as recorder:
        for topic in vehicle.left_out:
            ground.publisher(String, topic, recorders=0)
        recorder.make('configure', 'activate')
        publishers = {
            topic: (ground.publisher(message_type, topic, qos), message_type)
            for topic, (message_type, qos) in vehicle.recorded.items()
        }
        for publisher, message_type in publishers.values():
            publisher.publish(message_type())
        for topic in publishers:
            ground.wait_until(lambda topic=topic: recorder.stored(topic), topic)
        recorder.wait_for_summary(
            lambda values: values['topics_not_published'] == '', 'nothing that is missing'
        )
        recorder.make('deactivate')
    flight = recorder.read_flight()
    topics = {item.topic for item in flight.footer.producers if not item.topic.startswith('/fdr/')}
    assert topics >= set(vehicle.recorded)
    assert not topics & set(vehicle.left_out)
    assert verify(flight.path).verdict is Verdict.COMPLETE
    arrays = (
        deserialize_message(message.data, DiagnosticArray)
        for message in flight.of_topic('/diagnostics')
    )
    told = {
        status.name: set(values_of(status))
        for array in arrays
        for status in array.status
        if values_of(status)
    }
    for status_name, key in paths_of_layout():
        assert key in told[status_name]


def paths_of_layout() -> list[tuple[str, str]]:
    """Return what the layout for Foxglove plots: names of a status and of one of its values."""
    layout = json.loads((CONFIG / 'foxglove_layout.json').read_text())
    panels = layout['configById']
    text = json.dumps(layout['layout'])
    assert all(f'"{name}"' in text for name in panels), 'a panel has no place'
    paths = [path['value'] for panel in panels.values() for path in panel.get('paths', ())]
    found = [
        re.fullmatch(
            r'/diagnostics\.status\[:\]{name=="(.+)"}\.values\[:\]{key=="(\w+)"}\.value', path
        )
        for path in paths
    ]
    pairs = [(match[1], match[2]) for match in found if match]
    assert len(pairs) == len(paths)
    selected = panels['DiagnosticStatusPanel!fdr']['selectedName']
    return [*pairs, (selected, 'state')]
