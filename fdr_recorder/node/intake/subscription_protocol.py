# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the intake needs from the middleware; `wait_set` and `executor` implement it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from fdr_recorder.node.topic_plan import TopicPlan

RawMessage = tuple[bytes, int, int, int | None, bytes]
"""
A message as the middleware gives it: serialised data, publish time and reception time (nanoseconds
of the system clock, 0 if unknown), sequence number, gid of the publisher (empty if unknown).

A plain tuple, because one is made for every message. A message that is not numbered has None, or
`NOT_NUMBERED`. The gid may be one that the graph does not know.
"""
NOT_NUMBERED: Final = 2**64 - 1
"""The number that a middleware gives which does not number messages (`rmw_message_info_t`)."""
UNKNOWN_GID: Final = b''
"""Stands for all publishers of a topic where messages do not tell whose they are."""


def is_numbered(number: object) -> bool:
    """Tell whether the middleware has numbered a message."""
    return type(number) is int and 0 <= number < NOT_NUMBERED


def raw_message(data: bytes, info: Mapping[str, Any]) -> RawMessage:
    """Return a message with the info that rclpy gives, whatever is missing in it."""
    publisher = info.get('publisher_gid')
    gid = publisher.get('data') if isinstance(publisher, Mapping) else None
    source_ns, received_ns = info.get('source_timestamp'), info.get('received_timestamp')
    number = info.get('publication_sequence_number')
    return (
        data,
        source_ns if type(source_ns) is int else 0,
        received_ns if type(received_ns) is int else 0,
        number if type(number) is int else None,
        gid if type(gid) is bytes else b'',
    )


class TopicSubscription(Protocol):
    """
    A raw subscription that also tells of changes among its publishers.

    The graph watch and transitions make and destroy it; the intake thread takes from it.
    """

    def take(self) -> RawMessage | None:
        """Return the next message; None if there is none."""

    @property
    def matched(self) -> int:
        """Count the publishers, as of the last call of `has_changed`."""

    def has_changed(self) -> bool:
        """Return whether publishers have come or left since the last call."""

    def destroy(self) -> None:
        """Unsubscribe as soon as nobody takes from it."""


class Subscriber(Protocol):
    """Subscribe for the intake, and wait for messages in its thread."""

    def subscribe(self, plan: TopicPlan) -> TopicSubscription:
        """
        Subscribe to a topic as planned; any thread.

        Where the middleware refuses a second type of a topic, another participant subscribes.

        Raises:
            RCLError: The middleware refuses for another reason.

        """

    def serving(
        self, subscriptions: Sequence[TopicSubscription]
    ) -> AbstractContextManager[Callable[[], None]]:
        """Lend a function that waits for a message of these or for `wake`, at most a second."""

    def gather(self) -> bool:
        """Make arrived messages available to `take`; return whether there may be more."""

    def wake(self) -> None:
        """End the current wait, or the next one; any thread."""

    def close(self) -> None:
        """Release the rest, after all subscriptions were destroyed."""
