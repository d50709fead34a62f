# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The fleet's side of a store: what `fdr fleet receive` does, in this process."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from fdr_recorder.fleet.catalogue.query import Catalogue
from fdr_recorder.fleet.jobs.task import Outcome, Task
from fdr_recorder.fleet.jobs.work import do
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.receipt import read_receipt, Receipt
from fdr_recorder.fleet.receiving import receiver
from fdr_recorder.fleet.receiving.planning import Wish
from fdr_recorder.fleet.receiving.receiver import Options, Pass, Receiver
from fdr_recorder.fleet.store import Store
from fdr_recorder.seal.identity import load_identity
import pytest


class InlineWorkers:
    """Does tasks at once, where they are asked for."""

    deaths: tuple[type[BaseException], ...] = ()

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def submit(self, task: Task) -> Future[Outcome]:
        """Do a task."""
        future: Future[Outcome] = Future()
        future.set_result(do(task))
        return future

    def release(self, future: Future[Outcome]) -> None:
        """Do nothing."""

    def __enter__(self) -> InlineWorkers:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


class Side:
    """The fleet's side of a store in a directory."""

    def __init__(self, directory: Path) -> None:
        self.store = Store.open(str(directory))

    def receive(self, *, key: Path | None = None, keys: Path | None = None, **wish: Any) -> Pass:
        """Look at the store once."""
        identity = load_identity(key) if key is not None else None
        options = Options(
            url=self.store.url,
            wish=Wish(signed=key is not None, **wish),
            keys=str(keys or ''),
        )
        return Receiver(self.store, options, identity).receive()

    def receipt(self, key: FlightKey) -> Receipt:
        """Return a receipt, which is there."""
        found = read_receipt(self.store, key)
        assert found is not None
        return found

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """Ask the catalogue."""
        with Catalogue.of(self.store, question) as catalogue:
            return catalogue.ask(question).rows()

    def flights(self, *columns: str) -> list[tuple[Any, ...]]:
        """Return some columns of all flights, in the order of their keys."""
        return self.ask(f'SELECT {", ".join(columns)} FROM flights ORDER BY vehicle, flight')


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Side:
    """Return the fleet's side of an empty store."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(receiver, 'LocalWorkers', InlineWorkers)
    return Side(tmp_path / 'store')


def verdicts(received: Iterable[Receipt]) -> dict[str, str]:
    """Return the verdicts by flight."""
    return {receipt.key.flight: receipt.verdict for receipt in received}
