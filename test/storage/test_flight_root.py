# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The flight root: a directory that exists, can be written to, and has one owner."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import os
from pathlib import Path
import signal
import socket
import stat
import subprocess
import sys
import tempfile

from disk_faults import mounted_tmpfs, SystemCall
from fdr_recorder import (
    FdrError,
    FileFdrWriter,
    FlightRoot,
    FlightRootLockedError,
    FlightRootMissingError,
    FlightRootNotADirectoryError,
    FlightRootReadOnlyError,
)
from fdr_recorder.storage.files import free_bytes
from fdr_recorder.storage.flight_root import LOCK_NAME, RESERVE_NAME, root_holder
import pytest

OTHER_WRITER = """
import sys
from fdr_recorder import FileFdrWriter, FlightRoot
if sys.argv[2] == 'root':
    root = FlightRoot.acquire(sys.argv[1], owner='other_node')
else:
    writer = FileFdrWriter(sys.argv[1])
    writer.start()
print('owned', flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def other_process(root: Path, how: str = 'root') -> Iterator[subprocess.Popen[str]]:
    """Own a flight root in another process, until the block ends or it is killed."""
    process = subprocess.Popen(
        [sys.executable, '-c', OTHER_WRITER, str(root), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == 'owned\n'
            yield process
        finally:
            process.kill()


# --- what is no flight root --------------------------------------------------------------------


def test_a_missing_root_is_named_and_not_created(tmp_path: Path) -> None:
    path = tmp_path / 'not' / 'there'
    with pytest.raises(FlightRootMissingError, match=f'{path} does not exist'):
        FlightRoot.acquire(path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_nothing_is_a_missing_root(tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to(tmp_path / 'gone')
    with pytest.raises(FlightRootMissingError):
        FlightRoot.acquire(tmp_path / 'link')


@pytest.mark.parametrize('kind', ['file', 'fifo'])
def test_what_is_no_directory_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / 'thing'
    if kind == 'file':
        path.touch()
    else:
        os.mkfifo(path)
    with pytest.raises(FlightRootNotADirectoryError, match=f'{path} is not a directory'):
        FlightRoot.acquire(path)


def test_a_read_only_mount_is_refused(tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / 'disk', 1 << 20) as disk:
        remount = ['mount', '-o', 'remount,ro', str(disk)]
        subprocess.run(remount, check=True)
        with pytest.raises(FlightRootReadOnlyError, match=r'Read-only file system.*remount'):
            FlightRoot.acquire(disk)


def acquire_without_privileges(path: Path) -> str:
    """Try to own a root as a user whom permissions stop; return what the error says."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            FlightRoot.acquire(path)
        except BaseException as error:
            os.write(writing, f'{type(error).__name__}: {error}'.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding='utf-8') as pipe:
        message = pipe.read()
    os.waitpid(child, 0)
    return message


@pytest.fixture
def public_path() -> Iterator[Path]:
    """Make a directory that other users can reach, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def test_a_directory_without_write_permission_is_refused(public_path: Path) -> None:
    root = public_path / 'flights'
    root.mkdir(0o555)
    (root / LOCK_NAME).touch()
    (root / LOCK_NAME).chmod(0o666)
    message = acquire_without_privileges(root)
    assert message.startswith(
        f'FlightRootReadOnlyError: {root} cannot be written to (Permission denied)'
    )


def test_a_directory_behind_a_closed_door_is_refused(public_path: Path) -> None:
    (public_path / 'closed').mkdir(0o700)
    root = public_path / 'closed' / 'flights'
    root.mkdir()
    if os.geteuid() != 0:
        (public_path / 'closed').chmod(0)
    try:
        message = acquire_without_privileges(root)
    finally:
        (public_path / 'closed').chmod(0o700)
    assert message.startswith(
        f'FlightRootReadOnlyError: {root} cannot be written to (Permission denied)'
    )


@pytest.mark.parametrize('error', [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_root_where_no_lock_can_be_made_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    SystemCall(monkeypatch, 'open').fail(error)
    with pytest.raises(FlightRootReadOnlyError, match=os.strerror(error)):
        FlightRoot.acquire(root)


def test_the_lock_is_not_looked_for_behind_a_link(root: Path, tmp_path: Path) -> None:
    """Whoever may write to the root must not have another file emptied."""
    precious = tmp_path / 'precious'
    precious.write_text('keep me')
    (root / LOCK_NAME).symlink_to(precious)
    with pytest.raises(FlightRootReadOnlyError):
        FlightRoot.acquire(root)
    assert precious.read_text() == 'keep me'


def test_the_home_directory_may_be_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'flights').mkdir()
    with FlightRoot.acquire('~/flights') as owned:
        assert owned.path == tmp_path / 'flights'


def test_every_refusal_comes_from_the_writer_too(tmp_path: Path, root: Path) -> None:
    (tmp_path / 'file').touch()
    with FlightRoot.acquire(root):
        for path, error in (
            (tmp_path / 'missing', FlightRootMissingError),
            (tmp_path / 'file', FlightRootNotADirectoryError),
            (root, FlightRootLockedError),
        ):
            writer = FileFdrWriter(path)
            with pytest.raises(error):
                writer.start()
            assert not writer.is_started
            writer.stop()


# --- one owner ---------------------------------------------------------------------------------


def test_a_second_owner_in_this_process_is_refused(root: Path) -> None:
    with FlightRoot.acquire(root, owner='first_node'):
        with pytest.raises(FlightRootLockedError) as caught:
            FlightRoot.acquire(root)
        assert f'pid {os.getpid()} (first_node on {socket.gethostname()}, since 20' in str(
            caught.value
        )
        assert str(root) in str(caught.value)
    with FlightRoot.acquire(root):
        pass


@pytest.mark.parametrize('how', ['root', 'writer'])
def test_an_owner_in_another_process_is_named_and_its_death_lets_in(root: Path, how: str) -> None:
    with other_process(root, how) as process:
        with pytest.raises(FlightRootLockedError) as caught:
            FlightRoot.acquire(root)
        name = 'other_node' if how == 'root' else 'fdr_recorder'
        assert caught.value.holder.startswith(
            f'pid {process.pid} ({name} on {socket.gethostname()}, since 20'
        )
        assert caught.value.holder.endswith('Z)')

        process.send_signal(signal.SIGKILL)
        process.wait()
        with FlightRoot.acquire(root):
            assert root_holder(root) is not None


def test_an_owner_of_whom_nothing_is_known_is_still_respected(root: Path) -> None:
    with FlightRoot.acquire(root):
        for content in (b'', b'{"pid": 1}', b'[]', b'\xff', b'null'):
            (root / LOCK_NAME).write_bytes(content)
            with pytest.raises(FlightRootLockedError, match='in use by another writer'):
                FlightRoot.acquire(root)


def test_what_a_dead_owner_left_in_the_lock_file_keeps_nobody_out(root: Path) -> None:
    (root / LOCK_NAME).write_text('{"pid": 1, "host": "x", "node": "y", "since": "z"}' * 50)
    with FlightRoot.acquire(root, owner='me'):
        assert f'"pid": {os.getpid()}' in (root / LOCK_NAME).read_text()
        assert (root / LOCK_NAME).read_text().count('pid') == 1


def test_the_lock_file_is_empty_after_release(root: Path) -> None:
    owned = FlightRoot.acquire(root)
    assert (root / LOCK_NAME).stat().st_size > 0
    owned.release()
    assert (root / LOCK_NAME).read_bytes() == b''
    assert root_holder(root) is None
    owned.release()


def test_a_release_twice_does_not_give_away_what_another_has(root: Path) -> None:
    first = FlightRoot.acquire(root)
    first.release()
    with FlightRoot.acquire(root):
        first.release()
        with pytest.raises(FlightRootLockedError):
            FlightRoot.acquire(root)


def test_an_owner_lends_its_root_to_a_writer_and_keeps_it(root: Path) -> None:
    with FlightRoot.acquire(root) as owned:
        writer = FileFdrWriter(owned)
        writer.start()
        writer.stop()
        assert root_holder(root) is not None
        with pytest.raises(FlightRootLockedError):
            FlightRoot.acquire(root)


def test_a_child_process_does_not_inherit_the_lock(root: Path) -> None:
    """Else a process that the recorder started would keep the root from its successor."""
    owned = FlightRoot.acquire(root)
    with subprocess.Popen(['sleep', '60'], close_fds=False) as child:
        try:
            owned.release()
            with FlightRoot.acquire(root):
                pass
        finally:
            child.kill()


def test_the_lock_file_is_not_for_everybody(root: Path) -> None:
    with FlightRoot.acquire(root):
        assert stat.S_IMODE((root / LOCK_NAME).stat().st_mode) & 0o137 == 0


def test_a_full_disk_does_not_keep_from_owning(tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / 'disk', 64 * 1024) as disk:
        (disk / LOCK_NAME).touch()
        with contextlib.suppress(OSError):
            (disk / 'ballast').write_bytes(bytes(1 << 20))
        with FlightRoot.acquire(disk) as owned:
            assert free_bytes(owned.path) == 0
            with pytest.raises(FlightRootLockedError, match='another writer'):
                FlightRoot.acquire(disk)


# --- the reserve -------------------------------------------------------------------------------


def test_the_reserve_is_really_allocated(root: Path) -> None:
    with FlightRoot.acquire(root) as owned:
        owned.allocate_reserve(1 << 20)
        assert owned.has_reserve
        status = (root / RESERVE_NAME).stat()
        assert status.st_size == 1 << 20
        assert status.st_blocks * 512 >= 1 << 20
        assert stat.S_IMODE(status.st_mode) & 0o137 == 0


def test_the_reserve_can_be_made_larger_and_smaller(root: Path) -> None:
    with FlightRoot.acquire(root) as owned:
        for size in (4096, 65_536, 8192):
            owned.allocate_reserve(size)
            assert owned.has_reserve
            assert (root / RESERVE_NAME).stat().st_size == size
        owned.allocate_reserve(0)
        assert not (root / RESERVE_NAME).exists()


def test_giving_up_the_reserve_frees_its_space(tmp_path: Path) -> None:
    with (
        mounted_tmpfs(tmp_path / 'disk', 1 << 20) as disk,
        FlightRoot.acquire(disk) as owned,
    ):
        before = free_bytes(owned.path)
        owned.allocate_reserve(512 * 1024)
        assert free_bytes(owned.path) == before - 512 * 1024
        owned.give_up_reserve()
        owned.give_up_reserve()
        assert free_bytes(owned.path) == before


def test_a_reserve_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    with (
        mounted_tmpfs(tmp_path / 'disk', 256 * 1024) as disk,
        FlightRoot.acquire(disk) as owned,
    ):
        before = free_bytes(owned.path)
        owned.allocate_reserve(1 << 20)
        assert not owned.has_reserve
        assert free_bytes(owned.path) == before
        assert not (disk / RESERVE_NAME).exists()


def test_the_reserve_is_not_looked_for_behind_a_link(root: Path, tmp_path: Path) -> None:
    precious = tmp_path / 'precious'
    precious.write_text('keep me')
    (root / RESERVE_NAME).symlink_to(precious)
    with FlightRoot.acquire(root) as owned:
        owned.allocate_reserve(4096)
        assert not owned.has_reserve
    assert precious.read_text() == 'keep me'


def test_all_refusals_are_errors_of_this_package() -> None:
    for error in (
        FlightRootMissingError,
        FlightRootNotADirectoryError,
        FlightRootReadOnlyError,
        FlightRootLockedError,
    ):
        assert issubclass(error, FdrError)
        assert error.alert_code in ('flight_root_unusable', 'flight_root_locked')
