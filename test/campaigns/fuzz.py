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
Files and names that nobody wrote in good faith, for all that reads flights.

A round works in a child process of limited memory, with an alarm for each input: real segments,
mutated where it hurts (lengths, counts, numbers, schemas, with CRCs made right again), are read,
verified and recovered; hostile message definitions are decoded with; a flight root is filled with
links, FIFOs and odd names. Only `FdrError` may come out. Where `atheris` is installed (it need
not be), it looks for more, guided by coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
import importlib.util
import logging
import os
from pathlib import Path
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import traceback
from unittest import mock
import zlib

if __name__ == '__main__':  # started by `guided` below
    sys.path[:1] = [str(Path(__file__).resolve().parents[1] / room) for room in ('', 'support')]
    import atheris

    with atheris.instrument_imports(include=['fdr_recorder']):
        import fdr_recorder.flights.recovery.recover
        import fdr_recorder.flights.verify.check  # noqa: F401

from campaigns import Figures
from fdr_recorder import FdrError, FdrWriterConfig, FileFdrWriter, Schema
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.flight_reader import FlightReader
from fdr_recorder.flights.reader import open_segment, own_record
from fdr_recorder.flights.recovery.read_contents import read_contents
from fdr_recorder.flights.recovery.recover import needs_recovery, recover
from fdr_recorder.flights.verify import verify
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.decode import FileChannel, Message
from fdr_recorder.record.codec import own_definition
from fdr_recorder.record.kinds import PAYLOADS
from producers import make_client, numbered, open_flight

NAME = 'fuzz'
ABOUT = (
    'Broken and hostile segments, definitions, metadata and names: typed errors, '
    'bounded memory and time.'
)
DEFAULT_ROUNDS = 100
SHORT_ROUNDS = 1

INPUTS = 60
"""In each round, of each sort."""
GUIDED_RUNS = 400
MEMORY_BYTES = 768 << 20
"""Above what the process has to begin with."""
INPUT_DEADLINE_S = 5
FLIGHT = 'flight'


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Try many inputs in a child process."""
    samples = real_segments(directory / 'samples', rng)
    seed = rng.randrange(1 << 32)
    in_limited_child(directory, lambda: attack(random.Random(seed), directory, samples))
    figures: dict[str, int | float] = {'inputs': 3 * INPUTS}
    if importlib.util.find_spec('atheris') is not None:
        guided(directory, samples, seed)
        figures['guided_inputs'] = GUIDED_RUNS
    return figures


def attack(rng: random.Random, directory: Path, samples: list[bytes]) -> None:
    """Try inputs of every sort; raise with the first that does harm."""
    for number in range(INPUTS):
        data = mutated(rng.choice(samples), rng)
        (directory / 'input.mcap').write_bytes(data)
        with alarm(INPUT_DEADLINE_S):
            try_segment(data, directory / 'root', rng.random() < 0.5 and rng.choice(samples))
        definition = hostile_definition(rng)
        (directory / 'input.msg').write_text(definition)
        with alarm(INPUT_DEADLINE_S):
            try_definition(definition, rng)
        root = directory / f'names_{number}'
        with alarm(INPUT_DEADLINE_S):
            try_names(root, samples, rng)
        shutil.rmtree(root)


# --- segments ----------------------------------------------------------------------------------


def real_segments(root: Path, rng: random.Random) -> list[bytes]:
    """Record a small flight; return its segments."""
    root.mkdir()
    config = FdrWriterConfig(
        segment_size_bytes=16 * 1024,
        chunk_size_bytes=2048,
        compression=rng.choice(['none', 'none', 'lz4', 'zstd']),
        flush_interval_s=60.0,
        min_free_bytes=0,
        reserve_bytes=0,
    )
    writer = FileFdrWriter(root, config)
    writer.start()
    try:
        latched, client = make_client('/latched', '01', latched=True), make_client('/blob', '02')
        open_flight(writer, FLIGHT, latched, client)
        latched.enqueue(numbered(0, 100))
        client.count_transport_loss(3, 4)
        for number in range(40):
            client.enqueue(numbered(number, rng.choice([40, 400])))
        writer.close_flight(FLIGHT)
    finally:
        writer.stop()
    return [segment.path.read_bytes() for segment in segment_files(root / FLIGHT)]


NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, 1 << 62, (1 << 63) - 1,
           1 << 63, (1 << 64) - 1)  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change a few things of a segment; half of the time its CRCs are right afterwards."""
    result = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        place = rng.randrange(len(result)) if result else 0
        kind = rng.randrange(11)
        if kind == 0:
            result[place:place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del result[place:place + rng.choice([1, 8, 100, 5000])]
        elif kind == 2:
            other = rng.randrange(len(data))
            result[place:place] = data[other:other + rng.choice([1, 9, 200, 3000])]
        elif kind == 3:
            del result[place:]
        elif kind == 4:  # a hole, where pages were lost
            start = place // 512 * 512
            result[start:start + 512] = bytes(len(result[start:start + 512]))
        elif kind == 5:
            for turned in result[place:place + 1]:
                result[place] = turned ^ 1 << rng.randrange(8)
        elif kind == 6:  # behind damage, many places where a record may begin
            _, start, end = rng.choice(records_of(data))
            piece = data[start:min(end, start + 60)]
            result[place:place] = bytes(9) + piece * rng.choice([3, 500])
        else:
            mutate_number(result, rng)
    if rng.random() < 0.6:
        with suppress(struct.error, IndexError, OverflowError):
            repair(result)
    return bytes(result)


def mutate_number(data: bytearray, rng: random.Random) -> None:
    """Put a number that hurts at the beginning of a record's content, or into its length."""
    starts = [start for _, start, _ in records_of(data)]
    if not starts:
        return
    place = rng.choice(starts) + rng.choice([0, 1, *range(9, 70)])
    size = rng.choice([1, 2, 4, 8])
    value = rng.choice(NUMBERS) & ((1 << 8 * size) - 1)
    data[place:place + size] = value.to_bytes(size, 'little')


def records_of(data: bytes | bytearray) -> list[tuple[int, int, int]]:
    """Return opcode, beginning and end of the records of a file, as far as it makes sense."""
    found = []
    start = len(layout.MAGIC)
    while start + layout.RECORD_PREFIX.size <= len(data):
        opcode, length = layout.RECORD_PREFIX.unpack_from(data, start)
        end = start + layout.RECORD_PREFIX.size + length
        if end > len(data):
            break
        found.append((opcode, start, end))
        start = end
    return found


def repair(data: bytearray) -> None:
    """Make all CRCs right, so that what they protect is looked at."""
    for opcode, start, end in records_of(data):
        if opcode == layout.CHUNK:
            [name_length] = struct.unpack_from('<I', data, start + 9 + 28)
            if not name_length:  # not compressed
                crc = zlib.crc32(data[start + 9 + 28 + 4 + 8:end])
                struct.pack_into('<I', data, start + 9 + 24, crc)
    end = len(data) - len(layout.MAGIC)
    footer = end - layout.FOOTER_LENGTH
    [summary_start] = struct.unpack_from('<Q', data, footer + 9)
    struct.pack_into('<I', data, end - 4, zlib.crc32(data[summary_start:end - 4]))


def try_segment(data: bytes, root: Path, beside: bytes | bool) -> None:
    """Read, verify and recover a flight with a segment; raise if anything but `FdrError` comes."""
    shutil.rmtree(root, ignore_errors=True)
    flight = root / FLIGHT
    flight.mkdir(parents=True)
    path = flight / 'segment_000000.mcap'
    path.write_bytes(data)
    if isinstance(beside, bytes):
        (flight / 'segment_000001.mcap').write_bytes(beside)
    with open_segment(path) as reader:
        for _ in reader.messages():
            pass
    with suppress(FdrError):
        read_contents(path, 0)
    reader_of_all = FlightReader(flight)
    for _ in reader_of_all.own_records():
        pass
    str(verify(flight))
    recover(root)
    for directory in root.iterdir():
        if directory.is_dir():
            assert not needs_recovery(directory), 'recovered, and unclean still'
    assert recover(root) == []
    str(verify(flight))


# --- definitions -------------------------------------------------------------------------------


def hostile_definition(rng: random.Random) -> str:
    """Return the text of a message definition that is up to no good."""
    kind = rng.randrange(12)
    line = '=' * 80
    depth = rng.choice([3, 50, 2000])
    if kind == 0:  # deep
        parts = [f'{line}\nMSG: x/T{level}\nT{level + 1} t' for level in range(depth)]
        return 'x/T0 t\n' + '\n'.join(parts) + f'\n{line}\nMSG: x/T{depth}\nuint8 a\n'
    if kind == 1:  # recursive
        return f'FlightHeader flight_id\n{line}\nMSG: x/T\nT t\n{line}\nMSG: x/U\nT t\n'
    if kind == 2:
        return f'x/T t\n{line}\nMSG: x/T\nx/U[{depth}] u\n{line}\nMSG: x/U\nx/T[] t\n'
    if kind == 3:  # arrays of arrays
        levels = rng.randint(2, 12)
        parts = [
            f'{line}\nMSG: x/T{level}\nT{level + 1}[{rng.choice([1000, 4_000_000_000])}] t'
            for level in range(levels)
        ]
        return 'x/T0 t\n' + '\n'.join(parts) + f'\n{line}\nMSG: x/T{levels}\nuint8 a\n'
    if kind == 4:
        return f'uint8[{rng.choice(NUMBERS)}] a\nstring[{rng.choice(NUMBERS)}] flight_id\n'
    if kind == 5:  # known names, other types
        types = ('string', 'int8', 'float64', 'uint8[]', 'string[]', 'bool[3]', 'wstring')
        keys = rng.choice(list(PAYLOADS.values())).known_keys()
        return ''.join(f'{rng.choice(types)} {key}\n' for key in keys)
    if kind == 6:
        return f'string {"n" * rng.choice([300, 100_000])}\n'
    if kind == 7:  # names that are code
        name = rng.choice(['__class__', 'import', 'None', 'self', 'a"b', 'lambda', 'pos'])
        return f'uint8 {name}\nuint8 {name}\n'
    if kind == 8:  # many
        return ''.join(f'uint8 a{number}\n' for number in range(rng.choice([1000, 20_000])))
    if kind == 9:
        return ''.join(chr(rng.randrange(1, 0x250)) for _ in range(200))
    if kind == 10:
        return f'uint8 A={rng.choice(["1e999", "9" * 5000, "0x", chr(39), "{}"])}\nstring<=0 b\n'
    text = own_definition(rng.choice(list(PAYLOADS.values()))).text
    place = rng.randrange(len(text))
    return text[:place] + rng.choice(['', '[]', '[99999999]', '\n', '=', '#']) + text[place + 1:]


def try_definition(definition: str, rng: random.Random) -> None:
    """Decode with a hostile definition, and read a flight whose segment has it."""
    kind = rng.choice(list(PAYLOADS))
    topic = PAYLOADS[kind].channel_topic()
    names = [PAYLOADS[kind].type_name(), 'x/msg/T', '', 'a', '/' * 9, 'x/msg/' + 'T' * 9999]
    name = rng.choice(names)
    data = rng.choice([b'', bytes(4), rng.randbytes(300), bytes(5000)])
    with suppress(FdrError):
        channel = FileChannel(1, topic, 1, Schema(name, definition), 'cdr', {})
        own_record(Message(channel, 0, 1, 1, data))


# --- names and kinds of files ------------------------------------------------------------------

ODD_NAMES = (
    'segment_000000.mcap', 'segment_000001.mcap', 'segment_0000001.mcap',
    'segment_99999999999.mcap', 'segment_999999999.mcap',
    'segment_' + '9' * 200 + '.mcap', 'segment_\u0660\u0660\u0660\u0660\u0660\u0661.mcap',
    'segment_000002.mcap', 'segment_-00001.mcap', 'metadata.yaml', '.metadata.yaml.tmp',
    '.fdr.lock', '.fdr.reserve', 'a\nb', 'caf\udce9', '..a', 'flight', 'CON', 'x' * 250,
    '$(reboot)', '-rf',
)  # fmt: skip


def try_names(root: Path, samples: list[bytes], rng: random.Random) -> None:
    """Read, verify and recover a root full of traps; what lies outside of it stays as it is."""
    root.mkdir()
    outside = root.with_name(root.name + '_outside')
    outside.mkdir()
    (outside / 'precious').write_bytes(samples[0])
    try:
        parents = (root, root / FLIGHT, root / 'other')
        for parent in parents[1:]:
            parent.mkdir()
        for parent in parents:
            for name in rng.sample(ODD_NAMES, 6):
                make_odd(parent / name, outside, samples, rng)
        with suppress(FdrError, OSError):
            recover(root)
        for directory in parents:
            if directory.is_dir():
                with suppress(FdrError, OSError):
                    str(verify(directory))
                with suppress(FdrError, OSError):
                    needs_recovery(directory)
        assert [path.name for path in outside.iterdir()] == ['precious']
        assert (outside / 'precious').read_bytes() == samples[0], 'a link was followed'
    finally:
        shutil.rmtree(outside)


def make_odd(path: Path, outside: Path, samples: list[bytes], rng: random.Random) -> None:
    kind = rng.randrange(6)
    with suppress(FileExistsError, FileNotFoundError):
        if kind == 0:
            path.symlink_to(outside / 'precious')
        elif kind == 1:
            path.symlink_to(rng.choice([outside, path, Path('/dev/zero'), Path('/nowhere')]))
        elif kind == 2 and path.name != '.metadata.yaml.tmp':  # test_recover.py has that one
            os.mkfifo(path)
        elif kind == 3:
            path.mkdir()
        elif not path.exists():
            path.write_bytes(rng.choice([b'', *samples, hostile_metadata(rng)]))


def hostile_metadata(rng: random.Random) -> bytes:
    names = ['segments_dropped', 'bytes_dropped', 'records_in_dropped_segments']
    chosen = rng.sample(names, rng.randint(1, 3))
    lines = [f'    {name}: "{rng.choice(NUMBERS)}"' for name in chosen]
    return ('\n'.join(lines) + '\n    - "segment_000000.mcap"\n').encode()


# --- children ----------------------------------------------------------------------------------


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """
    End what takes too long, even where it does not come back to Python.

    What counts is processor time, as others may have the processor; for what only waits, a minute.
    """

    def expire(_number: int, _frame: object) -> None:
        message = f'not finished after {seconds} s'
        raise BaseException(message)  # nothing may catch this

    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, expire)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def in_limited_child(directory: Path, work: Callable[[], None]) -> None:
    """Do something in a child process with little memory; raise what it raises."""
    report = directory / 'failure.txt'
    pid = os.fork()
    if not pid:
        code = 1
        try:
            logging.disable()
            limit = memory_in_use() + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            with mock.patch('os.fsync'):
                work()
            code = 0
        except BaseException:
            report.write_text(traceback.format_exc())
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    text = report.read_text() if report.exists() else f'the child ended with status {status}'
    assert status == 0, text


def memory_in_use() -> int:
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    return pages * resource.getpagesize()


# --- guided by coverage ------------------------------------------------------------------------


def guided(directory: Path, samples: list[bytes], seed: int) -> None:
    """Let atheris look for inputs that reach more of the code."""
    corpus = directory / 'corpus'
    corpus.mkdir()
    for number, sample in enumerate(samples):
        (corpus / str(number)).write_bytes(sample)
    found = directory / 'found'
    found.mkdir()
    done = subprocess.run(
        [
            sys.executable, __file__, str(corpus), f'-runs={GUIDED_RUNS}', f'-seed={seed}',
            f'-artifact_prefix={found}/', f'-timeout={INPUT_DEADLINE_S}', '-rss_limit_mb=1500',
            '-max_len=40000', '-verbosity=0',
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, 'FDR_FUZZ_ROOT': str(directory / 'root')},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def _fuzz_one(data: bytes) -> None:
    changed = bytearray(data)
    if data[-1:] != b'\x01':
        with suppress(struct.error, IndexError, OverflowError):
            repair(changed)
    try_segment(bytes(changed), Path(os.environ['FDR_FUZZ_ROOT']), beside=False)


def _main() -> None:
    logging.disable()
    os.fsync = lambda _fd: None
    atheris.Setup(sys.argv, _fuzz_one)
    atheris.Fuzz()


if __name__ == '__main__':
    _main()
