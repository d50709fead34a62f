# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The rules for a chain of seals, each without a file: what may be missing, and what may not."""

from __future__ import annotations

from fdr_recorder.flights.verify.chain import Chain, check_chain
from fdr_recorder.flights.verify.seal_reading import FoundSeal, SegmentSeals

OPENING = 'opening'


class Flight:
    """Segments of a flight, each with a key of its own, and its seals."""

    def __init__(self) -> None:
        self.segments: dict[int, SegmentSeals] = {}
        self.entries: list[FoundSeal] = []
        self._previous = OPENING
        self._announced = 'k'
        self._keys: dict[int, tuple[str, str]] = {}

    def seal(
        self,
        segment: int,
        number: int,
        kind: str = 'sync',
        *,
        durable: int = -1,
        void: tuple[int, int] = (-1, -1),
        segments_dropped: int = 0,
        previous: str = '',
        holds: bool = True,
    ) -> None:
        """Add a seal, which holds; `end` completes the segment, and its entry is in SEALS."""
        name = f'segment_{segment:06}.mcap'
        there = self.segments.setdefault(segment, SegmentSeals(segment, name, 0))
        if segment not in self._keys:
            self._keys[segment] = self._announced, f'k{segment}'
            self._announced = f'k{segment}'
        key, next_key = self._keys[segment]
        offset = there.size + 100
        found = FoundSeal(
            segment,
            is_in_file=True,
            offset=offset,
            end=offset + 10,
            holds=holds,
            number=number,
            kind=kind,
            text_hash=f's{number}',
            previous=previous or self._previous,
            durable=durable,
            void=void,
            segments_dropped=segments_dropped,
            signer=key,
            next_key=next_key,
        )
        self._previous = found.text_hash
        there.seals.append(found)
        there.size = found.end
        if kind == 'end':
            there.is_ended = True
            self.entries.append(found._replace(is_in_file=False))

    def check(self, **said: object) -> Chain:
        options = {'is_closed': True, **said}
        return check_chain(
            [self.segments[index] for index in sorted(self.segments)],
            self.entries,
            opening_hash=OPENING,
            first_key='k',
            **options,  # type: ignore[arg-type]
        )


def faults(chain: Chain) -> list[str]:
    return [str(place) for place in chain.faults]


def two_segments() -> Flight:
    flight = Flight()
    flight.seal(0, 0)
    flight.seal(0, 1, 'end')
    flight.seal(1, 2)
    flight.seal(1, 3, 'end')
    return flight


def test_a_whole_chain() -> None:
    chain = two_segments().check()
    assert faults(chain) == []
    assert chain.uncovered == []
    assert chain.newest is not None
    assert chain.newest.number == 3


def test_numbers_of_segments_may_be_skipped() -> None:
    flight = Flight()
    flight.seal(0, 0, 'end')
    flight.seal(5, 1, 'end')
    assert faults(flight.check()) == []


def test_a_segment_that_could_be_ended_only_late() -> None:
    flight = Flight()
    flight.seal(0, 0)
    flight.seal(1, 1)
    flight.seal(0, 2, 'end')
    flight.seal(1, 3, 'end')
    assert faults(flight.check()) == []


def test_seals_that_a_failed_sync_has_lost() -> None:
    flight = Flight()
    flight.seal(0, 0)
    flight.seal(0, 3, 'end', void=(1, 2), previous='s2')
    assert faults(flight.check()) == []
    flight = Flight()
    flight.seal(0, 0)
    flight.seal(0, 4, 'end', void=(1, 2), previous='s3')
    assert faults(flight.check()) == ['segment_000000.mcap: bytes 110 to 219: seal 3 is missing']


def test_void_numbers_do_not_cover_later_ones() -> None:
    flight = Flight()
    flight.seal(0, 0, void=(5, 9))
    flight.seal(0, 6, 'end', previous='s5')
    assert faults(flight.check()) == [
        'segment_000000.mcap: bytes 110 to 219: seals 1 to 5 are missing'
    ]


def test_a_segment_that_was_dropped() -> None:
    flight = two_segments()
    flight.seal(2, 4, 'end', segments_dropped=1)
    del flight.segments[0]
    assert faults(flight.check()) == []
    del flight.segments[1]
    assert faults(flight.check()) == [
        'segment_000001.mcap: is missing, and no seal says that it was dropped'
    ]
    assert faults(flight.check(removed=[(1, 1, 1)])) == []
    assert faults(flight.check(left_out={1})) == []


def test_without_its_last_seal_a_segment_cannot_have_been_dropped() -> None:
    flight = two_segments()
    flight.seal(2, 4, 'end', segments_dropped=2)
    del flight.segments[0], flight.entries[0]
    assert faults(flight.check())


def test_a_seal_of_another_key() -> None:
    flight = two_segments()
    bad = flight.segments[1].seals[0]._replace(signer='thief')
    flight.segments[1].seals[0] = bad
    assert 'its seal 2 is by another key than the one announced' in faults(flight.check())[0]


def test_a_seal_that_does_not_name_the_one_before() -> None:
    flight = two_segments()
    flight.segments[1].seals[0] = flight.segments[1].seals[0]._replace(previous='other')
    assert 'does not name seal 1' in faults(flight.check())[0]
    flight = two_segments()
    flight.segments[0].seals[0] = flight.segments[0].seals[0]._replace(previous='other')
    assert 'does not name the opening of the flight' in faults(flight.check())[0]


def test_two_seals_of_one_number() -> None:
    flight = two_segments()
    flight.seal(1, 2)
    assert any('there are two seals 2' in text for text in faults(flight.check())) is False
    flight.segments[1].seals[-1] = flight.segments[1].seals[-1]._replace(text_hash='other')
    assert any('there are two seals 2' in text for text in faults(flight.check()))


def test_a_power_cut_may_take_only_what_was_not_durable() -> None:
    flight = Flight()
    flight.seal(0, 0)
    flight.seal(0, 1, durable=0)
    flight.seal(0, 2, durable=0, holds=False)
    flight.segments[0].unreadable = [(230, 240)]
    chain = flight.check(is_closed=False)
    assert faults(chain) == []
    assert [(place.start, place.end) for place in chain.uncovered] == [(220, 330)]
    flight.seal(0, 3, durable=2, holds=False)
    assert faults(flight.check(is_closed=False)) == [
        'segment_000000.mcap: bytes 220 to 319: changed after it was sealed'
    ]


def test_what_can_be_read_is_no_power_cut() -> None:
    flight = Flight()
    flight.seal(0, 0)
    flight.seal(0, 1, durable=-1, holds=False)
    assert faults(flight.check(is_closed=False)) == [
        'segment_000000.mcap: bytes 110 to 209: changed after it was sealed'
    ]


def test_a_flight_that_was_closed_ends_with_its_last_seal() -> None:
    flight = two_segments()
    flight.segments[1].seals.pop()
    flight.entries.pop()
    assert faults(flight.check()) == [
        'segment_000001.mcap: bytes 110 to 219: the seals behind it are missing'
    ]
    assert faults(flight.check(is_closed=False)) == []


def test_a_segment_without_seals() -> None:
    flight = two_segments()
    flight.segments[2] = SegmentSeals(2, 'segment_000002.mcap', 50)
    assert 'no seal of this flight stands for it' in faults(flight.check())[0]
    chain = flight.check(is_closed=False)  # killed before the first sync
    assert faults(chain) == []
    assert [place.file for place in chain.uncovered] == ['segment_000002.mcap']
    flight.segments[2].is_ended = True  # by a recovery, maybe one that came no further
    assert faults(flight.check(is_closed=False)) == []


def test_numbers_as_large_as_they_get() -> None:
    flight = Flight()
    flight.seal(0, 0, 'end')
    flight.seal(1, 10**19, void=(1, 10**19 - 1), previous='?')
    flight.seal(1, 10**19 + 1, 'end', durable=10**19)
    assert faults(flight.check()) == []
    flight.seal(1, 3 * 10**19)
    assert faults(flight.check())
