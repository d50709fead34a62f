# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A channel: the records of one producer on one topic, of one type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from fdr_recorder.mcap.layout import CDR
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.offered_qos import in_bag_version, qos_list
from fdr_recorder.version import BAG_VERSION

QOS_KEY: Final = 'offered_qos_profiles'
TYPE_HASH_KEY: Final = 'topic_type_hash'
PUBLISHER_KEY: Final = 'publisher_gid'
NODE_KEY: Final = 'publisher_node'
LOSS_DETECTION_KEY: Final = 'loss_detection'
"""Keys in the metadata of an MCAP channel record: two of rosbag2, three of this recorder."""
BY_SEQUENCE: Final = 'sequence'
NO_DETECTION: Final = 'none'
"""Values of `LOSS_DETECTION_KEY`."""


@dataclass(frozen=True, eq=False)
class Channel:
    """
    The description of one producer's records in a file.

    A topic with two publishers has two channels: each message in a segment belongs to a publisher,
    and a jump in `sequence` means a loss.

    Attributes:
        topic: Fully qualified name, for example `/imu/data`.
        schema: The type of its messages.
        publisher: The publisher's gid in hexadecimal; empty if unknown or not a ROS publisher.
        metadata: Further metadata of the MCAP channel record, such as rosbag2's
            `offered_qos_profiles` and `topic_type_hash`.
        latched: The last message is repeated at the start of each segment (transient local).
        message_encoding: The same in all channels, as the bag format requires.

    """

    topic: str
    schema: Schema
    publisher: str = ''
    metadata: Mapping[str, str] = field(default_factory=dict)
    latched: bool = False
    message_encoding: str = CDR

    @property
    def loss_detection(self) -> str:
        """
        How losses in transport can be seen: `BY_SEQUENCE` or `NO_DETECTION`.

        Empty for what does not come from the middleware, or says something else. What is known of
        a publisher may change while it is recorded: ask when it is told.
        """
        metadata: object = self.metadata
        said = metadata.get(LOSS_DETECTION_KEY) if isinstance(metadata, Mapping) else None
        return said if said in (BY_SEQUENCE, NO_DETECTION) else ''

    def file_metadata(self, bag_version: int = BAG_VERSION) -> dict[str, str]:
        """
        Return the key-value pairs of the MCAP channel record, in a bag of that version.

        QoS profiles that are not a YAML list are left out: readers would refuse the whole bag.
        """
        metadata = dict(self.metadata)
        if self.publisher:
            metadata[PUBLISHER_KEY] = self.publisher
        if qos := metadata.get(QOS_KEY):
            metadata[QOS_KEY] = in_bag_version(qos, bag_version) if qos_list(qos) else ''
        return metadata
