# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Notes that somebody puts into the flight, beside those on the topic `~/annotation`."""

from __future__ import annotations

from typing import Final

from fdr_recorder.capture.client import FdrClient
from fdr_recorder.errors import ServiceRefusedError
from fdr_recorder.node.topic_plan import TopicPlan
from fdr_recorder.record.channel import Channel, NODE_KEY
from fdr_recorder.storage.writer import FileFdrWriter
from rclpy.serialization import serialize_message
from std_msgs.msg import String

PUBLISHER: Final = 'annotate'
"""In the place of a publisher's gid, in channel and account."""
MAX_CHARACTERS: Final = 10_000


class Notes:
    """
    Records notes as messages of the topic `~/annotation`; in the executor's thread.

    They go into a ring of their own, which is made for the first of them: not over the network.
    """

    def __init__(self, plan: TopicPlan, writer: FileFdrWriter) -> None:
        """Begin without a note; the plan is that of the topic."""
        self._plan = plan
        self._writer = writer
        self._client: FdrClient | None = None

    def add(self, text: str) -> None:
        """
        Record a note with the time of now; a flight must be open.

        Raises:
            ServiceRefusedError: It is empty or too long, or the ring is full.

        """
        if not text.strip() or len(text) > MAX_CHARACTERS:
            raise ServiceRefusedError(f'a note has 1 to {MAX_CHARACTERS:,} characters')
        if self._client is None:
            plan = self._plan
            metadata = {**plan.metadata, NODE_KEY: plan.name.rpartition('/')[0]}
            channel = Channel(plan.name, plan.schema, publisher=PUBLISHER, metadata=metadata)
            self._client = FdrClient(channel)
            self._writer.register(self._client)
        if not self._client.enqueue(bytes(serialize_message(String(data=text)))):
            raise ServiceRefusedError('the note is not recorded: the recorder is too busy')

    def stop(self) -> None:
        """Release the ring. Idempotent."""
        if self._client is not None:
            self._writer.retire(self._client)
            self._client = None
