# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Where a verb cannot write its output, it says so, and leaves nothing that looks whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import errno
import io
import os
from pathlib import Path
import resource
import signal

from fdr_recorder.cli.exit_codes import EXIT_REFUSED
from fdr_recorder.cli.main import main
from fdr_recorder.flights.output import new_output, writing
from foreign_recordings import mcap_plain
import pytest


@pytest.fixture(scope='module')
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mcap_plain(tmp_path_factory.mktemp('recording'))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Refuse to write files beyond a size, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    'arguments',
    [
        'export -o x.mcap',
        'export -o bag',
        'export -o tables --format parquet',
        'export -o tables --format csv',
        'export -o tables --format jsonl',
        'cut -o x.mcap',
        'recover -o x.mcap',
        'report -o page.html',
    ],
)
def test_what_cannot_be_written_is_told_and_leaves_nothing(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str
) -> None:
    verb, option, name, *others = arguments.split()
    if 'parquet' in others:
        pytest.importorskip('pyarrow')
    out = tmp_path / name
    with largest_file(2000):
        code = main([verb, str(recording), option, str(out), *others])
    assert code == EXIT_REFUSED
    assert f'{out}: cannot be written: File too large; ' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_full_standard_output_is_told(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.StringIO):

        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('sys.stdout', Full())
    assert main(['cat', str(recording), '-n', '1']) == EXIT_REFUSED
    assert 'standard output cannot be written: No space left' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('number', 'advice'),
    [
        (errno.ENOSPC, 'free space there'),
        (errno.EDQUOT, 'raise the quota'),
        (errno.EROFS, 'mounted read-only'),
        (errno.EFBIG, 'ulimit'),
    ],
)
def test_the_advice_fits_the_error(tmp_path: Path, number: int, advice: str) -> None:
    out = tmp_path / 'out'

    def write() -> None:
        with new_output(out) as built:
            built.touch()
            raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match='cannot be written: ') as caught:
        write()
    assert caught.value.errno == number
    assert caught.value.filename == str(out)
    assert advice in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('number', 'name'), [(errno.EIO, 'source'), (errno.EIO, None)])
def test_what_cannot_be_read_is_not_blamed_on_the_output(
    tmp_path: Path, number: int, name: str | None
) -> None:
    with pytest.raises(OSError) as caught, writing(tmp_path / 'out'):  # noqa: PT011 - see below
        raise OSError(number, os.strerror(number), name)
    assert (caught.value.filename, caught.value.errno) == (name, number)
