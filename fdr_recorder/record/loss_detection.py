# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Where losses in transport cannot be seen, and the sentence that says so everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Final

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.channel import BY_SEQUENCE, NO_DETECTION
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.units import plural, short

UNNUMBERED: Final = 'the middleware does not number messages'
UNTOLD: Final = 'the middleware does not tell whose messages they are'
EITHER: Final = f'{UNNUMBERED}, or does not tell whose they are'
"""Why losses in transport cannot be seen on a topic."""
_BY_WEIGHT: Final = (UNNUMBERED, UNTOLD, EITHER)
"""Of the reasons of a topic's publishers, the first is named."""

UNNUMBERING_RMW: Final = frozenset({'rmw_cyclonedds_cpp', 'rmw_cyclonedds_dynamic_cpp'})
"""Middlewares that number no message on any distribution, for flights that do not say more."""

MOST_NAMED: Final = 10
"""Topics that a sentence names."""


@dataclass(frozen=True)
class Unseen:
    """
    The topics on which losses in transport cannot be seen. False if there is none.

    Attributes:
        reasons: Why, by topic.

    """

    reasons: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether there is such a topic."""
        return bool(self.reasons)

    @property
    def topics(self) -> list[str]:
        """Return their names, sorted."""
        return sorted(self.reasons)

    @property
    def count(self) -> str:
        """Return how many they are, in words: `3 topics`."""
        return plural(len(self.reasons), 'topic')

    @property
    def sentence(self) -> str:
        """Return `str(self)` with a capital and a full stop."""
        text = str(self)
        return f'{text[0].upper()}{text[1:]}.' if text else ''

    def __str__(self) -> str:
        """Say it in one sentence, without full stop; empty if there is no such topic."""
        by_reason: dict[str, list[str]] = {}
        for topic in self.topics:
            by_reason.setdefault(self.reasons[topic], []).append(topic)
        clauses = []
        for reason, topics in by_reason.items():
            names = ', '.join(map(short, topics[:MOST_NAMED]))
            if len(topics) > MOST_NAMED:
                names += f', and {len(topics) - MOST_NAMED:,} more'
            clauses.append(f'on {plural(len(topics), "topic")} ({names}): {reason}')
        return f'losses in transport cannot be seen {"; ".join(clauses)}' if clauses else ''


def why_unseen(
    detection: str, publisher: str, *, is_numbered: bool | None, rmw: str = ''
) -> str:
    """
    Return why losses of one publisher in transport cannot be seen; empty if they can.

    Args:
        detection: `loss_detection` of its account or channel. Other values than the two known
            ones, such as the empty one of versions before 1.3.0, say nothing.
        publisher: Its gid; empty if unknown.
        is_numbered: Whether its messages have numbers; None if that is not known.
        rmw: The flight's middleware; empty if it was recorded without one.

    """
    if detection == BY_SEQUENCE:
        return ''
    can_number = rmw not in UNNUMBERING_RMW
    if detection != NO_DETECTION:  # older versions compared the numbers of known publishers
        if not rmw or publisher:
            return ''
        return EITHER if can_number else UNNUMBERED
    if is_numbered is None and not can_number:
        is_numbered = False
    if publisher or is_numbered is False:
        return UNNUMBERED
    return EITHER if is_numbered is None else UNTOLD


def unseen_in_footer(footer: FlightFooter, header: FlightHeader | None) -> Unseen:
    """Return the topics on which losses in transport could not be seen, by a flight's footer."""
    rmw = header.rmw_implementation if header is not None else ''
    return unseen_in_accounts(footer.producers, is_first_known=footer.clean_shutdown, rmw=rmw)


def unseen_in_accounts(
    producers: Iterable[ProducerCounters], *, is_first_known: bool = True, rmw: str = ''
) -> Unseen:
    """
    Return the same by accounts of producers.

    Args:
        producers: The accounts.
        is_first_known: Whether a `first_sequence` of 0 says that messages are not numbered; not in
            a flight that was recovered.
        rmw: As for `why_unseen`.

    """

    def is_numbered(item: ProducerCounters) -> bool | None:
        if item.first_sequence:
            return True
        return False if is_first_known and not item.folded else None

    return collect_unseen(
        (
            item.topic,
            why_unseen(
                item.loss_detection, item.publisher, is_numbered=is_numbered(item), rmw=rmw
            ),
        )
        for item in producers
    )


def unseen_in_channels(
    channels: Iterable[tuple[str, str, str]], header: FlightHeader | None
) -> Unseen:
    """Return where they cannot be seen: topic, publisher, `loss_detection` of each channel."""
    rmw = header.rmw_implementation if header is not None else ''
    return collect_unseen(
        (topic, why_unseen(detection, publisher, is_numbered=None, rmw=rmw))
        for topic, publisher, detection in channels
    )


def unseen_in_flight(
    footer: FlightFooter | None,
    channels: Iterable[tuple[str, str, str]],
    header: FlightHeader | None,
) -> Unseen:
    """Return the same as the footer tells, or the channels if there is no footer."""
    if footer is not None:
        return unseen_in_footer(footer, header)
    return unseen_in_channels(channels, header)


def collect_unseen(reasons: Iterable[tuple[str, str]]) -> Unseen:
    """Return the topics that have a reason, given topics and reasons."""
    found: dict[str, str] = {}
    for topic, reason in reasons:
        if reason and not topic.startswith(OWN_TOPIC_PREFIX):
            found[topic] = min(found.get(topic, reason), reason, key=_BY_WEIGHT.index)
    return Unseen(found)


def joint_detection(one: str, other: str) -> str:
    """Return the `loss_detection` of two publishers together; empty if neither is known."""
    both = (one, other)
    return next((value for value in (NO_DETECTION, BY_SEQUENCE) if value in both), '')
