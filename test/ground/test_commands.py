# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Commands of the ground: what is allowed, what came twice, and the answers."""

from __future__ import annotations

from fdr_recorder.ground.commands import (
    CommandDesk,
    DEADLINE_S,
    NAMES,
    PATIENCE_S,
    REMEMBERED_S,
)
from fdr_recorder.ground.mavlink import Command, Mavlink, Result, Sender
import pytest

common = pytest.importorskip('pymavlink.dialects.v20.common')
PIN, START, STOP = common.MAV_CMD_USER_1, common.MAV_CMD_USER_2, common.MAV_CMD_USER_3
GROUND = Sender(255, 190)


class Desk:
    """A desk with a clock, and what it has begun."""

    def __init__(self, *allowed: str) -> None:
        self.now = 100.0
        self.begun: list[str] = []
        self.desk = CommandDesk(allowed or NAMES, self.begun.append)

    def take(
        self, number: int, confirmation: int = 0, sender: Sender = GROUND
    ) -> list[Result]:
        self.desk.take(Command(sender, number, confirmation, '[nan]'), self.now)
        return self.answers()

    def done(self, name: str, result: Result, reason: str = '') -> list[Result]:
        self.desk.done(name, result, reason, self.now)
        return self.answers()

    def answers(self) -> list[Result]:
        return [result for _, result in self.desk.take_answers()]

    def texts(self) -> list[str]:
        return [text for _, text in self.desk.take_texts()]


def test_a_command_is_carried_out_and_answered() -> None:
    desk = Desk()
    assert desk.take(PIN) == []
    assert desk.begun == ['pin']
    assert desk.done('pin', Result.ACCEPTED) == [Result.ACCEPTED]
    assert desk.texts() == ['FDR: pinned from the ground']
    assert not desk.desk.is_busy


def test_a_command_that_was_not_allowed_is_denied_with_the_reason() -> None:
    desk = Desk('pin')
    assert desk.take(STOP) == [Result.DENIED]
    assert desk.begun == []
    assert desk.texts() == ['FDR: stop from the ground is off']


def test_a_command_of_others_is_not_supported() -> None:
    desk = Desk()
    assert desk.take(common.MAV_CMD_COMPONENT_ARM_DISARM) == [Result.UNSUPPORTED]
    assert (desk.begun, desk.texts()) == ([], [])


def test_a_command_that_comes_again_acts_once() -> None:
    desk = Desk()
    desk.take(START)
    assert desk.take(START, 1) == [Result.IN_PROGRESS]
    assert desk.take(START, 0, Sender(254, 190)) == [Result.IN_PROGRESS]
    assert desk.done('start', Result.FAILED, 'x') == [Result.FAILED, Result.FAILED]  # to each
    assert desk.take(START, 2) == [Result.FAILED]  # its answer was lost
    desk.now += REMEMBERED_S - 1
    assert desk.take(START, 3) == [Result.FAILED]
    assert desk.begun == ['start']
    assert desk.take(START) == []  # not confirmed: a new one
    assert desk.begun == ['start', 'start']


def test_a_command_whose_first_copy_was_lost_acts() -> None:
    desk = Desk()
    assert desk.take(STOP, 1) == []
    assert desk.begun == ['stop']


def test_a_command_that_takes_long_is_in_progress_and_fails_in_the_end() -> None:
    desk = Desk()
    desk.take(STOP)
    desk.now += PATIENCE_S + 0.1
    desk.desk.watch(desk.now)
    desk.desk.watch(desk.now)
    assert desk.answers() == [Result.IN_PROGRESS]
    desk.now += DEADLINE_S
    desk.desk.watch(desk.now)
    assert desk.answers() == [Result.FAILED]
    assert desk.done('stop', Result.ACCEPTED) == []  # too late


def test_start_and_stop_exclude_each_other_and_pin_does_not() -> None:
    desk = Desk()
    desk.take(START)
    assert desk.take(STOP) == [Result.TEMPORARILY_REJECTED]
    assert desk.take(PIN) == []
    assert desk.begun == ['start', 'pin']
    assert desk.texts() == ['FDR: stop: busy, try again']


@pytest.mark.parametrize('kind', ['COMMAND_LONG', 'COMMAND_INT'])
def test_only_commands_to_this_component_are_read(kind: str) -> None:
    ours = Mavlink(7, 191)
    theirs = common.MAVLink(None, srcSystem=255, srcComponent=190)

    def read(system: int, component: int) -> list[object]:
        if kind == 'COMMAND_LONG':
            fields = (PIN, 3, float('nan'), 0, 0, 0, 0, 0, 0)
        else:
            fields = (0, PIN, 0, 0, float('nan'), 0, 0, 0, 0, 0, 0)
        message = getattr(common, f'MAVLink_{kind.lower()}_message')
        return list(ours.read(message(system, component, *fields).pack(theirs)))

    assert read(7, 1) == read(1, 191) == read(0, 191) == read(7, 0) == []
    (command,) = read(7, 191)
    assert isinstance(command, Command)
    confirmation = 3 if kind == 'COMMAND_LONG' else 0
    assert command[:3] == (GROUND, PIN, confirmation)
    assert read(7, 191) == [command]  # though NaN is unequal to itself


def test_frames_are_found_in_noise_and_in_pieces() -> None:
    ours, theirs = Mavlink(7, 191), common.MAVLink(None, srcSystem=255, srcComponent=190)
    beat = bytes(common.MAVLink_heartbeat_message(6, 8, 0, 0, 0, 3).pack(theirs))
    theirs_in_v1 = common.MAVLink_heartbeat_message(6, 8, 0, 0, 0, 3).pack(theirs, True)
    found = []
    noise = b'\xff' * 3000
    for piece in (b'\x00\xfd\x09noise', beat[:5], beat[5:], bytes(theirs_in_v1), noise, beat):
        found += ours.read(piece)
    assert len(found) >= 2
    assert all(item.is_ground and item.sender == GROUND for item in found)
