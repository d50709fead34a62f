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
The recorder's own state over time, from the diagnostics that it published: ring fill, free disk.

The recorder's own records do not have these. The flight has them if the diagnostics topic was
among the recorded ones.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import Any, Final

from fdr_recorder.report.sampling import Axis, Extremes
from fdr_recorder.types.cdr_to_columns import Messages
import numpy as np
from rosbags.typesys import get_typestore, Stores

STATUS_TYPE: Final = 'diagnostic_msgs/msg/DiagnosticArray'
RING_FILL_KEY: Final = 'ring_fill_percent'
DISK_FREE_KEY: Final = 'disk_free_bytes'
SILENCE_S: Final = 5.0
"""The recorder publishes once a second; after so long without, its state is unknown."""
_KEYS: Final = (RING_FILL_KEY, DISK_FREE_KEY)


class RecorderHistory:
    """Ring fill and free disk space over time."""

    def __init__(self, axis: Axis, flight_id: str) -> None:
        """
        Begin without a sample.

        Args:
            axis: Buckets of time.
            flight_id: Only what a recorder published during this flight counts.

        """
        self._extremes = Extremes(axis, len(_KEYS))
        self._flight_id = flight_id

    def ring_fill(self) -> list[list[tuple[float, float]]]:
        """Return the fill of the fullest ring, in percent: runs of (seconds, value)."""
        return self._extremes.line(0, SILENCE_S)

    def disk_free(self) -> list[list[tuple[float, float]]]:
        """Return the free disk space, in bytes: runs of (seconds, value)."""
        return self._extremes.line(1, SILENCE_S)

    @cached_property
    def _deserialize(self) -> Any:  # noqa: ANN401 - rosbags makes the class at run time
        return get_typestore(Stores.ROS2_HUMBLE).deserialize_cdr

    def add(self, messages: Messages) -> None:
        """Add messages of the diagnostics type; those of other nodes are skipped."""
        for time_ns, data in messages.data():
            if not all(key.encode() in data for key in (*_KEYS, self._flight_id)):
                continue
            try:
                array = self._deserialize(data, STATUS_TYPE)
            except Exception:  # damaged data make the generated decoder raise anything
                continue
            for status in array.status:
                values = {item.key: item.value for item in status.values}
                if values.get('flight_id') == self._flight_id:
                    self._take(time_ns, values)

    def _take(self, time_ns: int, values: dict[str, str]) -> None:
        with suppress(KeyError, ValueError):
            sample = np.array([[float(values[key])] for key in _KEYS])
            self._extremes.add(np.array([time_ns]), sample)
