# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Lines of the log that repeat: said with growing pauses, whatever loop they come from."""

from __future__ import annotations

from collections.abc import Callable
import logging
from pathlib import Path

from fdr_recorder.node.logs import FORGOTTEN_S, LONGEST_PAUSE_S, Repetitions
from ground import Ground
import pytest
from recorder_process import RecorderProcess

NAME = 'fdr_recorder.somewhere'


class Lines:
    """Log lines at times of one's own; collects what is said."""

    def __init__(self) -> None:
        self.now = 0.0
        self.repetitions = Repetitions(lambda: self.now)
        self.said: list[tuple[float, str]] = []

    def log(
        self,
        text: str,
        *,
        name: str = NAME,
        line: int = 1,
        level: int = logging.WARNING,
        answers: bool = False,
    ) -> None:
        record = logging.LogRecord(name, level, 'file.py', line, text, (), None)
        record.answers = answers
        remark = self.repetitions.remark(record)
        if remark is not None:
            self.said.append((self.now, text + remark))

    def repeat(self, text: Callable[[int], str], times: int, pause_s: float = 1.0) -> None:
        for number in range(times):
            self.log(text(number))
            self.now += pause_s

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.said]


def test_the_same_line_each_second_is_said_with_growing_pauses() -> None:
    lines = Lines()
    lines.repeat(lambda _: 'metadata.yaml is not renewed', 180)
    assert lines.times == [0, 2, 6, 14, 30, 62, 126]
    assert lines.said[-1][1] == 'metadata.yaml is not renewed (63 more since the last time)'


def test_an_answer_to_somebody_who_tries_again_is_said_at_once() -> None:
    lines = Lines()
    for _ in range(60):
        lines.log('configure refused', answers=True)
        lines.now += 1.0
    assert lines.times[:4] == [0, 1, 2, 3]
    assert len(lines.said) <= 10


def test_it_is_said_at_least_every_ten_minutes() -> None:
    lines = Lines()
    lines.repeat(lambda _: 'x', 20_000)
    pauses = [after - before for before, after in zip(lines.times, lines.times[1:], strict=False)]
    assert max(pauses) == LONGEST_PAUSE_S
    assert len(lines.said) < 45


def test_ten_times_a_second_is_no_more() -> None:
    lines = Lines()
    lines.repeat(lambda _: 'a callback failed', 1800, 0.1)
    assert len(lines.said) == 7


@pytest.mark.parametrize(
    'text', ['has not answered for {} s', 'pid {} (on drone)', '{}.5 MiB free', 'errno {}: x']
)
def test_lines_that_differ_in_a_number_are_the_same(text: str) -> None:
    lines = Lines()
    lines.repeat(text.format, 60)
    assert len(lines.said) == 5


@pytest.mark.parametrize('text', ['/camera{}/image', '/gps/{}/fix', '/a/{}', 'flight_{}', 'v1.{}'])
def test_numbers_in_names_tell_lines_apart(text: str) -> None:
    lines = Lines()
    lines.repeat(text.format, 20)
    assert len(lines.said) == 20


def test_what_was_not_logged_for_a_minute_is_new() -> None:
    lines = Lines()
    lines.repeat(lambda _: 'x', 180)
    before = len(lines.said)
    lines.now += FORGOTTEN_S + 1
    lines.log('x')
    assert lines.said[before:] == [(lines.now, 'x')]


def test_alerts_debug_and_other_lines_are_always_said() -> None:
    lines = Lines()
    for _ in range(5):
        lines.log('disk_full: x', name='fdr_recorder.alerts')
        lines.log('a record', level=logging.DEBUG)
    assert len(lines.said) == 10
    lines.log('x', line=1)
    lines.log('x', line=2)
    assert len(lines.said) == 12


def test_lines_without_number_need_no_memory_without_bound() -> None:
    lines = Lines()
    lines.repeat('/topic{} is odd'.format, 5000, 0.001)
    assert len(lines.said) == 5000
    assert len(lines.repetitions._lines) < 300


def test_an_autostart_that_is_refused_does_not_fill_the_log(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    options = {'autostart': True, 'writer__min_free_bytes': 2**62}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.wait_for_log('activate refused', times=3)
        lines = recorder.wait_for_log(' more since the last time)')
        assert 'writer.min_free_bytes (4194304.0 TiB)' in lines[0]
