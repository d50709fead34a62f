# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""An hour's flight: more samples than a page holds, and one of them stands out."""

from __future__ import annotations

import math
from pathlib import Path
import struct
import time

from conftest import MakeWriter
from fdr_recorder import Channel, FdrClient, FlightHeader
import numpy as np
from sensor_flight import cdr, header, NS_PER_S, quaternion, schema, START_NS

SECONDS = 3600
IMU_HZ = 50
SPIKE = 1234 * IMU_HZ + 17
"""The number of the message with the highest acceleration: 150 m/s2, for one message."""
SPIKE_S = SPIKE / IMU_HZ
_IMU = 'sensor_msgs/msg/Imu'
_BATTERY = 'sensor_msgs/msg/BatteryState'


def record_hour(make_writer: MakeWriter, root: Path, *, seconds: int = SECONDS) -> Path:
    """Record it at once; times are those of the flight, not of the clock."""
    writer = make_writer(flush_interval_s=60.0)
    clients = {
        topic: FdrClient(Channel(topic, schema(name), publisher=name))
        for topic, name in (('/imu', _IMU), ('/battery', _BATTERY))
    }
    for client in clients.values():
        writer.register(client)
    writer.open_flight(
        FlightHeader(flight_id='hour', vehicle_id='drone-7', flight_started_at_ns=START_NS)
    )
    imu = bytearray(cdr(_IMU, header=header(), orientation=quaternion(0, 0, 0)))
    battery = [cdr(_BATTERY, voltage=16.8 - second / 2000) for second in range(seconds)]
    noise = np.random.default_rng(1).normal(0, 1, (seconds * IMU_HZ, 6)).tolist()
    rotation = len(imu) - (4 + 9 + 3 + 9 + 3 + 9) * 8  # its doubles are the message's last
    for number, (a, b, c, x, y, z) in enumerate(noise):
        at_ns = START_NS + number * NS_PER_S // IMU_HZ
        up = 150.0 if number == SPIKE else 9.8 + z / 4
        roll = 0.3 * math.sin(number / IMU_HZ / 60)
        struct.pack_into('<4d', imu, rotation, math.sin(roll / 2), 0.0, 0.0, math.cos(roll / 2))
        struct.pack_into('<3d', imu, rotation + 13 * 8, a, b, c)
        struct.pack_into('<3d', imu, rotation + 25 * 8, x, y, up)
        clients['/imu'].enqueue(bytes(imu), at_ns)
        if number % IMU_HZ == 0:
            while clients['/imu'].ring.fill > 0.5:  # none is to be refused
                time.sleep(0.0005)
            clients['/battery'].enqueue(battery[number // IMU_HZ], at_ns)
    writer.close_flight('hour')
    writer.stop()
    return root / 'hour'
