# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""While the vehicle is armed, nobody ends its recording by mistake (`hold_while_armed`)."""

from __future__ import annotations

import logging
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.errors import FdrError, HeldWhileArmedError
from fdr_recorder.node.conditions.armed_watch import ArmedWatch
from fdr_recorder.node.diagnostics_publisher import STEADY_CLOCK
from fdr_recorder.node.quarantine import Quarantine
from rclpy.node import Node
from rclpy.timer import Timer

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.5
HELD: Final = 'held_while_armed'


class ArmedHold:
    """
    Refuses to end the recording while the vehicle is armed; in the executor's thread.

    It listens only while the option is on. What counts is what was said last, without a debounce:
    it holds at once, and lets go at once. A source that falls silent after it has said `armed`
    holds on, because the vehicle may be flying; one that has never spoken holds nothing.
    """

    def __init__(self, node: Node, config: FdrConfig, alerts: AlertBoard) -> None:
        """Hold as the configuration says; an armed source that cannot be used is an alert."""
        self._node = node
        self._alerts = alerts
        self._watch: ArmedWatch | None = None
        self._timer: Timer | None = None
        self.apply(config)

    def apply(self, config: FdrConfig) -> None:
        """Take over the option, which may have changed."""
        if not config.hold_while_armed:
            self.stop()
        elif self._timer is None:
            self._begin(config)

    def stop(self) -> None:
        """Hold no longer. Idempotent."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        self._alerts.clear_all(HELD, 'hold_while_armed is off')
        self._alerts.clear('condition_unusable', 'hold_while_armed is off', subject='armed')

    def check(self, name: str) -> None:
        """
        Let somebody end the recording, or pause it, by what is called `name`.

        Raises:
            HeldWhileArmedError: The vehicle is armed. An alert tells.

        """
        why = self._watch.why_armed() if self._watch is not None else ''
        if not why:
            return
        error = HeldWhileArmedError(name, why)
        if not self._alerts.raise_alert(HELD, str(error), subject=name):
            logger.error('%s', error, extra={'answers': True})  # once more
        raise error

    def _begin(self, config: FdrConfig) -> None:
        try:
            self._watch = ArmedWatch(
                self._node,
                config.armed,
                self._alerts,
                Quarantine(self._alerts),
                meanwhile='whoever said last that the vehicle is armed keeps the recorder from '
                'being stopped',
            )
        except FdrError as error:  # what it would hold is recorded all the same
            self._alerts.raise_alert(
                'condition_unusable', f'hold_while_armed holds nothing: {error}', subject='armed'
            )
        self._timer = self._node.create_timer(LOOK_S, self._look, clock=STEADY_CLOCK)
        self._look()

    def _look(self) -> None:
        if self._watch is not None:
            self._watch.look(time.monotonic())
            if not self._watch.why_armed():
                self._alerts.clear_all(HELD, 'the vehicle is not armed')
