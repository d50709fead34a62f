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
Flights that release 0.1.0 wrote read, verify and report as they did then, in the words of today.

`flights_0_1_0/` holds three: `closed` (uncompressed, each record in a known order), `capped` (lz4,
its oldest segments dropped, messages lost in transport, alerts) and `killed` (zstd, SIGKILL).
`said_by_0_1_0.json` is what that release's `fdr` said of them.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
import json
from pathlib import Path
import re
import shutil
from typing import Any

from fdr_recorder import (
    Channel,
    FdrClient,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    RingConfig,
)
from fdr_recorder.cli.main import main
from fdr_recorder.flights.flight_reader import FlightReader
from fdr_recorder.record.codec import encode, own_definition
from fdr_recorder.storage import segment_log
from fdr_recorder.storage.clock_discipline import read_discipline
from mcap.opcode import Opcode
from mcap.records import Channel as ChannelRecord
from mcap.records import Chunk, ChunkIndex, McapRecord, Message, MetadataIndex, SummaryOffset
from mcap.records import Schema as SchemaRecord
from mcap.stream_reader import breakup_chunk, StreamReader
import pytest
from rosbags.typesys import get_typestore, Stores
from waiting import wait_until

HERE = Path(__file__).parent
FLIGHTS = HERE / 'flights_0_1_0'
SAID = HERE / 'said_by_0_1_0.json'

QUESTIONS = {
    f'{verb} {flight}': (verb, flight)
    for flight in ('closed', 'capped', 'killed')
    for verb in ('info', 'info --json', 'verify', 'verify --json', 'report --json', 'cat')
} | {
    'ls --json': ('ls --json', ''),
}
"""Command lines, and the flight each is about."""

AFTER_RECOVERY = ('recover', 'info --json', 'verify', 'report --json')
"""Asked of `killed`, in this order."""

VOLATILE = {'made_ns', 'seconds'}
"""Keys of JSON documents that differ between two runs of the same program."""

ADDED = {
    'folded',
    'log_time_offset_ns',
    'flight_number',
    'host_suspended_ns',
    'clock_state',
    'clock_source',
    'flight_ended_at_ns',
    'kept',
    'kept_bytes',
    'utc_started_ns',
    'utc_ended_ns',
    'loss_detection',
    'before_match',
    'records_before_match',
    'unseen',
    'unseen_topics',
    'why_unseen',
    'requested',
    'dropped',
    'removed',
    'unreadable',
    'schema',
    'status',
    'tear',
    'has_end',
    'kind',
    'notes',
    'checked',
    'unchecked',
    'others',
    'copied',
    'unexplained',
    'unreadable_bytes',
    'silence_ns',
    'silence_at_ns',
    'seals',
    'pins',
    'pinned',
    'records_throttled',
    'throttled',
    'left_out',
    'metadata',
    'parameters',
}
"""Keys of JSON documents that 0.1.0 did not know."""

STATES = {'clean': 'closed', 'unclean': 'unknown', 'recovered': 'recovered'}
"""How a flight has ended, by what 0.1.0 called its state."""
VERDICTS = {'clean': 'complete', 'losses': 'losses', 'damaged': 'unclosed'}
"""The verdicts of today on the three flights, by those of 0.1.0: to it a torn end was damage."""
SAID_OTHERWISE = (
    {'state', 'headline', 'sentences'},
    {'verdict', 'damage', 'is_being_written', 'is_closed', 'clean_shutdown'},
)
"""Keys that tell what became of a flight: of any object, and of the result of `verify`."""
STATUS_LINES = re.compile('(state|status) |  (clean|damaged|torn|Complete|Closed|Not|Recovered)')


def ask(root: Path, words: str, flight: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return exit code and output of `fdr`, without what differs from run to run."""
    code = main([*words.split(), str(root / flight)])
    out = capsys.readouterr().out.replace(str(root), 'ROOT')
    if '--json' in words:
        return {'code': code, 'out': steady(json.loads(out))}
    if words == 'cat':
        return {'code': code, 'out': [f'{len(out)} characters', sha256(out.encode()).hexdigest()]}
    if words == 'recover':
        out = out.partition(' in ')[0] + out.partition(' s: ')[2]
    lines = out.replace(', the end\n', '\n').splitlines()
    return {'code': code, 'out': [line for line in lines if not STATUS_LINES.match(line)]}


def in_words_of_today(answer: Any) -> Any:
    """Return an answer of 0.1.0 without the words that have changed."""
    out = answer['out']
    if isinstance(out, list) and out and isinstance(out[0], str):
        return {**answer, 'out': [line for line in out if not STATUS_LINES.match(line)]}
    return {**answer, 'out': steady(out)}


def steady(value: Any) -> Any:
    if isinstance(value, dict):
        left_out = VOLATILE | ADDED | SAID_OTHERWISE[0]
        if 'folded' in value:  # the account of a producer
            left_out = left_out | {'first_sequence'}
        if 'config_snapshot' in value or 'producers' in value:  # header and footer
            left_out = left_out | {'topics'}
        if 'damage' in value and 'losses' in value and 'header' not in value:  # of `verify`
            left_out = left_out | {'flight_id'} | SAID_OTHERWISE[1]
        if 'cap_bytes' in value:  # the record of a drop
            left_out = left_out | {
                'own_records', 'repeated', 'earlier', 'losses', 'alerts', 'last_seal'
            }
        return {key: steady(item) for key, item in value.items() if key not in left_out}
    return [steady(item) for item in value] if isinstance(value, list) else value


def sizeless(value: Any) -> Any:
    """Leave out sizes: the footer that recovery writes is one of this version."""
    if isinstance(value, dict):
        return {key: sizeless(item) for key, item in value.items() if 'bytes' not in key}
    if isinstance(value, list):
        return [sizeless(item) for item in value]
    return re.sub(r'[0-9.,]+ (KiB|bytes)', 'SIZE', value) if isinstance(value, str) else value


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FLIGHTS, tmp_path / 'flights'))


@pytest.fixture(scope='module')
def said() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SAID.read_text(encoding='utf-8'))
    return found


def code_of(answer: Any, words: str) -> int:
    """Return the exit code of today for an answer of 0.1.0."""
    code: int = answer['code']
    return 6 if words.startswith('verify') and code == 2 else code


@pytest.mark.parametrize('question', QUESTIONS)
def test_what_is_said_of_a_flight_of_0_1_0(
    question: str, flights: Path, said: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found, then = ask(flights, *QUESTIONS[question], capsys), said[question]
    assert found == {**in_words_of_today(then), 'code': code_of(then, question)}


def test_the_status_of_a_flight_of_0_1_0_is_what_its_state_was(
    flights: Path, said: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def status(verb: str, flight: str) -> Any:
        main([verb, str(flights / flight), '--json'])
        out = json.loads(capsys.readouterr().out)
        return (out[0] if isinstance(out, list) else out)['status']

    def check(flight: str, end: str = '') -> None:
        state = said[f'info --json {flight}{end}']['out']['state']
        assert status('info', flight)['ended'] == STATES[state]
        assert status('verify', flight)['ended'] == STATES[state]
        (verified,) = said[f'verify --json {flight}']['out']
        if not end:
            assert status('verify', flight)['verdict'] == VERDICTS[verified['verdict']]

    for flight in ('closed', 'capped', 'killed'):
        check(flight)
    main(['recover', str(flights / 'killed')])
    capsys.readouterr()
    check('killed', ', recovered')
    assert status('verify', 'killed')['verdict'] == 'losses'


def test_a_killed_flight_of_0_1_0_is_recovered_alike(
    flights: Path, said: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in AFTER_RECOVERY:
        found = ask(flights, words, 'killed', capsys)
        then = in_words_of_today(said[f'{words} killed, recovered'])
        assert sizeless(found) == sizeless(then), words


# --- what is written now -----------------------------------------------------------------------


def structure(path: Path) -> list[list[Any]]:
    """Return the records of a segment in file order, each with what says which one it is."""
    with path.open('rb') as file:
        return list(map(described, StreamReader(file, emit_chunks=True).records))


def described(record: McapRecord) -> list[Any]:
    about: list[Any] = [type(record).__name__]
    if isinstance(record, SchemaRecord):
        about += [record.id, record.name, record.encoding]
    elif isinstance(record, ChannelRecord):
        about += [record.id, record.schema_id, record.topic, sorted(record.metadata)]
    elif isinstance(record, Chunk):
        inner = breakup_chunk(record)
        about += [[item.channel_id, item.sequence] for item in inner if isinstance(item, Message)]
    elif isinstance(record, SummaryOffset):
        about.append(Opcode(record.group_opcode).name)
    elif isinstance(record, ChunkIndex):
        about.append(sorted(record.message_index_offsets))
    elif isinstance(record, MetadataIndex):
        about.append(record.name)
    return about


def message(types: Any, name: str, data: object) -> bytes:
    return bytes(types.serialize_cdr(types.types[name](data=data), name))


def clients_of(flight: Path) -> dict[str, FdrClient]:
    """Return clients for the topics of a flight, each with the channel that it has there."""
    clients: dict[str, FdrClient] = {}
    for found in FlightReader(flight).messages():
        channel, metadata = found.channel, dict(found.channel.metadata)
        if channel.topic not in clients and not channel.topic.startswith('/fdr/'):
            described = Channel(
                channel.topic,
                channel.schema,
                publisher=metadata.pop('publisher_gid'),
                metadata=metadata,
                latched=channel.topic == '/robot_description',
            )
            clients[channel.topic] = FdrClient(described, RingConfig(max_records=64))
    return clients


def test_what_is_written_now_has_the_same_records_in_the_same_order(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same messages, in the same steps as then; see `closed`."""
    monkeypatch.setattr(segment_log, 'HEADER_SHARE', 1 << 20)  # all headers have the same size
    before = FLIGHTS / 'closed'
    header = next(FlightReader(before).own_records())
    assert isinstance(header, FlightHeader)
    types = get_typestore(Stores.ROS2_JAZZY)
    first = next(FlightReader(before).messages())
    now = own_definition(FlightHeader).schema
    larger = 2 * (len(now.definition) - len(first.channel.schema.definition))
    larger += len(encode(replace(header, clock_source=read_discipline().source)))
    larger -= len(first.data)  # in every segment
    config = FdrWriterConfig(
        segment_size_bytes=16 * 1024 + larger,
        chunk_size_bytes=2048,
        flush_interval_s=60.0,
        sync_interval_s=60.0,
        min_free_bytes=0,
        reserve_bytes=0,
    )
    clients = clients_of(before)

    def send(topic: str, name: str, data: object, sequence: int) -> None:
        clients[topic].enqueue(message(types, f'std_msgs/msg/{name}', data), sequence=sequence)

    def written(topic: str) -> None:
        wait_until(lambda: not len(clients[topic].ring), f'{topic} to be taken')

    writer = FileFdrWriter(root, config)
    writer.start()
    for topic in ('/temperature', '/mode', '/robot_description'):
        writer.register(clients[topic])
    writer.open_flight(header)
    send('/robot_description', 'String', '<robot name="drone-7"/>', 1)
    written('/robot_description')
    for n in range(320):
        send('/temperature', 'Float64', 20 + n / 100, n + 1)
        if n % 20 == 0:
            written('/temperature')
            send('/mode', 'String', f'mode {n} ' + 'x' * 300, n // 20 + 1)
            written('/mode')
        if n % 16 == 15:
            written('/temperature')
    writer.close_flight('closed')
    writer.stop()

    names = [path.name for path in sorted(before.iterdir())]
    assert [path.name for path in sorted((root / 'closed').iterdir())] == names
    for name in names[1:]:
        assert structure(root / 'closed' / name) == structure(before / name), name
