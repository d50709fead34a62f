# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The units of fields: as the definitions of known types say in their comments."""

from __future__ import annotations

from functools import lru_cache
import re
from typing import Final

from fdr_recorder.report.known_types import known_type

_STANDARD: Final = r'(?:sensor|nav|geometry|mavros|tf2)_msgs/'
_PX4: Final = 'px4_msgs/'
_UNITS: Final = tuple(
    (re.compile(pattern), unit)
    for pattern, unit in (
        (rf'{_STANDARD}.*[:.]angular(_velocity)?\.[xyz]$', 'rad/s'),
        (r'geometry_msgs/msg/Accel\w*:.*linear\.[xyz]$', 'm/s²'),
        (rf'{_STANDARD}.*acceleration\.[xyz]$', 'm/s²'),
        (rf'{_STANDARD}.*[:.](linear|velocity)\.[xyz]$', 'm/s'),
        (rf'{_STANDARD}.*[:.](position|translation|point)\.[xyz]$', 'm'),
        (r'geometry_msgs/msg/Wrench\w*:.*force\.[xyz]$', 'N'),
        (r'geometry_msgs/msg/Wrench\w*:.*torque\.[xyz]$', 'N·m'),
        (r'mavros_msgs/msg/AttitudeTarget:body_rate', 'rad/s'),
        (r'mavros_msgs/msg/VfrHud:(airspeed|groundspeed|climb)', 'm/s'),
        (r'mavros_msgs/msg/VfrHud:heading', '°'),
        (r'(mavros_msgs/msg/VfrHud|geographic_msgs/.*|sensor_msgs/msg/NavSatFix):.*altitude', 'm'),
        (r'(sensor_msgs/msg/NavSatFix|geographic_msgs/.*):.*(latitude|longitude)$', '°'),
        (r'sensor_msgs/msg/NavSatFix:position_covariance', 'm²'),
        (r'sensor_msgs/msg/MagneticField:magnetic_field\.', 'T'),
        (r'sensor_msgs/msg/FluidPressure:fluid_pressure', 'Pa'),
        (r'sensor_msgs/msg/(Temperature|BatteryState):(cell_)?temperature', '°C'),
        (r'sensor_msgs/msg/BatteryState:(charge|capacity|design_capacity)$', 'Ah'),
        (r'sensor_msgs/msg/BatteryState:(cell_)?voltage', 'V'),
        (r'sensor_msgs/msg/Illuminance:illuminance', 'lx'),
        (r'sensor_msgs/msg/(Range|LaserScan):(.*range|ranges\[\d+\])', 'm'),
        (r'sensor_msgs/msg/LaserScan:angle_', 'rad'),
        (r'sensor_msgs/msg/LaserScan:(time_increment|scan_time)', 's'),
        (rf'{_PX4}.*:timestamp', 'µs'),
        (rf'{_PX4}.*:gyro_rad', 'rad/s'),
        (rf'{_PX4}msg/VehicleRatesSetpoint:(roll|pitch|yaw)$', 'rad/s'),
        (rf'{_PX4}msg/VehicleAngularVelocity:xyz\[', 'rad/s'),
        (rf'{_PX4}.*_m_s2(\[\d+\])?$', 'm/s²'),
        (rf'{_PX4}.*_m_s(\[\d+\])?$', 'm/s'),
        (rf'{_PX4}.*(:voltage_|_v(\[\d+\])?$)', 'V'),
        (rf'{_PX4}.*_a$', 'A'),
        (rf'{_PX4}.*_mah$', 'mAh'),
        (rf'{_PX4}.*_us$', 'µs'),
        (rf'{_PX4}.*_pa$', 'Pa'),
        (rf'{_PX4}.*(_degc|_celsius|_celcius|temperature)(\[\d+\])?$', '°C'),
        (rf'{_PX4}.*_deg$', '°'),
        (rf'{_PX4}.*_rad(\[\d+\])?$', 'rad'),
        (rf'{_PX4}msg/Vehicle(LocalPosition|LocalPositionSetpoint):[xyz]$', 'm'),
        (rf'{_PX4}msg/Vehicle(LocalPosition|LocalPositionSetpoint):v[xyz]$', 'm/s'),
        (rf'{_PX4}msg/VehicleLocalPosition:a[xyz]$', 'm/s²'),
        (rf'{_PX4}msg/(TrajectorySetpoint|VehicleOdometry):position\[', 'm'),
        (rf'{_PX4}msg/(TrajectorySetpoint|VehicleOdometry):velocity\[', 'm/s'),
        (rf'{_PX4}msg/\w+:acceleration\[', 'm/s²'),
        (rf'{_PX4}msg/\w+:(heading|yaw)$', 'rad'),
        (rf'{_PX4}.*_m$', 'm'),
    )
)


@lru_cache(maxsize=4096)
def unit_of(type_name: str, path: str) -> str:
    """Return the unit of a field of a type; empty if it is not known."""
    name = f'{known_type(type_name)}:{path}'
    return next((unit for pattern, unit in _UNITS if pattern.match(name)), '')
