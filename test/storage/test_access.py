# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Who may read what a service has recorded: mode and group of a flight, kept by recovery."""

from __future__ import annotations

import grp
import logging
import os
from pathlib import Path
import stat
import subprocess

from conftest import MakeWriter
from fdr_recorder import ConfigInvalidError, FdrWriterConfig
from fdr_recorder.config import FdrConfig
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.storage.access import check_group
from producers import make_client, open_flight, send
import pytest

SMALL = {'segment_size_bytes': 16 << 10, 'chunk_size_bytes': 1 << 10, 'min_free_bytes': 0}
READER = 65_534
"""A user who has no rights but those of all, and what a group gives (nobody)."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason='only root may use any group')


def record(
    make_writer: MakeWriter, root: Path, *, close: bool = True, **options: object
) -> Path:
    """Record a flight of some segments; return its directory."""
    writer = make_writer(**{**SMALL, **options})
    client = make_client()
    open_flight(writer, 'x', client)
    send(client, range(400))
    if close:
        writer.close_flight('x')
    writer.stop()
    return root / 'x'


def modes(flight: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in flight.iterdir()}


def groups(flight: Path) -> set[int]:
    return {path.stat().st_gid for path in (flight, *flight.iterdir())}


@pytest.mark.parametrize(
    ('text', 'file_mode', 'directory_mode'),
    [
        ('0644', 0o644, 0o755),
        ('640', 0o640, 0o750),
        ('0660', 0o660, 0o770),
        ('0600', 0o600, 0o700),
    ],
)
@pytest.mark.parametrize('close', [True, False])
def test_the_mode_is_that_of_all_files_whatever_the_umask(
    make_writer: MakeWriter,
    root: Path,
    text: str,
    file_mode: int,
    directory_mode: int,
    close: bool,
) -> None:
    former = os.umask(0o077)
    try:
        flight = record(make_writer, root, close=close, file_mode=text)
        if not close:
            recover(flight)
    finally:
        os.umask(former)
    assert len(modes(flight)) > 3
    assert {*modes(flight).values()} == {file_mode}
    assert stat.S_IMODE(flight.stat().st_mode) == directory_mode


@pytest.mark.parametrize(('umask', 'mode'), [(0o022, 0o640), (0o077, 0o600)])
def test_without_the_option_the_umask_decides(
    make_writer: MakeWriter, root: Path, umask: int, mode: int
) -> None:
    former = os.umask(umask)
    try:
        flight = record(make_writer, root)
    finally:
        os.umask(former)
    assert {*modes(flight).values()} == {mode}


@needs_root
@pytest.mark.parametrize('by_name', [True, False])
def test_a_member_of_the_group_reads_what_a_service_recorded(
    make_writer: MakeWriter, root: Path, by_name: bool
) -> None:
    group = grp.getgrgid(READER)
    flight = record(
        make_writer, root, close=False, file_group=group.gr_name if by_name else str(READER)
    )
    for path in (*root.parents, root):
        if path.stat().st_uid == os.geteuid() and path != Path('/'):
            path.chmod(path.stat().st_mode | 0o011)
    recover(flight)
    assert groups(flight) == {READER}
    for gid, is_allowed in ((READER, True), (READER - 1, False)):
        done = subprocess.run(
            ['sh', '-c', 'cat "$0"/*', flight],
            user=READER - 2,
            group=gid,
            extra_groups=[],
            capture_output=True,
            cwd='/',
            check=False,
        )
        assert (done.returncode == 0) == is_allowed, done.stderr


def test_a_group_that_may_not_be_used_is_a_warning(
    make_writer: MakeWriter,
    root: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def refuse(_fd: int, _uid: int, _gid: int) -> None:
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr(os, 'fchown', refuse)
    with caplog.at_level(logging.WARNING):
        flight = record(make_writer, root, file_group='0', file_mode='0644')
    (said,) = caplog.messages
    assert 'do not get the group 0 of writer.file_group: Operation not permitted' in said
    assert {*modes(flight).values()} == {0o644}


def test_a_group_that_was_removed_since_configure_is_a_warning(
    make_writer: MakeWriter, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        flight = record(make_writer, root, file_group='there_is_none')
    (said,) = caplog.messages
    assert "there is no group 'there_is_none' on this machine" in said
    assert {*modes(flight).values()} == {0o640}


@pytest.mark.parametrize(
    ('option', 'value', 'said'),
    [
        ('file_mode', 'rw-r-----', 'must be octal digits such as 0640'),
        ('file_mode', '0o640', 'must be octal digits such as 0640'),
        ('file_mode', '0689', 'must be octal digits such as 0640'),
        ('file_mode', 416, 'must be a string, not 416; put it in quotes'),
        ('file_mode', '0440', 'must let the owner read and write'),
        ('file_mode', '0666', 'others write them'),
        ('file_mode', '0755', 'must not let anybody execute files'),
        ('file_group', 'a b', 'must be the name or number of a group'),
        ('file_group', 'a:b', 'must be the name or number of a group'),
        ('file_group', -1, 'must be a string'),
    ],
)
def test_wrong_values_are_mistakes_of_the_configuration(
    option: str, value: object, said: str
) -> None:
    with pytest.raises(ConfigInvalidError, match=f'writer.{option}: .*{said}'):
        FdrConfig.from_options({f'writer.{option}': value})


def test_a_group_that_does_not_exist_is_a_mistake() -> None:
    config = FdrWriterConfig(file_group='there_is_none')
    with pytest.raises(ConfigInvalidError, match="there is no group 'there_is_none'"):
        check_group(config)
