# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the intake needs of the middleware; `wait_set` has it, and `executor` in another way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from fdr_recorder.node.topic_plan import TopicPlan

RawMessage = tuple[bytes, Mapping[str, Any]]
"""A serialised message and what the middleware says about it."""


class TopicSubscription(Protocol):
    """
    A subscription, raw: taken from directly, and told of its publishers.

    Made and destroyed by the watch or in transitions; the intake's thread takes from it.
    """

    def take(self) -> RawMessage | None:
        """Take the next message; None if there is none."""

    @property
    def matched(self) -> int:
        """How many publishers there were at the last call of `has_changed`."""

    def has_changed(self) -> bool:
        """Tell whether publishers have come or left since the last call."""

    def destroy(self) -> None:
        """Unsubscribe, as soon as nobody takes from it any more."""


class Subscriber(Protocol):
    """Subscribes for the intake, and waits for messages in its thread."""

    def subscribe(self, plan: TopicPlan) -> TopicSubscription:
        """
        Subscribe to a topic as planned; any thread.

        Raises:
            RCLError: The middleware refuses; it has the topic with another type, for example.

        """

    def serving(
        self, subscriptions: Sequence[TopicSubscription]
    ) -> AbstractContextManager[Callable[[], None]]:
        """Lend a call that waits: for a message of these, for `wake`, for a second at most."""

    def gather(self) -> bool:
        """Have `take` find what has arrived; tell whether there may be more."""

    def wake(self) -> None:
        """End the waiting, or the next; any thread."""

    def close(self) -> None:
        """Give back what is left, once all subscriptions are destroyed."""
