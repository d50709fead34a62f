# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Recordings that other programs wrote go through every verb, and lose nothing on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import json
from pathlib import Path
import shutil
import sqlite3
import struct

from conftest import Record
from fdr_recorder import export, FlightReader, Query, read_info, verify
from fdr_recorder.cli.main import main
from fdr_recorder.flights.status import Completeness, Integrity, Verdict
from fdr_recorder.mcap import layout
import foreign_recordings as others
from foreign_recordings import Counts, counts_by_others, KINDS, TRUNCATED
from mcap.reader import make_reader
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
import pytest

UNPROTECTED = (
    'mcap_without_chunks',
    'mcap_without_crcs',
    'mcap_with_records_of_its_own',
    'mcap_without_chunks_truncated',
)


class Made:
    """Makes each kind once, and knows what others find in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, tuple[Path, Counts]] = {}

    def __call__(self, kind: str) -> tuple[Path, Counts]:
        if kind not in self._known:
            directory = self._directory / kind
            directory.mkdir()
            path = KINDS[kind](directory)
            self._known[kind] = path, counts_by_others(path)
        return self._known[kind]


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp('kinds'))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main([*map(str, arguments)]) == code, arguments
    return capsys.readouterr().out


# --- counts ------------------------------------------------------------------------------------


def test_every_message_is_counted(made: Made, kind: str) -> None:
    path, expected = made(kind)
    info = read_info(path)
    assert {topic.key: topic.messages for topic in info.topics.values()} == expected
    assert info.listed.records == sum(expected.values())
    assert info.damage == []
    assert verify(path).records == sum(expected.values())
    with FlightReader(path) as reader:
        found = Counter(
            (message.channel.topic, message.channel.schema.name) for message in reader.messages()
        )
    assert found == expected


def test_every_byte_of_a_message_stays(made: Made, kind: str) -> None:
    path, _ = made(kind)
    sent = {(item.topic, item.time_ns): item.data for item in others.sent()}
    for message in Query(path).messages():
        if message.channel.message_encoding == 'cdr':
            assert message.data == sent[message.channel.topic, message.log_time_ns]


def test_sizes_are_those_of_the_messages(made: Made, kind: str) -> None:
    path, _ = made(kind)
    sizes: Counter[str] = Counter()
    for message in Query(path).messages():
        sizes[message.channel.topic] += len(message.data)
    info = read_info(path)
    assert {topic.name: topic.bytes for topic in info.topics.values()} == sizes


def test_messages_come_in_the_order_of_their_times(made: Made, kind: str) -> None:
    path, _ = made(kind)
    times = [message.log_time_ns for message in Query(path).messages()]
    assert times == sorted(times)


# --- every verb --------------------------------------------------------------------------------


def test_verify_never_says_good_by_ignorance(
    made: Made, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made(kind)
    is_torn = kind in TRUNCATED
    found = verify(path)
    assert found.damage == []
    assert found.verdict is (Verdict.UNCLOSED if is_torn else Verdict.UNKNOWN)
    assert found.unchecked[-1] == 'what was lost before it was recorded'
    text = said(capsys, 'verify', path, code=found.verdict.value)
    assert ('torn: ' in text) is is_torn
    is_protected = kind.startswith('mcap_') and kind not in UNPROTECTED and 'packed' not in kind
    if is_torn:
        assert found.status.integrity is Integrity.TORN
    else:
        assert found.status.integrity is (
            Integrity.INTACT if is_protected else Integrity.UNCHECKED
        )
        assert found.status.completeness is Completeness.UNKNOWN
    (document,) = json.loads(said(capsys, 'verify', path, '--json', code=found.verdict.value))
    assert document['kind'] == ('bag' if path.is_dir() else 'file')


def test_ls_and_info_agree_with_verify(
    made: Made, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, expected = made(kind)
    (listed,) = json.loads(said(capsys, 'ls', path, '--json'))['others']
    info = json.loads(said(capsys, 'info', path, '--json'))
    status = verify(path).status
    for found in (listed, info):
        assert found['records'] == sum(expected.values())
        assert found['status']['verdict'] == status.verdict.name.lower()
        assert found['losses']['transport'] is None
    assert listed['duration_s'] == pytest.approx(info['duration_s'])
    table = said(capsys, 'info', path)
    assert all(f'{topic} ' in table for topic, _ in expected)
    assert said(capsys, 'ls', path)


def test_export_takes_all_and_can_be_read_again(made: Made, kind: str, tmp_path: Path) -> None:
    path, expected = made(kind)
    exported = export(path, tmp_path / 'copy.mcap')
    assert (exported.messages, exported.damage) == (sum(expected.values()), ())
    assert counts_by_others(exported.path) == expected
    again = read_info(exported.path)
    assert {topic.key: topic.messages for topic in again.topics.values()} == expected
    assert verify(exported.path).verdict is Verdict.UNKNOWN


def test_a_part_is_cut_out_by_topic_and_time(made: Made, kind: str) -> None:
    path, _ = made(kind)
    topic = 'json topic' if kind == 'mcap_of_other_encodings' else None
    topic = topic or ('/fix' if kind == 'mcap_by_javascript' else '/imu/data')
    whole = [item for item in Query(path).messages() if item.channel.topic == topic]
    times = sorted(item.log_time_ns for item in whole)
    start_ns, end_ns = times[len(times) // 4], times[len(times) // 2]
    part = list(Query(path, (topic,), start_ns, end_ns).messages())
    assert len(part) == sum(start_ns <= time_ns < end_ns for time_ns in times)


def test_cat_prints_values_by_definitions_in_the_file(
    made: Made, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made(kind)
    if kind in ('mcap_of_other_encodings', 'mcap_by_javascript'):
        topic = 'json topic' if kind == 'mcap_of_other_encodings' else '/fix'
        line = json.loads(said(capsys, 'cat', path, '-t', topic, '-n', 1))
        assert line['message'] in ({'x': 0}, {'latitude': 47, 'number': 0})
        return
    lines = said(capsys, 'cat', path, '-t', '/gps/fix', '--start', 0.1, '--duration', 0.3)
    assert [json.loads(line)['message']['altitude'] for line in lines.splitlines()] == [20.0]
    line = json.loads(said(capsys, 'cat', path, '-t', '/chatter', '-n', 1))
    assert line['message'] == {'data': 'hello 0'}


def test_report_is_written(
    made: Made, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, expected = made(kind)
    page = tmp_path / 'page.html'
    line = said(capsys, 'report', path, '-o', page)
    assert line == f'{page}: {verify(path).status.sentence}\n'
    text = page.read_text()
    assert all(topic in text for topic, _ in expected)
    if path.is_dir():
        name = min(file.name for file in path.iterdir() if file.suffix != '.yaml')
        assert f'"{name}: ' in text, 'the time line names its files'
    report = json.loads(said(capsys, 'report', path, '--json'))
    counts = {(topic['name'], topic['type']): sum(topic['counts']) for topic in report['topics']}
    assert counts == expected


def test_recover_writes_a_whole_copy_and_never_in_place(
    made: Made, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, expected = made(kind)
    files = [path] if path.is_file() else sorted(path.iterdir())
    before = [file.read_bytes() for file in files]
    is_torn = kind in TRUNCATED
    assert main(['recover', str(path)]) == (3 if is_torn else 0)
    assert said(capsys, 'recover', path, '--dry-run', code=int(is_torn))
    for out in (tmp_path / 'whole.mcap', tmp_path / 'whole'):
        assert said(capsys, 'recover', path, '-o', out)
        if kind not in ('mcap_of_other_encodings', 'mcap_by_javascript'):  # no bag of ROS
            assert counts_by_others(out) == expected
    assert [file.read_bytes() for file in files] == before
    assert sorted(path.iterdir()) == files if path.is_dir() else True


# --- what is not as it should be ---------------------------------------------------------------


def test_a_chunk_with_a_wrong_crc_is_damage_and_the_others_are_read(tmp_path: Path) -> None:
    path = others.mcap_plain(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    found = verify(path)
    assert found.verdict is Verdict.DAMAGED
    assert any('the CRC of the chunk is wrong' in text for text in found.damage)
    assert any('the CRC of the data section is wrong' in text for text in found.damage)
    assert 0 < found.records < 487
    assert export(path, tmp_path / 'rest.mcap').messages == found.records


@pytest.mark.parametrize('make', [others.mcap_in_one_chunk, others.mcap_plain, others.mcap_lz4])
def test_a_file_that_ends_anywhere_is_not_closed_and_no_damage(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)
    whole = path.read_bytes()
    found_before = 0
    for place in (*range(0, len(whole), len(whole) // 40), len(whole) - 1):
        path.write_bytes(whole[:place])
        found = verify(path)
        assert (found.verdict, found.damage) == (Verdict.UNCLOSED, []), place
        assert found.records >= found_before
        found_before = found.records
    assert found_before == 487


def test_a_file_that_ends_between_message_indexes_is_no_damage(tmp_path: Path) -> None:
    path = others.mcap_in_one_chunk(tmp_path)
    with path.open('rb') as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    (chunk,) = summary.chunk_indexes
    last = max(chunk.message_index_offsets.values())
    path.write_bytes(path.read_bytes()[: last + 5])
    found = verify(path)
    assert (found.verdict, found.damage) == (Verdict.UNCLOSED, [])
    assert found.records == 487


def test_an_uncompressed_chunk_that_the_file_ends_in_is_read_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {'compression': CompressionType.NONE, 'chunk_size': 1 << 30}
    path = others.write_mcap(tmp_path / 'one.mcap', **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = verify(path)
    assert (found.verdict, found.damage) == (Verdict.UNCLOSED, [])
    assert 0 < found.records < 487
    text = said(capsys, 'export', path, '-o', tmp_path / 'rest.mcap')
    assert f'{found.records} messages' in text
    assert not read_info(path).damage


def test_what_is_wrong_is_said_once(tmp_path: Path) -> None:
    path = others.mcap_without_chunks(tmp_path)
    data = bytearray(path.read_bytes())
    data[8 + 1 + 7] ^= 0xFF  # the header's length
    path.write_bytes(data)
    damage = read_info(path).damage
    assert damage
    assert len(set(damage)) == len(damage)


def test_links_in_a_circle_hide_no_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others.mcap_lz4(tmp_path)
    others.mcap_plain(tmp_path)
    (tmp_path / 'circle').symlink_to('circle')
    (tmp_path / 'nowhere').symlink_to('gone')
    document = json.loads(said(capsys, 'ls', tmp_path, '--json'))
    found = [Path(item['path']).name for item in document['others']]
    assert found == ['lz4.mcap', 'plain.mcap']


def test_a_stray_file_hides_no_bags_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others.mcap_plain(tmp_path)
    (tmp_path / 'bag').mkdir()
    others.mcap_lz4(tmp_path / 'bag')
    document = json.loads(said(capsys, 'ls', tmp_path, '--json'))
    assert [Path(item['path']).name for item in document['others']] == ['bag', 'plain.mcap']


@pytest.mark.parametrize('make', [others.mcap_plain, others.mcap_without_chunks])
@pytest.mark.parametrize('opcode', [layout.HEADER, layout.DATA_END, layout.FOOTER])
def test_a_record_that_every_file_has_is_damaged_missing_or_there_twice(
    tmp_path: Path, make: Callable[[Path], Path], opcode: int
) -> None:
    path = make(tmp_path)
    whole, place = path.read_bytes(), len(layout.MAGIC)
    prefix = layout.RECORD_PREFIX
    while whole[place] != opcode:
        place += prefix.size + prefix.unpack_from(whole, place)[1]
    end = place + prefix.size + prefix.unpack_from(whole, place)[1]
    assert verify(path).verdict is Verdict.UNKNOWN
    flips = [(place + byte, bit) for byte in range(prefix.size) for bit in (1, 0x80)]
    cases = [whole[:place] + whole[end:], whole[:end] + whole[place:]]
    for at, bit in flips:
        cases.append(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1:])
    for case in cases:
        path.write_bytes(case)
        assert verify(path).verdict is Verdict.DAMAGED


@pytest.mark.parametrize('content', [b'hello', b'hello' * 100, bytes(100)])
def test_what_does_not_begin_as_an_mcap_file_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / 'x.mcap'
    path.write_bytes(content)
    assert verify(path).verdict is read_info(path).listed.status.verdict is Verdict.DAMAGED
    assert '1970' not in said(capsys, 'ls', path) + said(capsys, 'info', path)
    path.write_bytes(b'')  # as a crash leaves it
    assert verify(path).verdict is Verdict.UNCLOSED


def test_a_chunk_of_endless_records_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'bomb.mcap'
    with path.open('wb') as file:
        writer = McapWriter(file, chunk_size=1 << 30, compression=CompressionType.ZSTD)
        writer.start()
        channel = writer.register_channel('/a', 'json', 0)
        for time_ns in range(5000):
            writer.add_message(channel, time_ns, b'1', time_ns)
        writer.finish()
    assert verify(path).records == 5000
    monkeypatch.setattr('fdr_recorder.mcap.foreign._MOST_RECORDS', 1000)
    result = verify(path)
    assert result.verdict is Verdict.DAMAGED
    assert 'the chunk has more than 1,000 records' in str(result)


def test_topics_of_other_programs_are_asked_for_by_any_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'odd.mcap'
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start()
        for topic in ('a.b', 'axb', '[', 'c(d)+'):
            writer.add_message(writer.register_channel(topic, 'json', 0), 1, b'{}', 1)
        writer.finish()
    for topic in ('a.b', '[', 'c(d)+', 'c(*'):
        (line,) = said(capsys, 'cat', path, '-t', topic).splitlines()
        assert json.loads(line)['topic'] == topic.replace('*', 'd)+')


def test_attachments_are_checked_and_told(tmp_path: Path) -> None:
    path = others.mcap_lz4(tmp_path)
    (note,) = verify(path).notes
    assert note == 'it has 2 attachments'
    data = bytearray(path.read_bytes())
    data[data.index(b'image/png') + 100] ^= 1
    path.write_bytes(data)
    assert any('the CRC of the attachment is wrong' in text for text in verify(path).damage)


@pytest.mark.parametrize('verb', ['export', 'cut', 'recover'])
def test_attachments_and_metadata_are_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    path, out = others.mcap_lz4(tmp_path), tmp_path / 'out.mcap'
    said(capsys, verb, path, '-o', out)
    attached, about = [], []
    for source in (path, out):
        with source.open('rb') as file:
            reader = make_reader(file)
            summary = reader.get_summary()
            assert summary is not None
            assert summary.statistics is not None
            assert summary.statistics.attachment_count == len(summary.attachment_indexes) == 2
            assert summary.statistics.metadata_count == len(summary.metadata_indexes)
            attached.append(list(reader.iter_attachments()))
            about.append([item for item in reader.iter_metadata() if item.name == 'about'])
    assert attached[0] == attached[1]
    assert about[0] == about[1] != []
    found = verify(out)
    assert not found.damage
    assert 'CRCs of attachments' in found.checked
    again = tmp_path / 'again.mcap'
    said(capsys, 'export', out, '--start', '1', '-o', again)
    assert not verify(again).notes, 'the attachments are from before'
    with again.open('rb') as file:
        names = [item.name for item in make_reader(file).iter_metadata()]
    assert sorted(names) == ['about', 'fdr_recorder']


def test_counts_of_metadata_that_do_not_fit_are_damage(tmp_path: Path) -> None:
    bag = others.bag_sqlite(tmp_path)
    with sqlite3.connect(next(bag.glob('*.db3'))) as database:
        database.execute('DELETE FROM messages WHERE topic_id = 2')
    database.close()
    found = verify(bag)
    assert found.verdict is Verdict.DAMAGED
    assert any(text.startswith('metadata.yaml counts 400 messages of') for text in found.damage)


def test_files_that_metadata_names_may_be_gone(tmp_path: Path) -> None:
    bag = others.bag_of_humble_split(tmp_path)
    (bag / 'humble_3.db3').unlink()
    found = verify(bag)
    assert 'metadata.yaml names humble_3.db3: not there' in found.damage
    assert found.records == sum(counts for counts in _rows(bag))
    assert read_info(bag).listed.records == found.records


@pytest.mark.parametrize('make', [others.bag_sqlite, others.bag_mcap, others.bag_of_humble_split])
def test_metadata_of_another_bag_hides_no_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], Path]
) -> None:
    bag = make(tmp_path)
    before = read_info(bag).listed.records
    for path in [item for item in bag.iterdir() if item.suffix != '.yaml']:
        path.rename(path.with_name(f'mine_{path.name}'))
    assert read_info(bag).listed.records == before > 0
    found = verify(bag)
    assert (found.verdict, found.records, len(found.damage)) == (Verdict.DAMAGED, before, 1)
    (sentence,) = found.damage
    assert 'metadata.yaml belongs to another bag: it names' in sentence
    assert 'read instead: mine_' in sentence
    out = tmp_path / 'out.mcap'
    said(capsys, 'export', bag, '-o', out, code=1)
    assert read_info(out).listed.records == before


def _rows(bag: Path) -> list[int]:
    counts = []
    for path in bag.glob('*.db3'):
        with sqlite3.connect(path) as database:
            counts += [database.execute('SELECT count(*) FROM messages').fetchone()[0]]
        database.close()
    return counts


def test_split_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    bag = others.bag_of_humble_split(tmp_path)
    (bag / 'metadata.yaml').unlink()
    times = [message.log_time_ns for message in Query(bag).messages()]
    assert times == sorted(times)
    found = verify(bag)
    assert found.verdict is Verdict.UNCLOSED
    assert any('there is no metadata.yaml' in note for note in found.notes)


def test_a_broken_page_costs_the_messages_on_it_alone(tmp_path: Path) -> None:
    path = others.sqlite_alone(tmp_path)
    data = bytearray(path.read_bytes())
    (page,) = struct.unpack_from('>H', data, 16)
    place = len(data) // page // 2 * page
    data[place:place + page] = b'\xAA' * page
    path.write_bytes(data)
    found = verify(path)
    assert found.verdict is Verdict.DAMAGED
    assert 300 < found.records < 487
    assert any('cannot be read' in text or 'malformed' in text for text in found.damage)


def test_a_log_of_sqlite_is_read_with_it(tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    bag.mkdir()
    source = others.sqlite_alone(tmp_path)
    database = sqlite3.connect(source)
    database.execute('PRAGMA journal_mode = WAL')
    database.execute(
        'INSERT INTO messages (topic_id, timestamp, data) SELECT topic_id, timestamp, data '
        'FROM messages'
    )
    database.commit()
    for suffix in ('', '-wal'):  # as a recorder leaves it that is killed
        (bag / f'bag_0.db3{suffix}').write_bytes(Path(f'{source}{suffix}').read_bytes())
    database.close()
    found = verify(bag)
    assert found.records == 2 * 487
    assert found.verdict is Verdict.UNCLOSED
    assert any('has a log beside it' in note for note in found.notes)
    assert sorted(path.name for path in bag.iterdir()) == ['bag_0.db3', 'bag_0.db3-wal']


# --- a segment alone, and a drawer --------------------------------------------------------------


def test_a_segment_alone_is_read_as_strictly_as_in_its_flight(
    record_flight: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = record_flight(close=True)
    segment = sorted(flight.glob('*.mcap'))[1]
    alone = tmp_path / segment.name
    data = segment.read_bytes()
    alone.write_bytes(data)
    found = verify(alone)
    assert (found.kind, found.verdict) == ('segment', Verdict.UNKNOWN)
    info = read_info(alone)
    assert info.header is not None
    assert info.listed.records == found.records > 0
    link = tmp_path / 'link'
    link.symlink_to(alone)
    assert verify(link).records == found.records
    assert sum(1 for _ in Query(link).messages()) == found.records
    alone.write_bytes(data[: len(data) // 2])
    assert verify(alone).verdict is Verdict.UNCLOSED
    whole = tmp_path / 'whole.mcap'
    assert said(capsys, 'recover', alone, '-o', whole)
    assert verify(whole).records == verify(alone).records


def test_a_drawer_of_recordings_is_listed_and_verified(
    record_flight: Record, root: Path, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    record_flight(close=True)
    for kind in ('bag_sqlite', 'mcap_lz4', 'mcap_truncated'):
        _copy(made(kind)[0], root)
    document = json.loads(said(capsys, 'ls', root, '--json'))
    assert [item['kind'] for item in document['flights']] == ['flight']
    names = [Path(item['path']).name for item in document['others']]
    assert names == ['lz4.mcap', 'sqlite', 'truncated.mcap']
    assert '1 flight, 3 other recordings, ' in said(capsys, 'ls', root)
    assert said(capsys, 'verify', root).count('complete') == 0  # a root means its flights
    drawer = root / 'drawer'
    drawer.mkdir()
    for name in names:
        (root / name).rename(drawer / name)
    assert said(capsys, 'verify', drawer, code=6).count('cannot be checked') == 3


def _copy(source: Path, directory: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, directory / source.name)
    else:
        shutil.copy(source, directory)


@pytest.mark.parametrize('kind', ['bag_sqlite', 'mcap_lz4'])
def test_another_recording_does_not_grow(
    kind: str, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made(kind)
    assert main(['tail', '/imu/data', '--flight', str(path)]) == 3
    assert 'is no flight, and does not grow here' in capsys.readouterr().err
    assert main(['top', str(path)]) == 1  # it is shown once
    assert 'is no flight of a recorder' in ' '.join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ('content', 'what'),
    [
        (b'#ROSBAG V2.0\n', 'is a bag of ROS 1'),
        (b'ULog\x01\x12\x35\x01', 'is a log of PX4'),
        (b'hello', 'is neither an MCAP nor an SQLite file'),
    ],
)
def test_what_is_no_recording_is_told_in_one_sentence(
    content: bytes, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'file.bin'
    path.write_bytes(content)
    assert main(['info', str(path)]) == 3
    assert what in capsys.readouterr().err
