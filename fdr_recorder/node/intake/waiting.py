# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Waiting for messages, with a middleware that may not be able to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from fdr_recorder.node.intake.subscription_protocol import Subscriber, TopicSubscription
from fdr_recorder.node.quarantine import FAULTS, Quarantine

REST_S: Final = 0.04
"""Pause after a round, so that one wake-up serves many messages. Meanwhile the middleware keeps
`intake_depth` messages of each topic."""
REST_PER_TOPIC_S: Final = 0.00012
"""Pause for so long if that is more: a take that finds nothing costs a hundredth of it."""
MAX_REST_S: Final = 0.06
"""Longest pause. Messages wait so long before they reach a ring."""
REST_SHARE: Final = 0.25
"""The same as a share of `flush_interval_s`; what follows needs the rest, see `drain.py`."""
WAIT: Final = 'messages cannot be waited for, so the intake looks for them all the time'


def lend_wait(
    stack: ExitStack,
    subscriber: Subscriber,
    served: Sequence[TopicSubscription],
    quarantine: Quarantine,
    on_fault: Callable[[], None],
) -> Callable[[], None]:
    """
    Return a function that waits for a message of these subscriptions, as `Subscriber.serving`.

    Messages can be taken without waiting. So if waiting fails, the alert `intake_failed` is
    raised, and for a while the returned function does nothing.

    Args:
        stack: What the middleware holds while the function is used.
        subscriber: Whose subscriptions they are.
        served: The subscriptions.
        quarantine: Decides when waiting is tried again: not before its time for `WAIT`.
        on_fault: Called when waiting fails; the function should then be replaced.

    """

    def blame(error: BaseException) -> None:
        quarantine.blame('', WAIT, error, 'intake_failed')
        on_fault()

    if quarantine.holds('', WAIT):
        return lambda: None
    try:
        wait_for_messages = stack.enter_context(subscriber.serving(served))
    except FAULTS as error:
        blame(error)
        return lambda: None

    def wait() -> None:
        try:
            wait_for_messages()
        except FAULTS as error:
            blame(error)
        else:
            quarantine.relent('', WAIT)

    return wait


def rest_after_round_s(topics: int, flush_interval_s: float) -> float:
    """Return how long to pause after a round that has looked at so many topics."""
    longest_s = min(MAX_REST_S, flush_interval_s * REST_SHARE)
    return min(max(REST_S, topics * REST_PER_TOPIC_S), longest_s)
