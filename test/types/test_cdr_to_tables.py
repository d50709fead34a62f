# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Messages become columns: every field as `rosbags` reads it, whatever the bytes say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
import struct
import time
import tracemalloc
from typing import Any

from fdr_recorder import Schema
from fdr_recorder.errors import RecordError
from fdr_recorder.types.cdr_layout import MAX_FIELDS
from fdr_recorder.types.cdr_to_tables import TableDecoder
from fdr_recorder.types.columns import Column, Lists, Numbers, Structs, Texts
from fdr_recorder.types.definition import SEPARATOR
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from random_messages import random_message, same, values_by_rosbags

HEAD = b'\0\1\0\0'
NAME = 'x_msgs/msg/X'
MIXED = Schema(
    NAME,
    'bool a\nuint16 b\nstring c\nfloat64 d\nuint8[3] e\nT0[] f\nstring[] g\nT1[2] h\nT2 i\n'
    'float32[] j\nuint64 k\nT3[] l\nbyte[] m\nT2[] n\nwstring o\nint8 p\n'
    f'{SEPARATOR}\nMSG: x_msgs/T0\nfloat64 x\nuint8 y\n'
    f'{SEPARATOR}\nMSG: x_msgs/T1\nuint8 y\nint16[3] z\n'
    f'{SEPARATOR}\nMSG: x_msgs/T2\n'
    f'{SEPARATOR}\nMSG: x_msgs/T3\nT0[] x\nstring y\nT1[2] z\nuint8[] b\nfloat64[] c\n'
    'string[2] s\n',
)
PLAIN = Schema(NAME, 'uint8 a\nstring b\nT0[] c\nfloat64[] d\nstring[] e\nuint32 f\n'
               f'{SEPARATOR}\nMSG: x_msgs/T0\nuint8 x\nstring y\nuint16[] z\n')  # fmt: skip


def plain(column: Column) -> list[Any]:
    """Return the rows of a column as plain values."""
    if isinstance(column, Numbers):
        return column.values.tolist()
    if isinstance(column, Texts):
        parts = [column.data[a:b].tobytes() for a, b in pairwise(column.offsets.tolist())]
        return parts if column.is_binary else [part.decode() for part in parts]
    if isinstance(column, Lists):
        items = plain(column.items)
        return [items[a:b] for a, b in pairwise(column.offsets.tolist())]
    assert isinstance(column, Structs)
    fields = {name: plain(field) for name, field in column.fields.items()}
    return [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]


def decode(decoder: TableDecoder, messages: Sequence[bytes]) -> dict[int, dict[str, Any]]:
    """Return the fields of each message that could be decoded."""
    found = {}
    for rows, columns in decoder.decode(messages):
        values = {name: plain(column) for name, column in columns.items()}
        for place, row in enumerate(rows.tolist()):
            found[row] = {name: column[place] for name, column in values.items()}
    return found


@pytest.mark.parametrize('seed', range(5))
def test_messages_of_every_shape_and_byte_order(seed: int) -> None:
    random = Random(seed)
    messages = [
        random_message(MIXED, random, big_endian=number % 7 < 3) for number in range(40)
    ]
    decoder = TableDecoder(MIXED)
    found = decode(decoder, messages)
    assert decoder.refused == 0
    assert list(found) == list(range(40))
    for number, message in enumerate(messages):
        assert same(found[number], values_by_rosbags(MIXED, message)), number


@given(st.data())
def test_bytes_that_lie(data: st.DataObject) -> None:
    """What `rosbags` decodes has the same values here; nothing raises, and others stay whole."""
    random = Random(1)
    good = random_message(PLAIN, random)
    messages = []
    for _ in range(data.draw(st.integers(1, 6))):
        body = bytearray(random_message(PLAIN, random))
        for _ in range(data.draw(st.integers(0, 3))):
            place = data.draw(st.integers(0, len(body) - 1))
            body[place] = data.draw(st.sampled_from((0, 1, 2, 4, 0x7F, 0xFF)))
        end = data.draw(st.integers(0, len(body))) if data.draw(st.booleans()) else len(body)
        messages.append(bytes(body[:end]))
    messages.insert(data.draw(st.integers(0, len(messages))), good)
    decoder = TableDecoder(PLAIN)
    found = decode(decoder, messages)
    assert len(found) + decoder.refused == len(messages)
    assert bool(decoder.why) == bool(decoder.refused)
    for number, message in enumerate(messages):
        try:
            expected = values_by_rosbags(PLAIN, message)
        except Exception:  # it can raise anything
            assert message is not good
            continue
        assert same(found[number], expected)


def u32(*values: int) -> bytes:
    return struct.pack(f'<{len(values)}I', *values)


@pytest.mark.parametrize(
    ('definition', 'body', 'why'),
    [
        ('string a\n', u32(1 << 31), 'ends within a'),
        ('string a\n', u32(2) + b'ab', 'the text in a has no zero at its end'),
        ('uint8[] a\n', u32(0xFFFFFFFF), 'ends within a'),
        ('float64[] a\n', u32(0x20000001, 0), 'ends within a'),
        ('string[] a\n', u32(0xFFFFFFFF), 'ends within a'),
        ('string[] a\n', u32(2, 1, 0, 7), 'ends within a'),
        ('uint8[4000000000] a\n', b'x', 'ends within a'),
        ('float64[4000000000] a\n', b'x', 'ends within a'),
        ('uint32 a\n', u32(1, 2, 3), 'too long'),
        ('float64 a\n', b'', 'ends within a'),
        (f'T0[] a\n{SEPARATOR}\nMSG: x_msgs/T0\n', u32(0xFFFFFFFF), 'ends within a'),
        (f'T0[9] a\n{SEPARATOR}\nMSG: x_msgs/T0\nfloat64 x\n', u32(1), 'ends within a'),
        (f'T0[] a\n{SEPARATOR}\nMSG: x_msgs/T0\nT0[] x\n', u32(1), None),
        (f'T0[] a\n{SEPARATOR}\nMSG: x_msgs/T0\nstring x\nint8[] y\n', u32(1, 0, 9), 'ends'),
    ],
)
def test_a_message_that_lies_about_lengths(definition: str, body: bytes, why: str | None) -> None:
    schema = Schema(NAME, definition)
    if why is None:
        with pytest.raises(RecordError):
            TableDecoder(schema)
        return
    decoder = TableDecoder(schema)
    tracemalloc.start()
    assert decode(decoder, [HEAD + body] * 3) == {}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20
    assert decoder.refused == 3
    assert why in decoder.why


@pytest.mark.parametrize('message', [b'', b'\0', b'\0\1\0', b'\0\2\0\0xxxx', b'\7\1\0\0xxxx'])
def test_a_message_without_a_header_of_plain_cdr(message: bytes) -> None:
    decoder = TableDecoder(Schema(NAME, 'uint32 a\n'))
    whole = HEAD + u32(7)
    assert decode(decoder, [whole, message, whole]) == {0: {'a': 7}, 2: {'a': 7}}
    assert decoder.refused == 1
    assert 'header' in decoder.why


def test_a_text_that_is_no_utf_8_is_kept_as_far_as_it_goes() -> None:
    decoder = TableDecoder(Schema(NAME, 'string a\nstring b\n'))
    body = u32(3) + b'\xffx\0\0' + u32(0)
    assert decode(decoder, [HEAD + body]) == {0: {'a': '\ufffdx', 'b': ''}}


def of_types(*texts: str) -> Schema:
    parts = [f'{SEPARATOR}\nMSG: x_msgs/T{n}\n{text}' for n, text in enumerate(texts[1:])]
    return Schema(NAME, texts[0] + ''.join(parts))


@pytest.mark.parametrize(
    ('schema', 'why'),
    [
        (Schema(NAME, ''), 'no definition'),
        (Schema(NAME, '}{\n'), 'cannot be used'),
        (Schema(NAME, 'T0 a\n'), 'x_msgs/msg/T0 is not defined'),
        (of_types('T0 a\n', 'T0[] a\n'), 'nested more than'),
        (of_types('T0 a\n', *['T{0} a\nT{0} b\n'.format(n + 1) for n in range(28)], 'int8 a\n'),
         f'more than {MAX_FIELDS} fields'),
    ],
    ids=['none', 'broken', 'missing', 'recursive', 'exponential'],
)  # fmt: skip
def test_a_definition_that_cannot_be_used(schema: Schema, why: str) -> None:
    started = time.process_time()
    with pytest.raises(RecordError, match=why):
        TableDecoder(schema)
    assert time.process_time() - started < 2


def test_elements_of_a_fixed_size_at_every_alignment() -> None:
    """A structure that ends off its alignment has a stride that its size does not tell."""
    for before in range(9):
        first = f'uint8[{before}] a\n' if before else ''
        others = 'uint8 x\nfloat64 y\nint16[3] z\nT1[2] w\n', 'uint8 v\nuint32 u\n'
        schema = of_types(f'{first}T0[] b\nuint8 c\n', *others)
        random = Random(before)
        messages = [random_message(schema, random) for _ in range(20)]
        found = decode(TableDecoder(schema), messages)
        for number, message in enumerate(messages):
            assert same(found[number], values_by_rosbags(schema, message))


def test_a_million_values_take_a_moment() -> None:
    schema = Schema(NAME, 'string a\nfloat64[9] b\nfloat64 c\n')
    message = random_message(schema, Random(3))
    decoder = TableDecoder(schema)
    started = time.process_time()
    (decoded,) = decoder.decode([message] * 100_000)
    assert len(decoded.rows) == 100_000
    assert time.process_time() - started < 5  # `rosbags` takes some 10 us for each: 1 s
    values = decoded.columns['c']
    assert isinstance(values, Numbers)
    assert len(np.unique(values.values)) <= 1
