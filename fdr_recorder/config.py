"""The configuration of the recorder: every option, its default, meaning and range, in one place.

The option's dotted name (`writer.segment_size_bytes`) is at once the name of the ROS parameter.
All checks happen here: a value that passed a constructor is valid, and `ConfigInvalidError` names
every mistake at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple, TypeVar, cast

from fdr_recorder.errors import ConfigInvalidError

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

FLIGHT_ID_PATTERN = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,63}')
"""What a flight id may be; match with `fullmatch`, since `$` would let a newline through."""

MIN_SEGMENT_SIZE_BYTES = 16 * KIB
"""Below this a segment is little but its own header, schemas and summary."""

_Config = TypeVar('_Config')


class Option(NamedTuple):
    """What is said about one option, for checks, ROS parameter descriptors and documents."""

    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def _option(
    default: object,
    description: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field of a configuration dataclass together with its `Option`."""
    return field(
        default=default, metadata={'option': Option(description, minimum, maximum, choices)}
    )


@dataclass(frozen=True)
class FdrWriterConfig:
    """Options of the writer thread and of what it puts on disk.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    segment_size_bytes: int = _option(
        64 * MIB,
        'A segment is closed, and the next one begun, before it would grow beyond this size; '
        'only a single record larger than this makes a larger segment. Bytes.',
        MIN_SEGMENT_SIZE_BYTES,
        1024 * GIB,
    )
    segment_duration_s: float = _option(
        0.0,
        'A segment is also closed when it has been open for this long; 0 for by size alone. '
        'Seconds.',
        0.0,
        86_400.0,
    )
    flight_cap_bytes: int = _option(
        64 * GIB,
        'When the segments of the flight together exceed this size, the oldest closed ones are '
        'dropped, each leaving a record of what it was. Bytes.',
        1,
        2**63 - 1,
    )
    batch_size: int = _option(
        512,
        'Most records taken from one ring before the next ring has its turn.',
        1,
        1_000_000,
    )
    chunk_size_bytes: int = _option(
        MIB,
        'A chunk (the unit of writing, of the CRC and of compression) is written when it holds '
        'this much. Bytes.',
        KIB,
        GIB,
    )
    flush_interval_s: float = _option(
        0.25,
        'A chunk is written at the latest when its oldest record is this old: the most that a '
        'crash of the process can cost. Seconds.',
        0.01,
        60.0,
    )
    sync_interval_s: float = _option(
        1.0,
        'Written data are forced to the disk this often: the most that a power cut can cost. '
        'Seconds.',
        0.01,
        3600.0,
    )
    compression: str = _option(
        'none', 'Compression of chunks.', choices=('none', 'lz4', 'zstd')
    )
    min_free_bytes: int = _option(
        512 * MIB,
        'Below this much free space the disk counts as full, so that the rest of the vehicle '
        'keeps its logs; 0 to use it to the last byte. Bytes.',
        0,
        2**63 - 1,
    )
    on_low_space: str = _option(
        'degrade',
        'What to do below min_free_bytes: degrade (stop writing until there is space again) or '
        'drop_oldest (drop the oldest closed segments of this flight, as the cap does).',
        choices=('degrade', 'drop_oldest'),
    )
    reserve_bytes: int = _option(
        4 * MIB,
        'Emergency space kept allocated in the flight root and given up when the disk is full, '
        'so that the open segment can still be sealed; 0 for none. Bytes.',
        0,
        GIB,
    )
    debug_log_per_record: bool = _option(
        False, 'Log every record at DEBUG level. Costs nothing when off, very much when on.'
    )

    def __post_init__(self) -> None:
        """Check every value."""
        _raise_if(_mistakes(self, 'writer.'))


@dataclass(frozen=True)
class RingConfig:
    """Bounds of the rings between producers and the writer.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    max_records: int = _option(
        65_536, 'Most records that one ring holds.', 1, 16_777_216
    )
    max_bytes: int = _option(
        64 * MIB,
        'Most memory that the records of one ring take, their book-keeping included. Bytes.',
        KIB,
        64 * GIB,
    )
    total_bytes: int = _option(
        256 * MIB,
        'Most memory that the records of all rings take together. Bytes.',
        KIB,
        256 * GIB,
    )

    def __post_init__(self) -> None:
        """Check every value."""
        _raise_if(_mistakes(self, 'ring.'))


@dataclass(frozen=True)
class FdrConfig:
    """The whole configuration of a recorder.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    flight_root: str = _option(
        '~/fdr_flights',
        'Directory that holds all flights of this vehicle. It must exist. `~` is the home '
        'directory.',
    )
    flight_id: str = _option(
        '',
        'Name of the flight, and of its directory below the flight root; empty for a new one '
        'with every flight (flight_<UTC time>_<4 hex>).',
    )
    vehicle_id: str = _option('', 'Which vehicle this is; stored in the header of every flight.')
    topics: tuple[str, ...] = _option((), 'Topics to record, by name. `/fdr/...` is reserved.')
    exclude: tuple[str, ...] = _option((), 'Topics not to record, even if `topics` names them.')
    required: tuple[str, ...] = _option(
        (), 'Topics that must have a publisher; without one, diagnostics show a warning.'
    )
    intake_depth: int = _option(
        4000,
        'Messages of each topic that the middleware keeps while the intake is busy elsewhere '
        '(the depth of its subscriptions). More of them bridge longer bursts; large messages '
        'take memory beyond ring.total_bytes.',
        1,
        100_000,
    )
    diagnostics_topic: str = _option(
        '/diagnostics', 'Topic for alerts and the summary (diagnostic_msgs/DiagnosticArray).'
    )
    manifest_files: tuple[str, ...] = _option(
        (),
        'Files whose SHA-256 is stored in the header of every flight: parameters, firmware, '
        'calibration.',
    )
    writer: FdrWriterConfig = field(default_factory=FdrWriterConfig)
    ring: RingConfig = field(default_factory=RingConfig)

    def __post_init__(self) -> None:
        """Check every value."""
        _raise_if(_mistakes(self, ''))

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> FdrConfig:
        """Build a configuration from values by dotted option name; what is absent is default.

        Args:
            options: For example `{'flight_root': '/data', 'writer.batch_size': 64}`. Lists count
                as tuples; empty strings in lists are left out, because a ROS parameter file
                cannot spell an empty list.

        Raises:
            ConfigInvalidError: Names every unknown option and every wrong value.

        """
        mistakes = [
            f'{name}: there is no such option' for name in options if name not in OPTIONS
        ]
        writer = _build(FdrWriterConfig, 'writer.', options, mistakes)
        ring = _build(RingConfig, 'ring.', options, mistakes)
        config = _build(cls, '', options, mistakes, writer=writer, ring=ring)
        _raise_if(mistakes)
        return cast('FdrConfig', config)

    def to_options(self) -> dict[str, bool | int | float | str | list[str]]:
        """Return every value by dotted option name; `from_options` takes it back."""
        result: dict[str, bool | int | float | str | list[str]] = {}
        for prefix, part in (('', self), ('writer.', self.writer), ('ring.', self.ring)):
            for item in fields(part):
                value = getattr(part, item.name)
                if not is_dataclass(value):
                    result[prefix + item.name] = (
                        list(value) if isinstance(value, tuple) else value
                    )
        return result


def _build(
    cls: type[_Config],
    prefix: str,
    options: Mapping[str, object],
    mistakes: list[str],
    **nested: object,
) -> _Config | None:
    """Construct `cls` from the options below `prefix`; note what is wrong instead of raising."""
    values: dict[str, Any] = dict(nested)
    for item in fields(cls):  # type: ignore[arg-type]
        name = prefix + item.name
        if item.name not in nested and name in options:
            value = options[name]
            if isinstance(value, (list, tuple)):
                value = tuple(part for part in value if part != '')
            values[item.name] = value
    try:
        return cls(**values)
    except ConfigInvalidError as error:
        mistakes.extend(error.mistakes)
        return None


def _mistakes(config: object, prefix: str) -> list[str]:
    """Name everything that is wrong with the values of one configuration object."""
    result = []
    for item in fields(config):  # type: ignore[arg-type]
        option: Option | None = item.metadata.get('option')
        if option is None:
            continue
        value = getattr(config, item.name)
        wrong = _mistake(value, item.default, option) or _SPECIAL.get(
            prefix + item.name, _nothing
        )(value)
        if wrong:
            result.append(f'{prefix}{item.name}: {wrong}')
    return result


def _mistake(value: object, default: object, option: Option) -> str:
    """Say what is wrong with a value's type or range; nothing if all is well."""
    if isinstance(default, tuple):
        if not isinstance(value, tuple) or not all(isinstance(part, str) for part in value):
            return f'must be a list of strings, not {value!r}'
        return ''
    if isinstance(default, float):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or (isinstance(value, float) and not math.isfinite(value)):
            return f'must be a number, not {value!r}'
    elif type(value) is not type(default):
        kind = {bool: 'true or false', int: 'a whole number', str: 'a string'}[type(default)]
        return f'must be {kind}, not {value!r}'
    if option.choices and value not in option.choices:
        return f'must be one of {", ".join(option.choices)}, not {value!r}'
    if option.minimum is not None and cast('float', value) < option.minimum:
        return f'must be at least {option.minimum}, not {value!r}'
    if option.maximum is not None and cast('float', value) > option.maximum:
        return f'must be at most {option.maximum}, not {value!r}'
    return ''


_TOPIC_PATTERN = re.compile(r'/?[A-Za-z_~][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')


def _topic_names(names: tuple[str, ...]) -> str:
    wrong = [name for name in names if not _TOPIC_PATTERN.fullmatch(name)]
    return f'{", ".join(map(repr, wrong))}: not a topic name' if wrong else ''


def _topics(names: tuple[str, ...]) -> str:
    own = [name for name in names if name == '/fdr' or name.startswith('/fdr/')]
    if own:
        return f'{", ".join(own)}: /fdr/... is kept for the records of the recorder itself'
    return _topic_names(names)


def _flight_id(flight_id: str) -> str:
    if flight_id and not FLIGHT_ID_PATTERN.fullmatch(flight_id):
        return (
            f'{flight_id[:80]!r}: use 1 to 64 of the characters A-Z a-z 0-9 . _ -, '
            'the first a letter or a digit'
        )
    return ''


def _flight_root(flight_root: str) -> str:
    return '' if flight_root and '\0' not in flight_root else 'must name a directory'


def _nothing(_value: object) -> str:
    return ''


_SPECIAL: dict[str, Any] = {
    'flight_root': _flight_root,
    'flight_id': _flight_id,
    'topics': _topics,
    'exclude': _topic_names,
    'required': _topic_names,
    'diagnostics_topic': lambda name: _topic_names((name,)),
}
"""Checks beyond type and range, by option."""


def _raise_if(mistakes: list[str]) -> None:
    if mistakes:
        raise ConfigInvalidError(mistakes)


def _options_of(cls: type[object], prefix: str) -> dict[str, tuple[object, Option]]:
    return {
        prefix + item.name: (item.default, item.metadata['option'])
        for item in fields(cls)  # type: ignore[arg-type]
        if 'option' in item.metadata
    }


OPTIONS: Mapping[str, tuple[object, Option]] = {
    **_options_of(FdrConfig, ''),
    **_options_of(FdrWriterConfig, 'writer.'),
    **_options_of(RingConfig, 'ring.'),
}
"""Every option: its default and what is said about it, by dotted name."""
