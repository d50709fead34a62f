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
from typing import Any, Protocol

from fdr_recorder.node.topic_plan import TopicPlan

RawMessage = tuple[bytes, Mapping[str, Any]]
"""A serialised message, and its info from the middleware (times, sequence number, gid)."""


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

        Raises:
            RCLError: The middleware refuses; it has the topic with another type, for example.

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
