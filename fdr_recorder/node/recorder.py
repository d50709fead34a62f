# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The lifecycle node: builds the parts at configure, and releases them at cleanup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import logging
import os

from diagnostic_msgs.msg import DiagnosticStatus
from fdr_recorder.alerts import ALERT_GROUPS, AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.errors import (
    DiskStalledError,
    FdrError,
    HeldWhileArmedError,
    WriterFailedError,
)
from fdr_recorder.node.autostart import Autostart, LateDeactivation
from fdr_recorder.node.diagnostics_publisher import DiagnosticsPublisher
from fdr_recorder.node.diagnostics_summary import RecorderSummary
from fdr_recorder.node.errands import Errands
from fdr_recorder.node.logs import RosLogHandler
from fdr_recorder.node.parameters import Parameters
from fdr_recorder.node.parts import build_parts, Parts
from fdr_recorder.node.qos import with_qos_file
from fdr_recorder.node.services import Services
from fdr_recorder.node.spoken import tell_closed, tell_lost, tell_opened, tell_ready
from fdr_recorder.node.wanted_topics import resolver
from fdr_recorder.record.config_change import changes_of
from fdr_recorder.record.flight_header import hash_manifest, new_flight_header
from fdr_recorder.storage.access import check_group
from fdr_recorder.storage.flight_directory import new_flight_id
from fdr_recorder.topics.selection import TopicSelection
from lifecycle_msgs.msg import Transition
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.utilities import get_rmw_implementation_identifier

logger = logging.getLogger(__name__)

NODE_NAME = 'fdr_recorder'

_FILES = 'the files that the parameters name'
FILES_PATIENCE_S = 10.0
"""How long a transition waits until files are read; those of the manifest may be large."""

_REFUSAL_ALERTS = (
    'config_invalid flight_root_locked flight_root_unusable transition_refused disk_full'
).split()
"""A refused transition or the previous flight may have raised these; success clears them."""

_TRANSITIONS = {
    Transition.TRANSITION_CONFIGURE: ('configure', 'unconfigured'),
    Transition.TRANSITION_ACTIVATE: ('activate', 'inactive'),
    Transition.TRANSITION_DEACTIVATE: ('deactivate', 'active'),
    Transition.TRANSITION_CLEANUP: ('cleanup', 'inactive'),
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: ('shutdown', 'unconfigured'),
    Transition.TRANSITION_INACTIVE_SHUTDOWN: ('shutdown', 'inactive'),
    Transition.TRANSITION_ACTIVE_SHUTDOWN: ('shutdown', 'active'),
}
"""Name of each transition, and the state from which it leads."""

ENDING = ('deactivate', 'cleanup', 'shutdown', 'stop', 'pause')
"""What is refused while the vehicle is armed, if `hold_while_armed` is on."""


class Recorder(LifecycleNode):
    """
    The flight data recorder as a lifecycle node.

    - configure (unconfigured to inactive): read the parameters, take the flight root, subscribe,
      start the intake thread; unclosed flights are recovered in the background.
    - activate (inactive to active): start the writer, open a flight; its header is on disk.
    - deactivate (active to inactive): drain the rings, close the flight with its footer.
    - cleanup (inactive to unconfigured): release subscriptions, rings and the flight root.
    - shutdown (any state to finalized): deactivate if active, then release everything.

    A typed error refuses a transition: the state stays, an alert says why. Any other exception
    releases everything: the node is unconfigured then. All callbacks run in the executor's thread.
    """

    def __init__(self, node_name: str = NODE_NAME) -> None:
        super().__init__(node_name)
        self._board = AlertBoard()
        self._errands = Errands(self._board)
        self._parts: Parts | None = None
        self._state_label = 'unconfigured'
        self.refusal = ''
        """Why a transition was refused last."""
        self.next_flight_id = ''
        """Name of the next flight, if somebody has asked for one; else that of the options."""
        self.is_ending = False
        """Whether a shutdown transition has begun: from its end, the node is of no more use."""
        self._log_handler = RosLogHandler(self.get_logger())
        self._log_handler.attach()
        self._options = Parameters(
            self,
            FdrConfig,
            self._why_fixed,
            self._apply_options,
            lambda config: TopicSelection(config, resolver(self)),
        )
        Services(self, self)
        self._autostart = Autostart(self, lambda: self._state_label)
        self._late = LateDeactivation(self, self._may_deactivate)
        self._summary = RecorderSummary()
        self._diagnostics = self._publish_diagnostics('/diagnostics')

    @property
    def is_finalized(self) -> bool:
        """Whether the node was shut down through its lifecycle, and nothing failed in that."""
        return self._state_label == 'finalized'

    @property
    def state_label(self) -> str:
        """Return the state of its lifecycle."""
        return self._state_label

    @property
    def parts(self) -> Parts | None:
        """Return its parts; None while it is not configured."""
        return self._parts

    @property
    def unclosed_flight(self) -> str:
        """Return the flight that is not closed; empty if there is none. Any thread."""
        parts = self._parts
        flight_id = parts.writer.open_flight_id if parts is not None else None
        return str(parts.root.path / flight_id) if parts is not None and flight_id else ''

    def progress(self) -> object:
        """Return something that changes while the node gets on, and is worth waiting for."""
        parts = self._parts
        if parts is None:
            return self._state_label
        pulse = parts.root.pulse
        return self._state_label, 0 if pulse.stall[0] else pulse.begun

    # --- transitions: rclpy's callbacks --------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Refuse wrong parameters, and a flight root that is in use or cannot be used."""
        return self._attempt('configure', self._configure, 'inactive')

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Refuse a flight id that exists, and a full disk."""
        return self._attempt('activate', self._activate, 'active')

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the flight."""
        return self._attempt('deactivate', self._deactivate, 'inactive')

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything; the next configure may find other parameters."""
        return self._attempt('cleanup', self._release, 'unconfigured')

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close an open flight, then release everything. The process ends, if that fails too."""
        self.is_ending = True
        return self._attempt('shutdown', self._shut_down, 'finalized')

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything after an exception in a transition."""
        try:
            self._release()
        except Exception:
            logger.exception('an error while releasing everything')
        self._state_label = 'unconfigured'
        return TransitionCallbackReturn.SUCCESS

    def _LifecycleNodeMixin__change_state(  # noqa: N802 - rclpy's name for it
        self, transition: int
    ) -> TransitionCallbackReturn:
        """
        Refuse a transition that does not fit the state.

        rclpy 9 does this itself, in words that nobody understands. In rclpy 7 (Jazzy) the error
        reaches the executor, and would end the recorder for one wrong request.
        """
        state = self._state_machine.current_state[1]
        name, fitting = _TRANSITIONS.get(transition, (f'transition {transition}', ''))
        if state != fitting:
            only = f', not {fitting}' if fitting else ''
            self.refusal = f'{name} refused: the recorder is {state}{only}'
            logger.error('%s', self.refusal, extra={'answers': True})
            return TransitionCallbackReturn.FAILURE
        try:
            self.check_hold(name)
        except HeldWhileArmedError as error:
            self.refusal = str(error)
            return TransitionCallbackReturn.FAILURE
        change: Callable[[int], TransitionCallbackReturn] = (
            super()._LifecycleNodeMixin__change_state  # type: ignore[misc]
        )
        return change(transition)

    def check_hold(self, name: str) -> None:
        """
        Let somebody end or pause the recording by what is called `name`; other names pass.

        A refused shutdown would end in *finalized*: so rcl must not get to know of it.

        Raises:
            HeldWhileArmedError: The vehicle is armed, and `hold_while_armed` is on.

        """
        is_asked = not (self.is_ending or self._late.is_acting)
        if self._parts is not None and is_asked and name in ENDING:
            self._parts.hold.check(name)

    def end(self) -> TransitionCallbackReturn:
        """Shut down for a signal, or for the end of a rehearsal: nothing holds that up."""
        self.is_ending = True
        return self.trigger_shutdown()

    def _attempt(
        self, name: str, act: Callable[[], None], new_state: str
    ) -> TransitionCallbackReturn:
        """Make a transition; raise an alert if it is refused or fails."""
        try:
            act()
        except FdrError as error:
            self.refusal = message = f'{name} refused: {error}'
            if not self._board.raise_alert(error.alert_code, message):
                answers = {'answers': not self._autostart.is_acting}
                logger.error('%s', message, extra=answers)  # once more
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            logger.exception('%s failed', name)
            self.refusal = f'{name} failed: {error!r}'
            self._board.raise_alert('transition_refused', self.refusal)
            return TransitionCallbackReturn.ERROR
        self._state_label = new_state
        if not self._autostart.is_acting:  # somebody else commands the node from now on
            self._autostart.end()
        is_end = name == 'shutdown'
        for code in _REFUSAL_ALERTS:
            self._board.clear(code, 'the recorder ends' if is_end else f'{name} succeeded')
        return TransitionCallbackReturn.SUCCESS

    # --- transitions: the work -----------------------------------------------------------

    def _configure(self) -> None:
        self._release()  # what an error, and a disk that did not answer, have left
        config = self._read_config()
        if config.diagnostics_topic != self._diagnostics.topic:
            self._diagnostics.stop()
            self._diagnostics = self._publish_diagnostics(config.diagnostics_topic)
        _set_log_level(config)
        self._parts = parts = build_parts(self, config, self._board, self._errands)
        self._keep_preroll(parts)
        tell_ready(config, parts.root.path, parts.watch)

    def _read_config(self) -> FdrConfig:
        """Read the parameters, and the files that they name."""

        def read() -> FdrConfig:
            config = with_qos_file(options)
            hash_manifest(config.manifest_files)
            check_group(config.writer)
            return config

        options = self._options.read()
        return self._errands.run(
            _FILES, read, 'configure can succeed', patience_s=FILES_PATIENCE_S
        )

    def _activate(self) -> None:
        parts = self._parts
        assert parts is not None
        flight_id = self.next_flight_id or parts.config.flight_id or new_flight_id()
        parts.intake.hold_latched()
        try:
            header = self._errands.run(
                _FILES,
                lambda: new_flight_header(
                    flight_id,
                    parts.config,
                    rmw_implementation=get_rmw_implementation_identifier(),
                    requested=parts.watch.requested,
                ),
                'a flight can begin',
                patience_s=FILES_PATIENCE_S,
            )
            if parts.writer.is_stopping or not parts.writer.is_started:
                parts.writer.start()
            try:
                parts.writer.open_flight(header)
            except BaseException:
                if not parts.config.preroll_s:
                    parts.writer.stop()
                raise
        finally:
            parts.intake.replay_latched()
        parts.watch.look_for_requested()
        parts.flight = parts.root.path / flight_id
        tell_opened(parts.flight)

    def _deactivate(self) -> None:
        parts = self._parts
        assert parts is not None
        flight_id = parts.writer.open_flight_id
        summary = None
        try:
            if flight_id is not None:  # else the writer has failed
                if not parts.intake.catch_up():
                    logger.warning('the intake is late: some messages may be missing')
                parts.watch.look_for_requested()
                parts.pausing.resume('the flight ends')
                summary = parts.writer.close_flight(flight_id)
            parts.writer.stop()
        except WriterFailedError:  # before or in that; its alert says why
            parts.writer.stop()
        except DiskStalledError:  # the writer goes on, and closes the flight once it can
            self._late.begin()
            raise
        except BaseException:
            parts.writer.stop()
            raise
        self._keep_preroll(parts)
        flight, parts.flight = parts.flight, None
        if summary is not None:
            tell_closed(summary)
        elif flight is not None:
            tell_lost(flight)

    def _may_deactivate(self) -> bool | None:
        """Tell whether the disk answers again; None if there is nothing to deactivate."""
        parts = self._parts
        if parts is None or self._state_label != 'active':
            return None
        return not parts.writer.status.stalled_s

    def _release(self) -> None:
        """
        Release what configure has taken, in reverse order. Idempotent.

        Raises:
            DiskStalledError: The writer still works on the disk. Nothing is released then.

        """
        parts = self._parts
        if parts is not None:
            parts.writer.stop()
            self._parts = None
            parts.release.close()

    def _shut_down(self) -> None:
        try:
            if self._parts is not None:
                self._deactivate()
        except DiskStalledError:  # the writer still works on what would be released
            raise
        except BaseException:
            self._release()
            raise
        self._release()

    def _keep_preroll(self, parts: Parts) -> None:
        """Start the writer before the flight, if it is to keep a pre-roll."""
        if parts.config.preroll_s:
            parts.writer.start()

    # --- autostart, services, parameters, status -----------------------------------------

    def autostart(self) -> None:
        """Configure and activate if the parameter says so; repeat until that succeeds."""
        if self.get_parameter('autostart').value is True:
            self._autostart.begin()

    def _why_fixed(self) -> str:
        why = 'is read at configure; clean up first, then set it and configure again'
        return why if self._parts else ''

    def _apply_options(self) -> None:
        """Apply parameters that were changed after configure."""
        parts = self._parts
        if parts is not None:
            before = parts.config
            parts.config = replace(
                self._options.read(), qos_profile_overrides=before.qos_profile_overrides
            )
            parts.writer.apply(parts.config.writer)
            parts.hold.apply(parts.config)
            _set_log_level(parts.config)
            if changes := [*changes_of(before, parts.config)]:
                parts.watch.choices.make(parts.config, changes)

    def _publish_diagnostics(self, topic: str) -> DiagnosticsPublisher:
        return DiagnosticsPublisher(
            self,
            topic,
            self._board,
            groups=ALERT_GROUPS,
            summarize=self._summarize,
            hardware_id=self._hardware_id,
        )

    def _summarize(self) -> DiagnosticStatus:
        state, parts = self._state_label, self._parts
        if parts is None:
            return self._summary.unconfigured(state)
        return self._summary.configured(state, parts.root.path, parts.watch, parts.writer.status)

    def _hardware_id(self) -> str:
        parts = self._parts
        return (parts.config.vehicle_id if parts else '') or os.uname().nodename

    def destroy_node(self) -> None:
        """Release everything, then leave the graph."""
        flight = self.unclosed_flight
        try:
            self._release()
        except DiskStalledError as error:
            logger.error('%s', error)
        if flight:
            logger.error('%s is not closed: `fdr recover`, or the next start, does that', flight)
        self._diagnostics.stop()
        self._log_handler.detach()
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()  # rclpy forgets it, and it holds the node


def _set_log_level(config: FdrConfig) -> None:
    level = logging.DEBUG if config.writer.debug_log_per_record else logging.INFO
    logging.getLogger('fdr_recorder').setLevel(level)
