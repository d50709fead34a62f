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
What the process logs, written by threads that may hang: to the console and to a log file.

rcl, the middleware and rclpy write a log line while they hold the interpreter's lock. A console
that nobody reads, or a log directory on a disk that does not answer, would stop every thread. So
rcl writes to a pipe that never blocks; one thread reads it, and one for each place writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import fcntl
import os
from pathlib import Path
import re
import select
import stat
import sys
import threading
import time
from typing import Final

from fdr_recorder.node.command_line import split_arguments
from fdr_recorder.units import plural

FLUSH_S: Final = 0.5
"""How long the end of the process waits for lines that are not yet written."""
QUEUE_BYTES: Final = 1 << 20
"""Lines that wait for one place; further ones are counted, and lost."""
_PIPE_BYTES: Final = 1 << 20  # what an unprivileged process may have
_WRITE_BYTES: Final = 1 << 16
_RETRY_S: Final = 1.0
_OPEN_S: Final = 1.0
_PROBE_BYTES: Final = 4096
_MARK: Final = b'\0'
_COLOURS: Final = re.compile(rb'\x1b\[[0-9;]*m')


def open_log_file(prefix: str) -> int:
    """
    Create a log file where rcl would, with a name as rcl's, and return its descriptor.

    Raises:
        OSError: It cannot be created or written; its text is the reason.

    """
    ros_home = os.environ.get('ROS_HOME') or '~/.ros'
    directory = os.environ.get('ROS_LOG_DIR') or f'{ros_home}/log'
    if directory.startswith('~'):  # whatever follows: rcutils does not know other users
        home = os.environ.get('HOME')
        if not home:
            raise OSError('HOME is not set')
        directory = home + directory[1:]
    prefix = prefix or Path(sys.orig_argv[0]).name
    path = Path(directory) / f'{prefix}_{os.getpid()}_{time.time_ns() // 1_000_000}.log'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path, flags, 0o644)
        try:
            os.write(fd, bytes(_PROBE_BYTES))  # a full disk lets files be created
            os.ftruncate(fd, 0)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
    except OSError as error:
        raise OSError(f'{directory}: {error.strerror}') from error
    return fd


class _Place:
    """
    Where lines go, and the thread that writes them there and may hang.

    Args:
        name: Of the thread.
        open_it: Returns the descriptor, in that thread; raises OSError if there will be none.
        is_plain: Whether lines are written without colours.

    """

    def __init__(self, name: str, open_it: Callable[[], int], *, is_plain: bool) -> None:
        self.why_none = ''
        self.is_opened = threading.Event()
        self._open, self._is_plain = open_it, is_plain
        self._changed = threading.Condition()  # never held while something may hang
        self._queue: deque[bytes | int] = deque()  # lines; or how many are missing here
        self._bytes = 0
        self._lost = 0
        self._may_lack = False
        self._is_done = False  # all is written, or nothing ever will be
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def put(self, line: bytes) -> None:
        """Queue a line that ends with a newline, or count it; never wait."""
        with self._changed:
            if self.why_none:
                return
            if self._bytes + len(line) > QUEUE_BYTES:
                self._lost += 1
                return
            for entry in (*self._notices(), line):
                self._queue.append(entry)
                self._bytes += len(entry) if isinstance(entry, bytes) else 0
            self._is_done = False
            self._changed.notify_all()

    def may_lack(self) -> None:
        """Tell, behind the lines that are queued, that an unknown number may be missing."""
        with self._changed:
            if not self.why_none:
                self._may_lack, self._is_done = True, False
                self._changed.notify_all()

    def _notices(self) -> list[bytes | int]:
        """Return what is to be told of missing lines; it has then been told."""
        notices: list[bytes | int] = [self._lost] if self._lost else []
        if self._may_lack:
            notices.append(_warning('log lines came too fast: some may be missing here'))
        self._lost, self._may_lack = 0, False
        return notices

    def wait_until_done(self, deadline: float) -> None:
        """Wait until all lines are written, at most until then (`time.monotonic`)."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_done, max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        try:
            fd = self._open()
        except OSError as error:
            with self._changed:
                self.why_none, self._is_done = str(error), True
                self._queue.clear()
                self._changed.notify_all()
            return
        finally:
            self.is_opened.set()
        is_torn = False
        while True:
            batch = self._take()
            data = b'\n' * is_torn + b''.join(map(self._text, batch))
            written = _write(fd, data)
            if written == len(data):
                is_torn = False
                continue
            is_torn = not data[:written].endswith(b'\n') and (written > 0 or is_torn)
            self._give_up(batch, len(data) - written)
            time.sleep(_RETRY_S)

    def _take(self) -> list[bytes | int]:
        """Return the next lines; wait until there are some."""
        with self._changed:
            while not (self._queue or self._lost or self._may_lack):
                self._is_done = True
                self._changed.notify_all()
                self._changed.wait()
            batch: list[bytes | int] = []
            size = 0
            while self._queue and size < _WRITE_BYTES:
                entry = self._queue.popleft()
                batch.append(entry)
                if isinstance(entry, bytes):
                    size += len(entry)
            self._bytes -= size
            if not self._queue:
                batch += self._notices()
            return batch

    def _give_up(self, batch: list[bytes | int], missing: int) -> None:
        """Count what was not written: the last bytes of a batch, so many."""
        lost = 0
        for entry in reversed(batch):
            if missing <= 0:
                break
            missing -= len(self._text(entry))
            lost += entry if isinstance(entry, int) else 1
        with self._changed:
            if self._queue and isinstance(self._queue[0], int):
                lost += int(self._queue.popleft())
            if self._queue:
                self._queue.appendleft(lost)
            else:
                self._lost += lost

    def _text(self, entry: bytes | int) -> bytes:
        if isinstance(entry, bytes):
            return _COLOURS.sub(b'', entry) if self._is_plain else entry
        lines = plural(entry, 'log line')
        verb = 'was' if entry == 1 else 'were'
        return _warning(f'{lines} {verb} not written')


def _warning(text: str) -> bytes:
    return f'[WARN] [{time.time():.9f}] [fdr]: {text}\n'.encode()


def _write(fd: int, data: bytes) -> int:
    """Write, however long that takes; return how much could be written before an error."""
    done = 0
    with memoryview(data) as view:
        while done < len(view):
            try:
                done += os.write(fd, view[done:])
            except BlockingIOError:
                writable = select.poll()
                writable.register(fd, select.POLLOUT)
                writable.poll()
            except OSError:
                break
    return done


class LogOutput:
    """
    The console and the log file of this process. Nothing that logs ever waits for them.

    Standard output becomes the pipe to which rcl writes, and standard error no longer blocks where
    that can be had (a terminal or a pipe; a crash is still told there). There is one in a process,
    until its end.

    Args:
        args: The command line, with what the user wants of logs.

    Attributes:
        args: The command line for `rclpy.init`.

    """

    def __init__(self, args: Sequence[str]) -> None:
        """Take standard output over; open the log file in a thread."""
        disabled, prefix = _wishes(args)
        self.args = [*args, '--ros-args', '--enable-stdout-logs', '--disable-external-lib-logs']
        number = 1 if os.environ.get('RCUTILS_LOGGING_USE_STDOUT') == '1' else 2
        self._is_terminal = os.isatty(number)
        self._is_drained = threading.Event()
        _unblock_stderr()
        try:
            console = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)
        except OSError:  # it is closed
            console = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        reader, self._writer = _standard_output_pipe()
        # What finds no room in the pipe cannot be counted; and pages may be filled by half.
        self._much = fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ) // 2
        self._console = _Place('fdr_log_console', lambda: console, is_plain=False)
        self._file = None
        if 'external-lib' not in disabled:
            self._file = _Place('fdr_log_file', lambda: open_log_file(prefix), is_plain=True)
        places = [self._console] if 'stdout' not in disabled else []
        self._places = [*places, self._file] if self._file else places
        threading.Thread(target=self._read, args=(reader,), name='fdr_log', daemon=True).start()

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Let rcl, which must be initialised inside the block, log to standard output."""
        ours = {'RCUTILS_LOGGING_USE_STDOUT': '1', 'RCUTILS_LOGGING_BUFFERED_STREAM': '1'}
        if self._is_terminal and not os.environ.get('RCUTILS_COLORIZED_OUTPUT'):
            ours['RCUTILS_COLORIZED_OUTPUT'] = '1'  # a pipe has no colours by default
        before = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)
        try:
            yield
        finally:
            for name, text in before.items():
                if text is None:
                    del os.environ[name]
                else:
                    os.environ[name] = text

    def why_no_file(self) -> str:
        """Return why there is no log file; empty if there is one, or none is wanted."""
        if self._file is None or self._file.is_opened.wait(_OPEN_S):
            return self._file.why_none if self._file else ''
        return 'its directory does not answer'

    def say(self, text: str) -> None:
        """Write a line to the console, also if no logs are wanted there."""
        self._console.put(f'{text}\n'.encode(errors='replace'))

    def flush(self) -> None:
        """Wait until all that was logged is written, at most `FLUSH_S`."""
        deadline = time.monotonic() + FLUSH_S
        self._is_drained.clear()
        try:
            os.write(self._writer, _MARK + b'\n')
        except BlockingIOError:
            pass  # it is full: what it has is read meanwhile
        self._is_drained.wait(FLUSH_S)
        for place in {self._console, *self._places}:
            place.wait_until_done(deadline)

    def _read(self, reader: int) -> None:
        rest = b''
        while True:
            data = os.read(reader, _PIPE_BYTES)  # all that is there
            *lines, rest = (rest + data).split(b'\n')
            for line in lines:
                text = line.removesuffix(_MARK)
                if text or text == line:
                    for place in self._places:
                        place.put(text + b'\n')
                if text != line:
                    self._is_drained.set()
            if len(data) > self._much:
                for place in self._places:
                    place.may_lack()


def _wishes(args: Sequence[str]) -> tuple[set[str], str]:
    """Return which outputs of logs the user has disabled, and the prefix of the log file."""
    disabled: set[str] = set()
    prefix = ''
    words, _ = split_arguments(args)
    for word, following in zip(words, [*words[1:], ''], strict=False):
        if word == '--log-file-name':
            prefix = following
        elif word in ('--disable-stdout-logs', '--disable-external-lib-logs'):
            disabled.add(word[len('--disable-'):-len('-logs')])
        elif word in ('--enable-stdout-logs', '--enable-external-lib-logs'):
            disabled.discard(word[len('--enable-'):-len('-logs')])
    return disabled, prefix


def _standard_output_pipe() -> tuple[int, int]:
    """Make standard output a pipe that never blocks; return its ends, for reading and writing."""
    ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    reader, writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    for end in ends:
        os.close(end)
    os.set_blocking(reader, True)
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        pass  # this user has many pipes: 64 KiB do
    os.dup2(writer, 1)
    return reader, writer


def _unblock_stderr() -> None:
    """Open a terminal or a pipe anew, without blocking; other processes have it as before."""
    try:
        if stat.S_ISFIFO(os.fstat(2).st_mode) or os.isatty(2):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            anew = os.open('/proc/self/fd/2', flags)
            os.dup2(anew, 2)
            os.close(anew)
    except OSError:
        pass  # closed, nobody reads it, or of another user: as it is
