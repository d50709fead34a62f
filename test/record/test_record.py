# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The recorder's own records: what they hold, as CDR and back, across versions of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
import re
from typing import Any, get_args, get_type_hints
from unittest import mock

from fdr_recorder import FlightFooter, FlightHeader, KNOWN_PAYLOAD_KEYS, RecordError, Schema
from fdr_recorder.record.codec import decode, encode, own_definition
from fdr_recorder.record.kinds import (
    AlertRecord,
    Overrun,
    PAYLOADS,
    RECORD_SCHEMA_VERSION,
    WriteError,
)
from fdr_recorder.record.payload import Payload
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.types.typestore import typestore_of
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

MSG = Path(__file__).resolve().parents[2] / 'msg'

TEXT = st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=30)
UNSIGNED = {'level': (0, 255)}
SIGNED = re.compile(r'.*_ns$|process_id')


def value_of(name: str, kind: object) -> st.SearchStrategy[Any]:
    if kind is bool:
        return st.booleans()
    if kind is str:
        return TEXT
    if kind is float:
        return st.floats(allow_nan=False)
    if kind is int:
        if name == 'error_number':
            return st.integers(-(2**31), 2**31 - 1)
        if name in ('level', 'clock_state'):
            return st.integers(0, 255)
        if name == 'topics':
            return st.integers(0, 2**32 - 1)
        if SIGNED.fullmatch(name):
            return st.integers(-(2**63), 2**63 - 1)
        return st.integers(0, 2**64 - 1)
    if kind == Mapping[str, str]:
        return st.dictionaries(TEXT, TEXT, max_size=4)
    (nested, _) = get_args(kind)
    assert issubclass(nested, Payload), (name, kind)
    return st.lists(payload_of(nested), max_size=3).map(tuple)


def payload_of(payload_type: type[Payload]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(payload_type)
    return st.builds(
        payload_type,
        **{name: value_of(name, hints[name]) for name in payload_type.known_keys()},
    )


def message_of(payload_type: type[Payload]) -> str:
    return payload_type.type_name().rpartition('/')[2]


# --- every kind --------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', PAYLOADS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_kind_survives_the_round_trip(kind: str, data: st.DataObject) -> None:
    payload = data.draw(payload_of(PAYLOADS[kind]))
    decoded = decode(kind, encode(payload))
    assert decoded == payload
    assert type(decoded) is type(payload)
    assert decoded.extra == {}


@pytest.mark.parametrize('kind', PAYLOADS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_kind_is_encoded_as_rosbags_does(kind: str, data: st.DataObject) -> None:
    payload = data.draw(payload_of(PAYLOADS[kind]))
    store = typestore_of(own_definition(PAYLOADS[kind]).schema)

    def message(part: Payload) -> object:
        names = part.known_keys()
        return store.types[part.type_name()](**{n: field(getattr(part, n)) for n in names})

    def field(value: object) -> object:
        if isinstance(value, Mapping):
            pair: Any = store.types['fdr_recorder/msg/KeyValue']
            return [pair(key=key, value=text) for key, text in value.items()]
        return [message(part) for part in value] if isinstance(value, tuple) else value

    other = store.serialize_cdr(message(payload), payload.type_name())
    assert encode(payload) == bytes(other)


@pytest.mark.parametrize('kind', PAYLOADS)
def test_the_known_keys_are_the_fields_of_the_message_definition(kind: str) -> None:
    payload_type = PAYLOADS[kind]
    name = payload_type.type_name()
    text = (MSG / f'{message_of(payload_type)}.msg').read_text()
    defined = get_types_from_msg(text, name)[name][1]
    assert tuple(field_name for field_name, _ in defined) == KNOWN_PAYLOAD_KEYS[kind]


def test_every_message_definition_belongs_to_a_kind() -> None:
    used = set(map(message_of, PAYLOADS.values()))
    used |= {message_of(part) for kind in PAYLOADS.values() for part in kind.NESTED.values()}
    assert {path.stem for path in MSG.glob('*.msg')} == used | {'KeyValue'}


def test_the_producers_keys_are_those_of_their_definition() -> None:
    name = ProducerCounters.type_name()
    defined = get_types_from_msg((MSG / 'ProducerCounters.msg').read_text(), name)[name][1]
    assert ProducerCounters.known_keys() == tuple(field_name for field_name, _ in defined)


@pytest.mark.parametrize('kind', PAYLOADS)
def test_channels_are_named_after_the_kind(kind: str) -> None:
    assert PAYLOADS[kind].channel_topic() == f'/fdr/{kind}'
    assert kind == PAYLOADS[kind].KIND


def test_the_schema_version_is_semantic_and_not_before_the_first() -> None:
    assert tuple(map(int, RECORD_SCHEMA_VERSION.split('.'))) >= (1, 1, 0)


def test_payloads_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        FlightHeader(flight_id='a').flight_id = 'b'  # type: ignore[misc]


@given(payload_of(FlightFooter))
@settings(max_examples=50, deadline=None)
def test_the_size_of_a_footer_does_not_depend_on_its_numbers(footer: FlightFooter) -> None:
    zeroed = {
        item.name: 0
        for item in fields(footer)
        if isinstance(getattr(footer, item.name), int) and item.name != 'clean_shutdown'
    }
    other = FlightFooter(
        **{
            **{name: getattr(footer, name) for name in footer.known_keys()},
            **zeroed,
            'clean_shutdown': not footer.clean_shutdown,
        }
    )
    assert len(encode(other)) == len(encode(footer))


@pytest.mark.parametrize('kind', PAYLOADS)
def test_an_independent_type_system_reads_what_was_written(kind: str) -> None:
    """The schema in the file is all that a foreign tool has."""
    definition = own_definition(PAYLOADS[kind])
    schema = definition.schema
    store = Typestore()
    store.register(get_types_from_msg(schema.definition, schema.name))
    message = store.deserialize_cdr(encode(PAYLOADS[kind]()), schema.name)
    assert all(hasattr(message, key) for key in KNOWN_PAYLOAD_KEYS[kind])
    assert definition.type_hash == store.hash_rihs01(schema.name)
    assert definition.type_hash.startswith('RIHS01_')


# --- other versions ----------------------------------------------------------------------------


def write_as(schema: Schema, **values: object) -> bytes:
    """Encode a message of another version's definition."""
    store = Typestore()
    store.register(get_types_from_msg(schema.definition, schema.name))
    return bytes(store.serialize_cdr(store.types[schema.name](**values), schema.name))


def test_what_a_newer_version_added_is_in_extra() -> None:
    newer = Schema(
        'fdr_recorder/msg/Overrun',
        'string topic\nfloat64 severity\nstring publisher\nuint64 records\nuint64 bytes\n'
        'int64 first_drop_ns\nint64 last_drop_ns\nstring[] witnesses\n',
    )
    data = write_as(
        newer,
        topic='/imu',
        severity=0.5,
        publisher='ab',
        records=3,
        bytes=30,
        first_drop_ns=1,
        last_drop_ns=2,
        witnesses=['x', 'y'],
    )
    overrun = decode('overrun', data, newer)
    assert overrun == Overrun(
        topic='/imu', publisher='ab', records=3, bytes=30, first_drop_ns=1, last_drop_ns=2
    )
    assert overrun.extra == {'severity': 0.5, 'witnesses': ['x', 'y']}


def test_what_a_newer_version_added_to_a_nested_record_is_in_its_extra() -> None:
    newer = Schema(
        'fdr_recorder/msg/FlightFooter',
        'string flight_id\nProducerCounters[] producers\n'
        + '=' * 80
        + '\nMSG: fdr_recorder/ProducerCounters\nstring topic\nuint64 offered\nuint8 mood\n',
    )
    store = Typestore()
    store.register(get_types_from_msg(newer.definition, newer.name))
    producer = store.types['fdr_recorder/msg/ProducerCounters'](topic='/a', offered=2, mood=7)
    data = write_as(newer, flight_id='x', producers=[producer])
    footer = decode('flight_footer', data, newer)
    assert isinstance(footer, FlightFooter)
    assert footer.producers == (ProducerCounters(topic='/a', offered=2),)
    assert footer.producers[0].extra == {'mood': 7}
    assert footer.extra == {}


def test_what_an_older_version_did_not_know_has_its_default() -> None:
    """Schema 1.1.0: the footer ended with `clean_shutdown`."""
    older = Schema(
        'fdr_recorder/msg/FlightFooter',
        'string flight_id\nstring flight_ended_at_iso\nint64 flight_ended_at_monotonic_ns\n'
        'uint64 records_written\nuint64 records_dropped_overrun\nuint64 bytes_written\n'
        'uint64 rollover_count\nbool clean_shutdown\n',
    )
    data = write_as(
        older,
        flight_id='old',
        flight_ended_at_iso='2026-05-04T09:14:02Z',
        flight_ended_at_monotonic_ns=1,
        records_written=2,
        records_dropped_overrun=3,
        bytes_written=4,
        rollover_count=5,
        clean_shutdown=True,
    )
    assert decode('flight_footer', data, older) == FlightFooter(
        flight_id='old',
        flight_ended_at_iso='2026-05-04T09:14:02Z',
        flight_ended_at_monotonic_ns=1,
        records_written=2,
        records_dropped_overrun=3,
        bytes_written=4,
        rollover_count=5,
        clean_shutdown=True,
    )


def test_extra_does_not_make_records_differ() -> None:
    assert Overrun(topic='/a', extra={'new': 1}) == Overrun(topic='/a')


# --- bytes that are wrong ----------------------------------------------------------------------


@pytest.mark.parametrize('kind', PAYLOADS)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), prefix=st.sampled_from([b'', b'\x00\x01\x00\x00']))
def test_garbage_decodes_or_is_a_record_error(kind: str, data: bytes, prefix: bytes) -> None:
    try:
        payload = decode(kind, prefix + data)
    except RecordError:
        return
    assert isinstance(payload, PAYLOADS[kind])


FULL = (
    FlightHeader(flight_id='flight', manifest_content_hashes={'a.yaml': 'abc'}),
    FlightFooter(flight_id='flight', producers=(ProducerCounters(topic='/a'),)),
    Overrun(topic='/imu', publisher='0123'),
    WriteError(error_number=28, error_name='ENOSPC'),
    AlertRecord(code='overrun', message='full', values={'topic': '/imu', 'records': '3'}),
)


@pytest.mark.parametrize('payload', FULL, ids=lambda payload: payload.KIND)
def test_a_record_that_was_cut_short_is_a_record_error(payload: Payload) -> None:
    data = encode(payload)
    for length in range(len(data)):
        with pytest.raises(RecordError, match=payload.KIND):
            decode(payload.KIND, data[:length])


@pytest.mark.parametrize('payload', FULL, ids=lambda payload: payload.KIND)
def test_a_record_with_something_after_it_is_a_record_error(payload: Payload) -> None:
    with pytest.raises(RecordError):
        decode(payload.KIND, encode(payload) + bytes(8))


def test_an_unknown_kind_is_a_record_error_that_names_the_known_ones() -> None:
    with pytest.raises(RecordError, match=r"'telepathy'.*flight_header"):
        decode('telepathy', b'')


@pytest.mark.parametrize(
    'definition',
    ['', 'string', 'no_such_package/Type x\n', 'Missing x\n', '\0', 'string a string b', '}{'],
)
def test_an_unusable_definition_is_a_record_error(definition: str) -> None:
    data = b'\x00\x01\x00\x00' + bytes(8)
    try:
        payload = decode('overrun', data, Schema('fdr_recorder/msg/Overrun', definition))
    except RecordError as error:
        message = str(error)
    else:
        assert payload == Overrun()
        return
    assert 'verrun' in message


@pytest.mark.parametrize(
    'definition',
    [
        '# long\n' + 'string flight_id  #' + 'x' * 65536,
        'uint8 x\n' * 1001,
        'uint8 x\n' + 'MSG: a/B\nuint8 x\n' * 9,
        'uint8[1001] x\n',
        'uint8[30] x\na/B[ 40 ] y\n',
        'uint8[99999999999999999999] x\n',
    ],
)
def test_a_definition_larger_than_that_of_any_record_is_not_even_parsed(definition: str) -> None:
    with (
        mock.patch('fdr_recorder.types.typestore.typestore_of') as parse,
        pytest.raises(RecordError, match="'a/Big' is larger than that of any record"),
    ):
        decode('overrun', bytes(64), Schema('a/Big', definition))
    parse.assert_not_called()


@pytest.mark.parametrize('encoding', ['ros2idl', 'omgidl', ''])
def test_a_definition_is_that_of_a_msg_file_whatever_its_encoding_is_called(encoding: str) -> None:
    own = own_definition(Overrun).schema
    payload = Overrun(topic='/a')
    schema = Schema(own.name, own.definition, encoding)
    assert decode('overrun', encode(payload), schema) == payload


def test_an_unusable_definition_is_parsed_once() -> None:
    schema = Schema('fdr_recorder/msg/Overrun', 'this is no definition of a record, and never was')
    name = 'fdr_recorder.types.typestore.typestore_of'
    with mock.patch(name, side_effect=typestore_of) as parse:
        for _ in range(3):
            with pytest.raises(RecordError, match='cannot be used'):
                decode('overrun', bytes(64), schema)
    parse.assert_called_once_with(schema)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ['string', 'uint8', 'Overrun', 'a/B', '[]', '[3]', '<=4', ' ', 'x', 'X', '=', '1',
             '#', '\n', '\nMSG: a/B\n', '=' * 80, '-1', '"', "'", '\t', 'fdr_recorder/Overrun']
        ),
        max_size=12,
    ).map(''.join)
)  # fmt: skip
def test_a_garbled_definition_works_or_is_a_record_error(definition: str) -> None:
    try:
        decode('overrun', bytes(64), Schema('fdr_recorder/msg/Overrun', definition))
    except RecordError:
        pass
