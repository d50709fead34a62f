# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
MAVLink, by `pymavlink` (extra `gcs`), which only this module imports, and late.

Frames that are sent are MAVLink 2, unsigned; frames of either version are understood.
"""

from __future__ import annotations

from enum import IntEnum
import time
from typing import Any, Final, NamedTuple

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.ground.computer import ComputerLoad
from fdr_recorder.ground.recorders import Disk
from fdr_recorder.ground.texts import Severity

MAV_TYPE_GCS: Final = 6
MAV_TYPE_ONBOARD_CONTROLLER: Final = 18
MAV_AUTOPILOT_INVALID: Final = 8
COMPONENT_ID: Final = 191
"""`MAV_COMP_ID_ONBOARD_COMPUTER`."""
UNUSED_U8: Final = 0xFF
UNUSED_I8: Final = 0x7F
UNUSED_I16: Final = 0x7FFF
UNUSED_U32: Final = 0xFFFFFFFF
MIB: Final = 2**20
BUFFER_SIZE: Final = 65536


class Condition(IntEnum):
    """What the heartbeat says, with the values of `MAV_STATE`."""

    STANDBY = 3
    ACTIVE = 4
    CRITICAL = 5


class Result(IntEnum):
    """The answer to a command, with the values of `MAV_RESULT`."""

    ACCEPTED = 0
    TEMPORARILY_REJECTED = 1
    DENIED = 2
    UNSUPPORTED = 3
    FAILED = 4
    IN_PROGRESS = 5


class Sender(NamedTuple):
    """System and component that a message came from."""

    system: int
    component: int


class Heartbeat(NamedTuple):
    """A heartbeat of somebody else."""

    sender: Sender
    is_ground: bool


class Command(NamedTuple):
    """
    A command to this component, as COMMAND_LONG or COMMAND_INT.

    Attributes:
        sender: Who wants it.
        number: Of `MAV_CMD`.
        confirmation: How often it was sent before; 0 where that is not told.
        parameters: Its other fields, as text: NaN is unequal to itself.

    """

    sender: Sender
    number: int
    confirmation: int
    parameters: str


class Mavlink:
    """Makes and reads frames, as one component. Used by one thread."""

    def __init__(self, system_id: int, component_id: int) -> None:
        """Raise `ExtraMissingError` if `pymavlink` is not installed."""
        try:
            from pymavlink.dialects.v20 import common  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ExtraMissingError('pymavlink', 'gcs') from error
        self._dialect = common
        self._mav = common.MAVLink(None, srcSystem=system_id, srcComponent=component_id)
        self.forget()

    def forget(self) -> None:
        """Forget the beginning of a frame that has come."""
        mav = self._mav
        self._reader = self._dialect.MAVLink(None, mav.srcSystem, mav.srcComponent)
        self._reader.robust_parsing = True

    # --- frames to send ------------------------------------------------------------------

    def _pack(self, message: Any) -> bytes:  # noqa: ANN401 - pymavlink has no types
        frame = bytes(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256
        return frame

    def heartbeat(self, condition: Condition) -> bytes:
        """Return a HEARTBEAT."""
        kind = self._dialect.MAVLink_heartbeat_message
        return self._pack(
            kind(MAV_TYPE_ONBOARD_CONTROLLER, MAV_AUTOPILOT_INVALID, 0, 0, int(condition), 3)
        )

    def text(self, severity: Severity, text: str) -> bytes:
        """Return a STATUSTEXT."""
        kind = self._dialect.MAVLink_statustext_message
        return self._pack(kind(int(severity), text.encode('ascii')))

    def acknowledge(self, command: Command, result: Result) -> bytes:
        """Return a COMMAND_ACK."""
        progress = UNUSED_U8 if result is Result.IN_PROGRESS else 0
        kind = self._dialect.MAVLink_command_ack_message
        sender = command.sender
        return self._pack(
            kind(command.number, int(result), progress, 0, sender.system, sender.component)
        )

    def computer(self, load: ComputerLoad, disk: Disk | None) -> bytes:
        """Return an ONBOARD_COMPUTER_STATUS; what is not known is marked as unused."""
        cores = [*load.cores[:8], *[UNUSED_U8] * 8][:8]
        used = UNUSED_U32 if disk is None else min(disk.used // MIB, UNUSED_U32 - 1)
        total = UNUSED_U32 if disk is None else min(disk.total // MIB, UNUSED_U32 - 1)
        kind = self._dialect.MAVLink_onboard_computer_status_message
        return self._pack(
            kind(
                time_usec=time.time_ns() // 1000,
                uptime=load.uptime_ms % 2**32,
                type=0,
                cpu_cores=cores,
                cpu_combined=[load.combined, *[UNUSED_U8] * 9],
                gpu_cores=[UNUSED_U8] * 4,
                gpu_combined=[UNUSED_U8] * 10,
                temperature_board=UNUSED_I8,
                temperature_core=[UNUSED_I8] * 8,
                fan_speed=[UNUSED_I16] * 4,
                ram_usage=load.memory_used // MIB,
                ram_total=load.memory_total // MIB,
                storage_type=[UNUSED_U32] * 4,
                storage_usage=[used, *[UNUSED_U32] * 3],
                storage_total=[total, *[UNUSED_U32] * 3],
                link_type=[UNUSED_U32] * 6,
                link_tx_rate=[UNUSED_U32] * 6,
                link_rx_rate=[UNUSED_U32] * 6,
                link_tx_max=[UNUSED_U32] * 6,
                link_rx_max=[UNUSED_U32] * 6,
            )
        )

    # --- frames that come ----------------------------------------------------------------

    def read(self, data: bytes) -> list[Heartbeat | Command]:
        """Return the heartbeats, and the commands to this component, that end in these bytes."""
        if len(self._reader.buf) > BUFFER_SIZE:
            self.forget()
        found: list[Heartbeat | Command] = []
        for message in self._reader.parse_buffer(data) or ():
            sender = Sender(message.get_srcSystem(), message.get_srcComponent())
            kind = message.get_type()
            if kind == 'HEARTBEAT':
                found.append(Heartbeat(sender, message.type == MAV_TYPE_GCS))
            elif kind in ('COMMAND_LONG', 'COMMAND_INT') and self._is_to_us(message):
                found.append(_command(sender, kind, message))
        return found

    def _is_to_us(self, message: Any) -> bool:  # noqa: ANN401
        own = (self._mav.srcSystem, self._mav.srcComponent)
        return (message.target_system, message.target_component) == own


def _command(sender: Sender, kind: str, message: Any) -> Command:  # noqa: ANN401
    if kind == 'COMMAND_LONG':
        values = [getattr(message, f'param{number}') for number in range(1, 8)]
        return Command(sender, message.command, message.confirmation, repr(values))
    values = [getattr(message, f'param{number}') for number in range(1, 5)]
    values += [message.x, message.y, message.z]
    return Command(sender, message.command, 0, repr(values))
