# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The parameters of all nodes, asked for when a flight begins (`record_parameters`)."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from fdr_recorder.node.diagnostics_publisher import STEADY_CLOCK
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.kinds import NodeParameters
from fdr_recorder.storage.writer import FileFdrWriter
from fdr_recorder.units import encodable
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future

LOOK_S: Final = 0.5
DEADLINE_S: Final = 3.0
"""For so long the answers of a node are waited for."""
PAUSE_S: Final = 10.0
"""Before a node that has not answered is asked once more."""
MOST_TRIES: Final = 3
MOST_AT_ONCE: Final = 16
"""Nodes that are asked at the same time."""
AGAIN_S: Final = 60.0
"""So often, at most, all are asked again because segments were dropped that had the answers."""
ASK: Final = 'parameters cannot be asked for'


@dataclass
class _Question:
    """A node that is being asked; times are monotonic seconds."""

    lists: Client[Any, Any]
    gets: Client[Any, Any]
    until: float
    is_sent: bool = False


@dataclass
class _Failed:
    """A node that has not answered."""

    tries: int = 0
    again_at: float = 0.0


class ParameterSurvey:
    """
    Asks each node of the graph for its parameters, and records the answers.

    That begins with each flight, for nodes that come later when they come. Changes are recorded as
    messages of `/parameter_events`, like those of any topic.

    Everything happens in the executor's thread, and nothing waits there: services are called
    without waiting for the answer. Nothing is done while no flight is open.
    """

    def __init__(self, node: Node, writer: FileFdrWriter, quarantine: Quarantine) -> None:
        """Ask from now on whenever a flight is open, until `stop`."""
        self._node = node
        self._writer = writer
        self._quarantine = quarantine
        self._flight_id: str | None = None
        self._dropped = 0
        self._began_at = 0.0
        self._done: set[str] = set()
        self._asked: dict[str, _Question] = {}
        self._failed: dict[str, _Failed] = {}
        self._timer = node.create_timer(LOOK_S, self._look, clock=STEADY_CLOCK)

    def stop(self) -> None:
        """Ask no more. Idempotent."""
        self._node.destroy_timer(self._timer)
        self._forget(set(self._asked))
        self._quarantine.drop('')

    def _look(self) -> None:
        flight_id, now = self._writer.open_flight_id, time.monotonic()
        if flight_id is None:
            self._begin(None, now)
            return
        dropped = self._writer.status.counters.segments_dropped
        is_gone = dropped > self._dropped and now > self._began_at + AGAIN_S
        if flight_id != self._flight_id or is_gone:
            self._begin(flight_id, now, dropped if is_gone else 0)
        with self._quarantine.guard('', ASK):
            present = self._present()
            gone = self._asked.keys() - present
            gone |= {name for name, question in self._asked.items() if now > question.until}
            for name in gone & present:
                self._fail(name, now)
            self._forget(gone)
            self._done &= present
            for name in sorted(present - self._done - self._asked.keys()):
                if len(self._asked) < MOST_AT_ONCE and now >= self._due_at(name):
                    self._open(name, now)
            for name, question in self._asked.items():
                self._send(name, question)

    def _begin(self, flight_id: str | None, now: float, dropped: int = 0) -> None:
        """Begin anew, for another flight or for none."""
        self._forget(set(self._asked))
        self._done.clear()
        self._failed.clear()
        self._flight_id, self._began_at, self._dropped = flight_id, now, dropped

    def _present(self) -> set[str]:
        """Return the full names of the nodes in the graph, hidden ones left out."""
        return {
            f'{namespace.rstrip("/")}/{name}'
            for name, namespace in self._node.get_node_names_and_namespaces()
            if not name.startswith('_')
        }

    def _due_at(self, name: str) -> float:
        failed = self._failed.get(name)
        return failed.again_at if failed is not None else 0.0

    def _open(self, name: str, now: float) -> None:
        lists: Client[Any, Any] = self._node.create_client(
            ListParameters, f'{name}/list_parameters'
        )
        gets: Client[Any, Any] = self._node.create_client(
            GetParameters, f'{name}/get_parameters'
        )
        self._asked[name] = _Question(lists, gets, now + DEADLINE_S)

    def _send(self, name: str, question: _Question) -> None:
        """Send the first request as soon as the services are found."""
        are_ready = question.lists.service_is_ready() and question.gets.service_is_ready()
        if question.is_sent or not are_ready:
            return
        question.is_sent = True

        def listed(future: Future[Any]) -> None:
            response: Any = future.result()
            if self._asked.get(name) is question:
                names = list(response.result.names)
                request = GetParameters.Request(names=names)
                question.gets.call_async(request).add_done_callback(
                    lambda answer: self._record(name, question, names, answer.result())
                )

        question.lists.call_async(ListParameters.Request()).add_done_callback(listed)

    def _record(
        self, name: str, question: _Question, names: list[str], response: Any  # noqa: ANN401
    ) -> None:
        """Record an answer, unless it comes too late or is not to what was asked."""
        if self._asked.get(name) is not question:
            return
        if len(response.values) != len(names):  # one was undeclared meanwhile: ask again
            question.until = 0.0
            return
        with self._quarantine.guard(name, ASK):
            pairs = zip(names, response.values, strict=True)
            texts = {encodable(key): value_text(value) for key, value in pairs}
            self._writer.emit(NodeParameters(node=encodable(name), parameters=texts))
        self._done.add(name)
        self._failed.pop(name, None)
        question.until = 0.0  # its clients are released at the next look

    def _fail(self, name: str, now: float) -> None:
        """Record that a node has not answered; it is asked some times more."""
        if name in self._done:
            return
        failed = self._failed.setdefault(name, _Failed())
        if not failed.tries:
            failure = 'its parameter services do not answer, or there are none'
            self._writer.emit(NodeParameters(node=encodable(name), failure=failure))
        failed.tries, failed.again_at = failed.tries + 1, now + PAUSE_S
        if failed.tries >= MOST_TRIES:
            self._done.add(name)

    def _forget(self, names: set[str]) -> None:
        for name in names:
            question = self._asked.pop(name)
            self._node.destroy_client(question.lists)
            self._node.destroy_client(question.gets)


def value_text(value: ParameterValue) -> str:
    """Return the value of a parameter as JSON; bytes as a list of numbers."""
    plain: Any = parameter_value_to_python(value)
    if plain is not None and not isinstance(plain, (bool, int, float, str)):
        plain = [item[0] if isinstance(item, bytes) else item for item in plain]
    return encodable(json.dumps(plain, ensure_ascii=False))
