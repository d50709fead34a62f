# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Losses before the disk: counted in the accounts, recorded, and raised as alerts."""

from __future__ import annotations

from fdr_recorder import Alert, AlertBoard, Channel, FdrClient, RingConfig
from fdr_recorder.capture.ring import RingBudget
from fdr_recorder.record.kinds import Overrun, TransportLoss
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage.counters import Ledger
from fdr_recorder.storage.losses import ALERT_HOLD_S, LossReports, REPORT_INTERVAL_S
from producers import BLOB, make_client
import pytest


class Scene:
    """A producer whose ring holds one record, and its loss reports."""

    def __init__(self) -> None:
        self.alerts = AlertBoard()
        self.told: list[Alert] = []
        self.alerts.listen(self.told.append)
        self.records: list[Payload] = []
        self.client = make_client('/imu', '0a', ring=RingConfig(max_records=1))
        self.client.ring.is_open = True
        ledger = Ledger()
        ledger.own_account(Overrun)  # has no client
        self.account = ledger.open_account(self.client)
        self.reports = LossReports(ledger, self.alerts, self.records.append)

    def refuse(self, *sizes: int) -> None:
        """Fill the ring, if it is not full, and have it refuse records of these sizes."""
        if not len(self.client.ring):
            self.client.enqueue(b'')
        for size in sizes:
            assert not self.client.enqueue(bytes(size))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_without_a_loss_nothing_is_reported(scene: Scene) -> None:
    scene.client.enqueue(b'')
    scene.reports.report(10.0)
    assert (scene.records, scene.told) == ([], [])


def test_refusals_are_counted_and_become_one_record_and_an_alert(scene: Scene) -> None:
    scene.refuse(10, 20)
    scene.reports.report(10.0)
    assert scene.account.dropped_overrun == 2
    (record,) = scene.records
    assert isinstance(record, Overrun)
    assert (record.topic, record.publisher) == ('/imu', '0a')
    assert (record.records, record.bytes) == (2, 30)
    assert 0 < record.first_drop_ns <= record.last_drop_ns
    (alert,) = scene.alerts.present()
    assert alert.code == 'overrun'
    assert alert.values == {'topic': '/imu', 'publisher': '0a', 'records': '2'}


def test_transport_losses_are_counted_and_become_one_record_and_an_alert(scene: Scene) -> None:
    scene.client.count_transport_loss(5, 7)
    scene.client.count_transport_loss(9, 9)
    scene.reports.report(10.0)
    assert scene.account.lost_transport == 4
    (record,) = scene.records
    assert isinstance(record, TransportLoss)
    assert (record.topic, record.publisher, record.records) == ('/imu', '0a', 4)
    assert (record.first_sequence, record.last_sequence) == (5, 9)
    assert 0 < record.first_seen_ns <= record.last_seen_ns
    assert [alert.code for alert in scene.alerts.present()] == ['transport_loss']


def test_what_was_sent_before_it_was_heard_is_told_likewise(scene: Scene) -> None:
    scene.client.count_before_match(1, 41)
    scene.client.count_transport_loss(50, 50)
    scene.reports.report(10.0)
    assert (scene.account.before_match, scene.account.lost_transport) == (41, 1)
    late, loss = scene.records
    assert isinstance(late, TransportLoss)
    assert isinstance(loss, TransportLoss)
    assert (late.topic, late.publisher, late.before_match) == ('/imu', '0a', True)
    assert (late.records, late.first_sequence, late.last_sequence) == (41, 1, 41)
    assert 0 < late.first_seen_ns == late.last_seen_ns
    assert (loss.records, loss.before_match) == (1, False)
    first = scene.told[0]
    assert first.code == 'transport_loss'
    assert first.message == (
        '41 messages of /imu had been sent before their publisher was heard'
    )
    scene.reports.report(11.0)
    assert (scene.account.before_match, len(scene.records)) == (41, 2)


def test_whether_losses_can_be_seen_may_change(scene: Scene) -> None:
    metadata = {'loss_detection': 'sequence'}
    client = FdrClient(Channel('/imu', BLOB, metadata=metadata))
    ledger = Ledger()
    account = ledger.open_account(client)
    assert account.snapshot().loss_detection == 'sequence'
    metadata['loss_detection'] = 'none'
    LossReports(ledger, scene.alerts, scene.records.append).report(10.0)
    assert account.snapshot().loss_detection == 'none'


def test_a_loss_is_reported_once(scene: Scene) -> None:
    scene.refuse(1)
    scene.client.count_transport_loss(1, 1)
    for second in range(10, 14):
        scene.reports.report(second)
    assert len(scene.records) == 2
    assert (scene.account.dropped_overrun, scene.account.lost_transport) == (1, 1)


def test_losses_within_a_second_become_one_record(scene: Scene) -> None:
    scene.refuse(1)
    scene.reports.report(10.0)
    scene.refuse(1, 1)
    scene.reports.report(10.0 + REPORT_INTERVAL_S / 2)
    assert len(scene.records) == 1
    scene.refuse(1)
    scene.reports.report(10.0 + REPORT_INTERVAL_S)
    assert [record.records for record in scene.records] == [1, 3]  # type: ignore[attr-defined]
    assert scene.account.dropped_overrun == 4


def test_in_a_hurry_losses_are_reported_at_once(scene: Scene) -> None:
    scene.reports.report(10.0)
    scene.refuse(1)
    scene.reports.report(10.0, hurry=True)
    assert scene.account.dropped_overrun == 1


def test_a_producer_that_leaves_is_reported_at_once(scene: Scene) -> None:
    scene.reports.report(10.0)
    scene.refuse(1)
    scene.reports.report_producer(scene.account, 10.0)
    scene.account.finish()
    assert scene.account.dropped_overrun == 1
    scene.refuse(1)
    scene.reports.report(20.0)
    assert scene.account.dropped_overrun == 1, 'the account is closed'


def test_an_alert_is_cleared_when_there_was_no_loss_for_a_while(scene: Scene) -> None:
    scene.refuse(1)
    scene.reports.report(10.0)
    scene.client.count_transport_loss(1, 1)
    scene.reports.report(12.0)
    scene.reports.report(10.0 + ALERT_HOLD_S - 0.1, hurry=True)
    assert [alert.code for alert in scene.alerts.present()] == ['overrun', 'transport_loss']
    scene.reports.report(10.0 + ALERT_HOLD_S, hurry=True)
    assert [alert.code for alert in scene.alerts.present()] == ['transport_loss']
    scene.reports.report(12.0 + ALERT_HOLD_S)
    assert scene.alerts.present() == ()


def test_a_further_loss_holds_the_alert_without_raising_it_again(scene: Scene) -> None:
    for now in (10.0, 14.0, 18.0):
        scene.refuse(1)
        scene.reports.report(now)
    assert [alert.raised for alert in scene.told] == [True]
    scene.reports.report(18.0 + ALERT_HOLD_S)
    assert [alert.raised for alert in scene.told] == [True, False]


def test_each_topic_has_an_alert_of_its_own() -> None:
    alerts, ledger = AlertBoard(), Ledger()
    told: list[Alert] = []
    alerts.listen(told.append)
    clients = {topic: make_client(topic, '0a') for topic in ('/imu', '/scan')}
    for client in clients.values():
        ledger.open_account(client)
    reports = LossReports(ledger, alerts, lambda _: None)
    for client in clients.values():
        client.count_transport_loss(1, 1)
    reports.report(10.0)
    clients['/scan'].count_transport_loss(2, 2)
    reports.report(10.0 + ALERT_HOLD_S)
    assert [(alert.subject, alert.raised) for alert in told] == [
        ('/imu', True), ('/scan', True), ('/imu', False)
    ]  # fmt: skip
    (left,) = alerts.present()
    assert '/scan' in left.message


@pytest.mark.parametrize(
    ('ring', 'total', 'filled', 'size', 'expected'),
    [
        (
            RingConfig(max_records=1), None, 1, 9,
            'its ring is full (ring.max_records: 1)',
        ),
        (
            RingConfig(max_bytes=2048), None, 1000, 1000,
            'its ring is full (ring.max_bytes: 2.0 KiB)',
        ),
        (
            RingConfig(max_bytes=2048), None, 0, 1849,
            (
                'a message of 1,849 bytes (1.8 KiB) can never fit; '
                'raise ring.max_bytes (2.0 KiB) above 2,049 bytes'
            ),
        ),
        (
            RingConfig(), 2048, 1000, 1000,
            'the memory of all rings is full (ring.total_bytes: 2.0 KiB)',
        ),
        (
            RingConfig(), 2048, 0, 1849,
            (
                'a message of 1,849 bytes (1.8 KiB) can never fit; '
                'raise ring.total_bytes (2.0 KiB) above 2,049 bytes'
            ),
        ),
        (
            RingConfig(max_bytes=1024), 2048, 0, 4096,
            (
                'a message of 4,096 bytes (4.0 KiB) can never fit; '
                'raise ring.max_bytes (1.0 KiB) and ring.total_bytes (2.0 KiB) above 4,296 bytes'
            ),
        ),
    ],
)
def test_the_alert_says_which_limit_was_reached(
    ring: RingConfig, total: int | None, filled: int, size: int, expected: str
) -> None:
    alerts, ledger = AlertBoard(), Ledger()
    budget = RingBudget(total) if total else None
    other, client = (
        FdrClient(Channel(topic, BLOB), ring, budget=budget) for topic in ('/other', '/imu')
    )
    for either in (other, client):
        either.ring.is_open = True
        ledger.open_account(either)
    if filled:
        (other if total else client).enqueue(bytes(filled))
    client.enqueue(bytes(size))
    LossReports(ledger, alerts, lambda _: None).report(10.0)
    (alert,) = alerts.present()
    assert alert.message == f'records of /imu were refused: {expected}'


def test_after_a_report_the_largest_refused_message_is_forgotten(scene: Scene) -> None:
    scene.client = make_client(ring=RingConfig(max_bytes=2048))
    ring = scene.client.ring
    ring.is_open = True
    for size in (4000, 3000):
        scene.client.enqueue(bytes(size))
        assert ring.acknowledge_refusals().largest == size
