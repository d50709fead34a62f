# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Tables: they fit every terminal, and are whole where somebody else reads them."""

from __future__ import annotations

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

from conftest import MakeWriter, SMALL
from fdr_program import run_fdr
from fdr_recorder.cli.tables import ELLIPSIS, shorten, Table, text_width, wrap
from fdr_recorder.flights.recovery.recover import recover
from hypothesis import given
from hypothesis import strategies as st
from producers import make_client, open_flight, send
import pytest
from terminal import run_in_terminal

FDR = (sys.executable, '-m', 'fdr_recorder.cli')
COLUMNS = ('~flight', '&start (UTC)', '>size', '>longest gap', 'state', '&in words')
FLIGHT = 'flight_20261122T110505Z_1aef'
ROW = (FLIGHT, '2026-11-22 11:05:05', '1.2 MiB', '0.01 s', 'ok', 'so it is')
LONG_TOPIC = '/camera' * 30
WIDE_TOPIC = '/写真/日本語/センサー/前方'
HOSTILE = '/evil\x1b]0;owned\x07\x1b[31m\n\r\x9b5n\u202eTXT'
COLOUR = re.compile(r'\x1b\[\d*m')


def shown(columns: tuple[str, ...], rows: list[tuple[str, ...]], width: int | None) -> list[str]:
    return list(Table(columns, rows, lambda _cell, piece: piece).lines(width))


# --- the layout ----------------------------------------------------------------------------------


def test_what_fits_is_one_row_a_line() -> None:
    natural = shown(COLUMNS, [ROW, ROW], None)
    assert len(natural) == 3
    assert shown(COLUMNS, [ROW, ROW], max(map(len, natural))) == natural
    assert shown(COLUMNS, [ROW, ROW], 500) == natural


def test_texts_go_below_before_a_name_is_shortened() -> None:
    for width in range(45, 100):
        lines = shown(COLUMNS, [ROW], width)
        assert any(line.startswith(ROW[0]) for line in lines), width
    assert not any(ELLIPSIS in line for line in lines)


def test_numbers_and_times_are_never_shortened() -> None:
    for width in range(20, 120):
        text = '\n'.join(shown(COLUMNS, [ROW], width))
        for cell in ROW[2:5]:
            assert cell in text, width


def test_a_long_text_is_wrapped_in_its_column() -> None:
    rows = [(*ROW[:5], 'one two three four five six seven eight nine ten'), ROW]
    lines = shown(COLUMNS, rows, 115)
    place = lines[0].index('in words')
    begins = [line.startswith(FLIGHT) for line in lines]
    first = begins.index(True)
    wrapped = lines[first:-1]
    assert len(wrapped) > 1
    assert all(line.startswith(' ' * place) for line in wrapped[1:])
    assert ' '.join(line[place:] for line in wrapped) == rows[0][5]
    assert begins[-1]


@given(
    rows=st.lists(
        st.tuples(*[st.text(st.characters(codec='utf-8', exclude_categories=('C', 'Z')))] * 6),
        max_size=5,
    ),
    width=st.integers(20, 200),
)
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, ...]], width: int) -> None:
    lines = shown(COLUMNS, rows, width)
    assert all(text_width(line) <= max(width, 20) for line in lines)
    if rows:
        text = ' '.join(lines)
        for word in ('flight', 'start', '(UTC)', 'size', 'longest', 'gap', 'state', 'words'):
            assert word in text or ELLIPSIS in text


@given(text=st.text(), width=st.integers(1, 40))
def test_a_name_is_shortened_in_its_middle(text: str, width: int) -> None:
    short = shorten(text, width)
    assert text_width(short) <= width
    if short != text:
        head, _, tail = short.partition(ELLIPSIS) if ELLIPSIS not in text else ('', '', '')
        assert text.startswith(head)
        assert text.endswith(tail)


def test_wide_signs_are_wrapped_by_their_width() -> None:
    assert [text_width(line) for line in wrap('写真' * 10, 8)] == [8] * 5
    assert shorten(WIDE_TOPIC, 11) == '/写真…/前方'
    assert text_width('e\u0301') == 1


# --- the verbs -----------------------------------------------------------------------------------


@pytest.fixture
def flights(make_writer: MakeWriter, root: Path) -> Path:
    """Record flights with names of every kind into a root."""
    writer = make_writer(**SMALL)
    topics = ('/imu', LONG_TOPIC, WIDE_TOPIC, HOSTILE)
    clients = [make_client(topic, f'{number:02x}') for number, topic in enumerate(topics)]
    open_flight(writer, FLIGHT, *clients)
    for client in clients:
        send(client, range(5))
    writer.alerts.raise_alert('topic_missing', 'nobody publishes it', subject=LONG_TOPIC)
    writer.alerts.raise_alert('topic_missing', 'nobody publishes it\x1b[2J', subject=HOSTILE)
    writer.close_flight(FLIGHT)
    writer.stop()
    unclean = root / ('flight_' + 'long' * 12)
    shutil.copytree(root / FLIGHT, unclean)
    os.truncate(max(unclean.glob('*.mcap')), 3000)
    (root / 'flight_recovered').mkdir()
    shutil.copytree(unclean, root / 'flight_recovered', dirs_exist_ok=True)
    recover(root / 'flight_recovered')
    return root


def tables(root: Path) -> dict[str, tuple[str, ...]]:
    return {
        'ls': ('ls', str(root)),
        'info': ('info', str(root / FLIGHT)),
        'prune': ('prune', str(root), '--keep', '1', '--dry-run', '--unclean'),
        'spared': ('prune', str(root), '--keep', '1', '--dry-run'),
    }


@pytest.mark.parametrize('verb', ['ls', 'info', 'prune', 'spared'])
def test_tables_fit_the_terminal(verb: str, flights: Path) -> None:
    arguments = tables(flights)[verb]
    for width in (100, 80, 60, 40):
        said = run_in_terminal(*arguments, columns=width)
        assert said.code == (verb == 'spared')
        lines = [COLOUR.sub('', line) for line in said.lines]
        rows = [line for line in lines if line.startswith(('flight_', '/', ' '))]
        assert rows
        assert max(map(text_width, rows)) <= width
        assert '\x1b' not in ''.join(lines)
        assert not re.search(r'[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]', ''.join(lines))


@pytest.mark.parametrize('verb', ['ls', 'info', 'prune', 'spared'])
def test_a_pipe_gets_whole_rows_of_the_same_columns(verb: str, flights: Path) -> None:
    arguments = tables(flights)[verb]
    found = set()
    for columns in ('30', '80', '400'):
        done = run_fdr(*arguments, environment={'COLUMNS': columns}, check=verb != 'spared')
        found.add(done.stdout)
    (text,) = found
    assert ELLIPSIS not in text
    assert '\x1b' not in text
    if verb == 'info':
        lines = text.splitlines()
        for topic in ('/imu', LONG_TOPIC, WIDE_TOPIC):
            (row,) = (line for line in lines if line.startswith(topic + ' '))
            assert row.split()[1:4] == ['test_msgs/msg/Blob', '1', '5']
        (row,) = (line for line in lines if line.startswith('/evil'))
        assert row.split()[1:4] == ['test_msgs/msg/Blob', '1', '5']
    else:
        assert sum(line.startswith('flight_') for line in text.splitlines()) >= 2
        assert 'flight_' + 'long' * 12 in text


def test_nothing_there_is_no_table(root: Path) -> None:
    for arguments in (('ls', str(root)), ('prune', str(root), '--keep', '1')):
        said = run_in_terminal(*arguments, columns=80)
        assert said.code == 0
        (line,) = filter(None, said.lines)
        assert line.startswith('0 flights')


def test_an_encoding_without_the_signs_of_a_name(flights: Path) -> None:
    command = [*FDR, *tables(flights)['info']]
    environment = {**os.environ, 'PYTHONIOENCODING': 'ascii', 'PYTHONUTF8': '0'}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert '/??/???/' in done.stdout
    assert not done.stderr


# --- colours -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('environment', 'in_terminal', 'in_pipe'),
    [
        ({}, True, False),
        ({'NO_COLOR': '1'}, False, False),
        ({'NO_COLOR': ''}, True, False),
        ({'CLICOLOR': '0'}, False, False),
        ({'TERM': 'dumb'}, False, False),
        ({'CLICOLOR_FORCE': '1'}, True, True),
        ({'CLICOLOR_FORCE': '0'}, True, False),
        ({'CLICOLOR_FORCE': '1', 'NO_COLOR': '1'}, False, False),
    ],
)
def test_when_there_are_colours(
    environment: dict[str, str], in_terminal: bool, in_pipe: bool, flights: Path
) -> None:
    command = tables(flights)['ls']
    said = run_in_terminal(*command, columns=200, environment=environment)
    assert bool(COLOUR.search(said.text)) == in_terminal
    done = run_fdr(*command, environment=environment, check=True)
    assert bool(COLOUR.search(done.stdout)) == in_pipe
    assert COLOUR.sub('', said.text).split() == COLOUR.sub('', done.stdout).split()
    assert '\x1b' not in run_fdr(*command, '--json', environment=environment, check=True).stdout


def test_colours_tell_good_from_bad(flights: Path) -> None:
    def shown_of(name: str) -> str:
        return run_in_terminal('info', flights / name, columns=200).text

    assert '\x1b[32mComplete' in shown_of(FLIGHT)
    unclean = next(path.name for path in flights.iterdir() if 'long' in path.name)
    assert re.search('status +\x1b\\[31m', shown_of(unclean))
