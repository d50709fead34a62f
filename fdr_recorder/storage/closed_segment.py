# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What is known of a segment that is complete."""

from __future__ import annotations

from collections.abc import Mapping

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.channel import Channel

Encoded = bytes


@dataclass(frozen=True, slots=True)
class ClosedSegment:
    """
    A complete segment.

    Attributes:
        index: Its number in the flight, from 0.
        file_name: Its name in the flight's directory.
        bytes: Size of the file.
        records: Records in it.
        first_log_time_ns: Earliest log time (system clock); 0 if there is no record.
        last_log_time_ns: Latest log time.
        counts: Records by channel.
        own_records: Records of the recorder itself among them.
        repeated: Repeated messages among them.
        told: What its records of the recorder itself tell, see `told_by`.
        sha256: Of the file, hexadecimal, if the flight is sealed.
        last_seal: Its last seal with the signature, as an entry of SEALS.

    """

    index: int
    file_name: str
    bytes: int
    records: int
    first_log_time_ns: int
    last_log_time_ns: int
    counts: Mapping[Channel, int]
    own_records: int = 0
    repeated: int = 0
    told: Encoded = b''
    sha256: str = ''
    last_seal: Encoded = b''
