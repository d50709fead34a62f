# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A process that records one flight for the campaign `retention`, and says what it has pinned."""

from __future__ import annotations

import json
from pathlib import Path
import random
import sys
import time

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from fdr_recorder import FdrConfig, FdrError, FlightHeader, FlightRoot  # noqa: E402
from fdr_recorder.storage.pins import read_pins  # noqa: E402
from fdr_recorder.storage.record_flight import make_writer  # noqa: E402
from producers import make_client, numbered  # noqa: E402


def tell(**said: object) -> None:
    print(json.dumps(said), flush=True)


def main() -> None:
    root, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    rng = random.Random(plan['seed'])
    config = FdrConfig.from_options(
        {f'writer.{name}': value for name, value in plan['options'].items()}
    )
    with FlightRoot.acquire(root) as owned:
        writer = make_writer(config, owned)
        writer.start()
        client = make_client(publisher='0' * 32)
        writer.register(client)
        try:
            writer.open_flight(FlightHeader(flight_id=plan['name']))
        except FdrError as error:
            tell(refused=str(error))
            writer.stop()
            return
        tell(began=True)
        begun = time.monotonic()
        pins = sorted(rng.uniform(0.0, plan['seconds']) for _ in range(plan['pins']))
        sent, said = 0, []
        while (elapsed := time.monotonic() - begun) < plan['seconds']:
            for _ in range(rng.randint(1, 20)):
                client.enqueue(numbered(sent, rng.choice((100, 1000))))
                sent += 1
            if pins and elapsed >= pins[0]:
                pins.pop(0)
                times = {'before_s': rng.uniform(0, 0.2), 'after_s': rng.uniform(0, 0.2)}
                writer.pin(f'pin {len(pins)}', **times)
            told = [(item.from_ns, item.to_ns) for item in read_pins(root / plan['name']).windows]
            if told != said:
                tell(pinned=told)
                said = told
            time.sleep(0.01)
        summary = writer.close_flight(plan['name'])
        writer.stop()
        if summary.is_complete:
            tell(offered=sent)


main()
