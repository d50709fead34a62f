"""Reads a flight: its segments in order, its header and footer, the recorder's own records."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Final

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.segment_reader import Message, SegmentReader
from fdr_recorder.record.kinds import (
    OWN_TOPIC_PREFIX,
    PAYLOADS,
    FlightFooter,
    FlightHeader,
    Payload,
)
from fdr_recorder.record.schema import decode

SEGMENT_PATTERN: Final = re.compile(r'segment_([0-9]{6}|[1-9][0-9]{6,8})\.mcap')
"""One name for each number, and no number that cannot be."""

_FIXED_ARRAY: Final = re.compile(r'\[\s*([0-9]+)\s*\]')
_MAX_DEFINITION_CHARACTERS: Final = 64 * 1024
_MAX_DEFINITION_LINES: Final = 1000
_MAX_DEFINITION_TYPES: Final = 8
_MAX_UNROLLED: Final = 1000


@dataclass(frozen=True)
class SegmentFile:
    """A segment's file in a flight's directory."""

    index: int
    path: Path


def segment_files(flight: Path | str) -> list[SegmentFile]:
    """List the segments that are in a flight's directory, by number; links are left out.

    Raises:
        OSError: The directory cannot be read.

    """
    found = []
    for path in Path(flight).iterdir():
        match = SEGMENT_PATTERN.fullmatch(path.name)
        if match and path.is_file() and not path.is_symlink():
            found.append(SegmentFile(int(match[1]), path))
    return sorted(found, key=lambda segment: segment.index)


def own_record(message: Message) -> Payload | None:
    """Decode a record of the recorder itself; None for a topic's message, or an unknown kind.

    Raises:
        RecordError: It cannot be decoded.

    """
    kind = message.channel.topic.removeprefix(OWN_TOPIC_PREFIX)
    if kind == message.channel.topic or kind not in PAYLOADS:
        return None
    schema = message.channel.schema
    if not _is_harmless(schema.definition):
        msg = f'the definition of {schema.name[:80]!r} is larger than that of any record'
        raise RecordError(msg)
    try:
        payload = decode(kind, message.data, schema)
    except RecordError:
        raise
    except Exception as error:  # whatever the definition in the file leads it to
        msg = f'the definition of {schema.name[:80]!r} cannot be used: {error!r:.200}'
        raise RecordError(msg) from error
    if not _is_sound(payload):
        msg = f'a {kind} record has fields of other types than it should'
        raise RecordError(msg)
    return payload


@lru_cache(maxsize=64)
def _is_harmless(definition: str) -> bool:
    """Tell whether a definition is of a size that decoding by it takes little time and memory.

    The decoder is generated from the definition, with fixed arrays unrolled.
    """
    return (
        len(definition) <= _MAX_DEFINITION_CHARACTERS
        and definition.count('\n') <= _MAX_DEFINITION_LINES
        and definition.count('MSG:') <= _MAX_DEFINITION_TYPES
        and math.prod(int(size.lstrip('0')[:9] or 1) for size in _FIXED_ARRAY.findall(definition))
        <= _MAX_UNROLLED
    )


def _is_sound(payload: Payload) -> bool:
    """Tell whether every field has the type that it should have, whatever the file's schema."""
    for item in fields(payload):
        value = getattr(payload, item.name)
        if item.name == 'extra':
            continue
        if item.default_factory is not MISSING:  # a map of texts
            if not all(isinstance(text, str) for pair in value.items() for text in pair):
                return False
        elif isinstance(item.default, tuple):
            nested = payload.NESTED[item.name]
            if not all(isinstance(part, nested) and _is_sound(part) for part in value):
                return False
        elif type(value) is not type(item.default):
            return False
    return True


@dataclass
class FlightReader:
    """The records of a flight, clean or not, in file order. Needs no `metadata.yaml`.

    Attributes:
        path: The flight's directory.
        damage: What was wrong with segments, once `messages` has come to an end.
        header: The flight's header, once it was read.
        footer: The flight's footer, once it was read; a flight without one is unclean.

    """

    path: Path
    damage: list[SegmentError | RecordError] = field(default_factory=list)
    header: FlightHeader | None = None
    footer: FlightFooter | None = None

    def messages(self) -> Iterator[Message]:
        """Yield every message of every segment that lies in a whole chunk.

        Raises:
            OSError: A file cannot be read.

        """
        for segment in segment_files(self.path):
            with SegmentReader(segment.path) as reader:
                for message in reader.messages():
                    if message.channel.topic.startswith(OWN_TOPIC_PREFIX):
                        self._note(message)
                    yield message
                if reader.damage is not None:
                    self.damage.append(reader.damage)

    def own_records(self) -> Iterator[Payload]:
        """Yield the records of the recorder itself, decoded."""
        for message in self.messages():
            try:
                payload = own_record(message)
            except RecordError:
                continue  # noted by `messages`
            if payload is not None:
                yield payload

    def _note(self, message: Message) -> None:
        try:
            payload = own_record(message)
        except RecordError as error:
            self.damage.append(error)
            return
        if isinstance(payload, FlightHeader):
            self.header = self.header or payload
        elif isinstance(payload, FlightFooter):
            self.footer = payload
