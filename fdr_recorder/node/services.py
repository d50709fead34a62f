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

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
import logging
from typing import Any, Final, Protocol

from diagnostic_msgs.srv import AddDiagnostics
from fdr_recorder.errors import FdrError, ServiceRefusedError
from fdr_recorder.node.parts import Parts
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from std_srvs.srv import Trigger

logger = logging.getLogger(__name__)

ROSBAG2_TYPES: Final[Mapping[str, str]] = {
    'record': 'Record',
    'stop': 'Stop',
    'split_bagfile': 'SplitBagfile',
    'snapshot': 'Snapshot',
    'pause': 'Pause',
    'resume': 'Resume',
    'is_paused': 'IsPaused',
}
"""Services that rosbag2's recorder has, too, and their types in `rosbag2_interfaces`."""


def service_type(name: str) -> Any:  # noqa: ANN401 - service classes carry no types
    """
    Return the type of a service: rosbag2's where that is installed, else a plain trigger.

    A note needs a text. `AddDiagnostics` is the only type with a text as its whole request, and
    with success and message in the response, among the packages that the recorder needs anyway.
    """
    if name in ROSBAG2_TYPES:
        with suppress(ImportError):
            return getattr(import_module('rosbag2_interfaces.srv'), ROSBAG2_TYPES[name], Trigger)
    return AddDiagnostics if name == 'annotate' else Trigger


class Lifecycle(Protocol):
    """What the services need of the recorder."""

    next_flight_id: str
    """Name of the next flight; empty for the one of the configuration."""

    @property
    def state_label(self) -> str:
        """Return the state of its lifecycle."""

    @property
    def parts(self) -> Parts | None:
        """Return its parts; None while it is not configured."""

    @property
    def refusal(self) -> str:
        """Return why the last transition was refused."""

    def check_hold(self, name: str) -> None:
        """Raise HeldWhileArmedError if the vehicle is armed, and what is called so must wait."""

    def trigger_configure(self) -> TransitionCallbackReturn:
        """Make the transition."""

    def trigger_activate(self) -> TransitionCallbackReturn:
        """Make the transition."""

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        """Make the transition."""


class Services:
    """
    Serves `~/split`, `~/pin`, `~/annotate` and the services of rosbag2.

    All runs in the executor's thread.

    What opens and closes flights makes the transitions of the lifecycle, as anybody else does.
    """

    def __init__(self, node: Node, recorder: Lifecycle) -> None:
        """Offer the services."""
        self._recorder = recorder
        acts: Mapping[str, Callable[[Any], str]] = {
            'split': self._split,
            'pin': self._pin,
            'annotate': self._annotate,
            'record': self._record,
            'stop': self._stop,
            'split_bagfile': self._split,
            'snapshot': self._snapshot,
            'pause': self._pause,
            'resume': self._resume,
            'is_paused': self._is_paused,
        }
        for name, act in acts.items():
            node.create_service(service_type(name), f'~/{name}', partial(self._serve, name, act))

    def _serve(
        self, name: str, act: Callable[[Any], str], request: Any, response: Any  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - service classes carry no types
        """Act, and say how it went in whatever fields the response has."""
        try:
            text, has_succeeded = act(request), True
        except FdrError as error:
            text, has_succeeded = str(error), False
            if name != 'is_paused':
                logger.error('~/%s: %s', name, text, extra={'answers': True})
        says: Mapping[str, object] = {
            'success': has_succeeded,
            'message': text,
            'return_code': 0 if has_succeeded else 1,
            'error_string': '' if has_succeeded else text,
            'paused': has_succeeded,
        }
        for field in says.keys() & response.get_fields_and_field_types().keys():
            setattr(response, field, says[field])
        return response

    def _open(self) -> Parts:
        """Return the parts; raise ServiceRefusedError if no flight is open."""
        parts = self._recorder.parts
        if parts is None or parts.writer.open_flight_id is None:
            raise self._no_flight()
        return parts

    def _no_flight(self) -> ServiceRefusedError:
        state = self._recorder.state_label
        return ServiceRefusedError(f'no flight is open ({state}): activate first')

    # --- in a flight ---------------------------------------------------------------------

    def _split(self, request: Any) -> str:  # noqa: ANN401
        """Close the open segment and begin the next."""
        _only_now(request, 'split_time')
        parts = self._open()
        parts.writer.split()
        index = parts.writer.status.segment_index
        return f'segment {index} is closed, unless it holds no data yet'

    def _pin(self, _: Any) -> str:  # noqa: ANN401
        """Let no cap drop the segments from before to after this moment."""
        parts = self._open()
        parts.writer.pin('~/pin')
        config = parts.config
        before, after = f'{config.pin_before_s:g} s', f'{config.pin_after_s:g} s'
        return f'the last {before} and the next {after} are pinned'

    def _annotate(self, request: Any) -> str:  # noqa: ANN401
        """Record a note."""
        self._open().notes.add(request.load_namespace)
        return 'noted'

    def _pause(self, _: Any) -> str:  # noqa: ANN401
        """Leave out what comes, and count it."""
        self._recorder.check_hold('pause')
        self._open().pausing.pause()
        return 'paused: messages are left out, and counted, until ~/resume'

    def _resume(self, request: Any) -> str:  # noqa: ANN401
        """Record again what comes."""
        _only_now(request, 'resume_time')
        self._open().pausing.resume()
        return 'recording'

    def _is_paused(self, _: Any) -> str:  # noqa: ANN401
        """Say whether the recording is paused; `success` says it, too."""
        parts = self._recorder.parts
        if parts is None or not parts.pausing.is_paused:
            raise ServiceRefusedError('not paused')
        return 'paused'

    # --- open and close flights ------------------------------------------------------------

    def _record(self, request: Any) -> str:  # noqa: ANN401
        """Begin a flight, as `activate` does; configure before that if need be."""
        _only_now(request, 'start_time')
        recorder = self._recorder
        if recorder.state_label == 'active':
            raise ServiceRefusedError('a flight is being recorded already')
        if recorder.state_label == 'unconfigured':
            self._succeed(recorder.trigger_configure())
        self._begin(self._flight_id(getattr(request, 'uri', '')))
        parts = recorder.parts
        return f'recording to {parts.flight}' if parts is not None else ''

    def _stop(self, _: Any) -> str:  # noqa: ANN401
        """End the flight, as `deactivate` does."""
        self._recorder.check_hold('stop')
        if self._recorder.state_label != 'active':
            raise self._no_flight()
        parts = self._recorder.parts
        flight = parts.flight if parts is not None else None
        self._succeed(self._recorder.trigger_deactivate())
        return f'{flight} is closed'

    def _snapshot(self, _: Any) -> str:  # noqa: ANN401
        """
        Make sure that the last seconds are in a flight.

        While inactive they are in the pre-roll: a flight that holds them is begun and closed. In a
        flight they are recorded already, and the next segment begins.
        """
        recorder = self._recorder
        parts = recorder.parts
        if recorder.state_label == 'active':
            return f'what came so far is recorded: {self._split(None)}'
        if parts is None or recorder.state_label != 'inactive' or not parts.config.preroll_s:
            raise ServiceRefusedError(
                f'nothing is kept to take a snapshot of ({recorder.state_label}): set preroll_s '
                'and configure, or record'
            )
        self._begin('')
        flight = parts.flight
        self._succeed(recorder.trigger_deactivate())
        return f'the last {parts.config.preroll_s:g} s are in {flight}'

    def _begin(self, flight_id: str) -> None:
        self._recorder.next_flight_id = flight_id
        try:
            self._succeed(self._recorder.trigger_activate())
        finally:
            self._recorder.next_flight_id = ''

    def _succeed(self, result: TransitionCallbackReturn) -> None:
        if result != TransitionCallbackReturn.SUCCESS:
            raise ServiceRefusedError(self._recorder.refusal)

    def _flight_id(self, uri: str) -> str:
        """Return the name of the flight that a `uri` of rosbag2 means; empty for the usual."""
        parts = self._recorder.parts
        if not uri or parts is None:
            return ''
        place, _, name = uri.removeprefix('file://').rstrip('/').rpartition('/')
        if place and place != str(parts.root.path):
            raise ServiceRefusedError(
                f'flights are recorded below {parts.root.path}: leave uri empty, or give the name '
                'of a flight'
            )
        return name


def _only_now(request: object, field: str) -> None:
    """Refuse to do something at a time, which rosbag2's newest types let one ask for."""
    time = getattr(request, field, None)
    if time is not None and (time.sec or time.nanosec):
        raise ServiceRefusedError(f'{field}: only what is to be done now is done; leave it empty')
