# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Whether the vehicle is armed, or a condition holds that counts as that."""

from __future__ import annotations

import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.node.conditions.source import sources_of
from fdr_recorder.node.conditions.source_watch import SourceWatch
from fdr_recorder.node.conditions.switch import Switch
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.topics.armed import ArmedConfig
from rclpy.node import Node

GRACE_S: Final = 5.0
"""For so long the first word of a condition is waited for, before it counts as one that does not
hold: its topic may never come. The first word of the armed source is waited for without end."""


class ArmedWatch:
    """
    Listens to all that can say that the vehicle is armed; in the executor's thread.

    It is armed if the source says so, or if a condition holds.
    """

    def __init__(
        self,
        node: Node,
        config: ArmedConfig,
        alerts: AlertBoard,
        quarantine: Quarantine,
        *,
        post_roll_s: float = 0.0,
        meanwhile: str = 'the recorder stays as it is',
    ) -> None:
        """
        Listen from now on, as `look` finds topics; `meanwhile` is said of a silent source.

        Raises:
            SourceTypeMissingError: The source's message type is not installed.
            ConfigInvalidError: A topic has no valid name.

        """
        self._timeout_s = config.source_timeout_s
        self._meanwhile = meanwhile
        self._alerts = alerts
        self._began = time.monotonic()
        self._watched: list[tuple[SourceWatch, Switch]] = []
        for source in sources_of(config):
            switch = Switch(source.debounce_s, post_roll_s)
            self._watched.append((SourceWatch(node, source, switch.hear, quarantine), switch))

    @property
    def topics(self) -> str:
        """Return the topics, as people read them."""
        return ', '.join(dict.fromkeys(watch.topic for watch, _ in self._watched))

    @property
    def is_armed(self) -> bool | None:
        """Whether something says, just now, that it is armed; None before anything was said."""
        return self._sum([switch.says for _, switch in self._watched], time.monotonic())

    def is_flying(self, now: float) -> bool | None:
        """Return whether there is a flight, debounced and with post-roll; None while unknown."""
        return self._sum([switch.is_on(now) for _, switch in self._watched], now)

    def why_armed(self) -> str:
        """Return what says that it is armed; empty if nothing does."""
        said = [
            watch.source.name or f'the vehicle is armed ({watch.topic})'
            for watch, switch in self._watched
            if switch.says
        ]
        return '; '.join(said)

    def find(self) -> None:
        """Look for the topics that were not found yet."""
        for watch, _ in self._watched:
            if not watch.is_subscribed:
                watch.look()

    def look(self, now: float) -> None:
        """Follow the graph, and raise an alert for each source that is silent."""
        for watch, _ in self._watched:
            watch.look()
            silent_s = now - watch.heard_at
            if self._timeout_s and silent_s > self._timeout_s:
                self._alerts.raise_alert(
                    'source_silent',
                    f'nothing from {watch.topic} for {self._timeout_s} s; {self._meanwhile}',
                    subject=watch.source.name,
                )
            elif watch.has_spoken:
                self._alerts.clear(
                    'source_silent',
                    f'{watch.topic} has sent a message',
                    subject=watch.source.name,
                )

    def stop(self) -> None:
        """Stop listening. Idempotent."""
        for watch, _ in self._watched:
            watch.stop()
            self._alerts.clear('source_silent', 'not watched', subject=watch.source.name)

    def _sum(self, said: list[bool | None], now: float) -> bool | None:
        """Return what all say together; see `GRACE_S`."""
        if any(said):
            return True
        has_grace = now < self._began + GRACE_S
        waits = any(
            not watch.has_spoken and (has_grace or not watch.source.name)
            for watch, _ in self._watched
        )
        return False if False in said and not waits else None
