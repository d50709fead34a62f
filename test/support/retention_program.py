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
A process that records one flight for the campaign `retention`.

It says what it has pinned, and what its publishers have published, lost and never recorded.
"""

from __future__ import annotations

import json
from pathlib import Path
import random
import sys
import time
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from fdr_recorder import FdrConfig, FdrError, FlightHeader, FlightRoot, RingConfig  # noqa: E402
from fdr_recorder.capture.throttle import Pause, Throttle  # noqa: E402
from fdr_recorder.storage.pins import read_pins  # noqa: E402
from fdr_recorder.storage.record_flight import make_writer  # noqa: E402
from producers import make_client, numbered  # noqa: E402


def tell(**said: object) -> None:
    print(json.dumps(said), flush=True)


class Publisher:
    """
    A publisher with numbers, and what takes its messages as the node does.

    Some come before it is heard, some are lost on the way, and some are left out by a rate, which
    changes in flight; a rate of 0 is a pause.
    """

    MOST_LOST = 5

    def __init__(self, plan: dict[str, Any], rng: random.Random) -> None:
        self.plan = plan
        self.client = make_client(
            plan['topic'],
            publisher=plan['publisher'],
            latched=plan['latched'],
            ring=RingConfig(max_records=plan['ring']),
            loss_detection='sequence',
        )
        self.published = self.before_match = self.lost = 0
        self._rng = rng
        self._rates = [*plan['rates']]

    def limit(self, elapsed: float) -> None:
        """Set the rate that is due; have what is held back recorded that is due."""
        while self._rates and elapsed >= self._rates[0][0]:
            rate = self._rates.pop(0)[1]
            self.client.limit(None if rate is None else Throttle(rate) if rate else Pause())
        if self.client.throttle is not None:
            self.client.throttle.release(time.monotonic_ns())

    def publish(self, messages: int) -> None:
        """Publish some messages; of each, the ones before it may be lost."""
        client, rng = self.client, self._rng
        if not self.published and self.plan['before']:
            self.before_match = self.published = self.plan['before']
            client.count_before_match(1, self.before_match)
        for _ in range(messages):
            if rng.random() < self.plan['loss']:
                lost = rng.randint(1, self.MOST_LOST)
                client.count_transport_loss(self.published + 1, self.published + lost)
                self.published += lost
                self.lost += lost
            self.published += 1
            client.enqueue(
                numbered(self.published, rng.choice((100, 1000))),
                publish_time_ns=time.time_ns() if self.plan['tells_time'] else None,
                sequence=self.published,
            )

    def most(self, messages: int) -> int:
        """Return how many it has published at most, once it has published so many more."""
        before = 0 if self.published else self.plan['before']
        return int(self.published + before + messages * (1 + self.MOST_LOST))

    def end(self) -> None:
        """Have what is held back recorded, as at the end of a flight."""
        if self.client.throttle is not None:
            self.client.throttle.release_all()


def main() -> None:
    root, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    rng = random.Random(plan['seed'])
    config = FdrConfig.from_options(
        {f'writer.{name}': value for name, value in plan['options'].items()}
    )
    publishers = {item['topic']: Publisher(item, rng) for item in plan['publishers']}
    with FlightRoot.acquire(root) as owned:
        writer = make_writer(config, owned)
        writer.start()
        for publisher in publishers.values():
            writer.register(publisher.client)
        try:
            writer.open_flight(FlightHeader(flight_id=plan['name']))
        except FdrError as error:
            tell(refused=str(error))
            writer.stop()
            return
        tell(began=True)
        begun = time.monotonic()
        pins = sorted(rng.uniform(0.0, plan['seconds']) for _ in range(plan['pins']))
        said = []
        while (elapsed := time.monotonic() - begun) < plan['seconds']:
            batch = {topic: rng.randint(1, 20) for topic in publishers}
            tell(most={topic: publishers[topic].most(count) for topic, count in batch.items()})
            for topic, count in batch.items():
                publishers[topic].limit(elapsed)
                publishers[topic].publish(count)
            if pins and elapsed >= pins[0]:
                pins.pop(0)
                times = {'before_s': rng.uniform(0, 0.2), 'after_s': rng.uniform(0, 0.2)}
                writer.pin(f'pin {len(pins)}', **times)
            told = [(item.from_ns, item.to_ns) for item in read_pins(root / plan['name']).windows]
            if told != said:
                tell(pinned=told)
                said = told
            time.sleep(0.01)
        for publisher in publishers.values():
            publisher.end()
        took_s = time.monotonic() - begun
        summary = writer.close_flight(plan['name'])
        writer.stop()
        if summary.is_complete:
            for topic, publisher in publishers.items():
                tell(
                    closed=topic,
                    took_s=took_s,
                    published=publisher.published,
                    lost_transport=publisher.lost,
                    before_match=publisher.before_match,
                )


main()
