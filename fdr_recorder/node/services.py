# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The services of the recorder, apart from those of its lifecycle."""

from __future__ import annotations

from collections.abc import Callable

from fdr_recorder.errors import FdrError, FlightNotOpenError
from fdr_recorder.node.parts import Parts
from rclpy.node import Node
from std_srvs.srv import Trigger


class Services:
    """
    Serves `~/split` and `~/pin`. All callbacks run in the executor's thread.

    Example:
        >>> services = Services(node, lambda: parts, lambda: 'active')

    """

    def __init__(
        self, node: Node, parts: Callable[[], Parts | None], state_label: Callable[[], str]
    ) -> None:
        """Offer the services; `parts` are None while the recorder is not configured."""
        self._parts = parts
        self._state_label = state_label
        node.create_service(Trigger, '~/split', self._on_split)
        node.create_service(Trigger, '~/pin', self._on_pin)

    def _on_split(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Serve `~/split`: close the open segment and begin the next."""
        parts = self._parts()
        try:
            if parts is None:
                raise FlightNotOpenError('')
            parts.writer.split()
        except FdrError:
            response.message = f'no flight is open ({self._state_label()}): activate first'
        else:
            index = parts.writer.status.segment_index
            response.success = True
            response.message = f'segment {index} is closed, unless it holds no data yet'
        return response

    def _on_pin(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Serve `~/pin`: no cap drops the segments from before to after this moment."""
        parts = self._parts()
        try:
            if parts is None:
                raise FlightNotOpenError('')
            parts.writer.pin('~/pin')
        except FdrError:
            response.message = f'no flight is open ({self._state_label()}): activate first'
        else:
            config = parts.config
            before, after = f'{config.pin_before_s:g} s', f'{config.pin_after_s:g} s'
            response.success = True
            response.message = f'the last {before} and the next {after} are pinned'
        return response
