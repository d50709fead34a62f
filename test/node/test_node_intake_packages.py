# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Message packages that fail to import: their topics are told, all others are recorded."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import sys
from typing import Any

from fdr_recorder.errors import RecordError
from fdr_recorder.node.message_class import import_message_class
from fdr_recorder.record.kinds import AlertRecord
from geometry_msgs.msg import PointStamped
from ground import Ground, values_of
import pytest
from recorder_process import RecorderProcess
from sensor_msgs.msg import Imu
from std_msgs.msg import String

FAULTS = {
    'a library is missing': "raise OSError('libx__rosidl_typesupport_c.so: undefined symbol: y')",
    'it exits': 'raise SystemExit(1)',
    'its syntax is wrong': 'def :',
    'it is interrupted': "raise GeneratorExit('no')",
    'its error cannot be shown': (
        'class Mute(Exception):\n    def __str__(self):\n        raise ValueError\nraise Mute'
    ),
    'it has no such class': 'Y = 1',
    'it has something else': 'X = print',
    'its attributes fail': 'def __getattr__(name):\n    raise RuntimeError(name)',
    'its type support fails': (
        'class Meta(type):\n'
        '    _TYPE_SUPPORT = None\n'
        '    @classmethod\n'
        '    def __import_type_support__(cls):\n'
        '        raise SystemExit(2)\n'
        'class X(metaclass=Meta):\n'
        '    pass'
    ),
}


@pytest.mark.parametrize('fault', FAULTS.values(), ids=FAULTS.keys())
def test_whatever_a_package_does_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    package = tmp_path / 'hostile_msgs'
    package.mkdir()
    (package / '__init__.py').touch()
    (package / 'msg.py').write_text(fault)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ('hostile_msgs', 'hostile_msgs.msg'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for _ in range(2):  # the second time, parts of it may be imported already
        with pytest.raises(RecordError, match='hostile_msgs'):
            import_message_class('hostile_msgs/msg/X')
    for name in ('hostile_msgs', 'hostile_msgs.msg'):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_the_name_of_a_type_does_not_choose_what_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'some_tool').mkdir()
    (tmp_path / 'some_tool' / '__init__.py').write_text("raise AssertionError('it was run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RecordError, match='some_tool is not installed here'):
        import_message_class('some_tool/msg/X')


def shim(directory: Path, package: str, fault: str, mended: Path) -> None:
    """Make a package that fails at import until a file is there; then it is the installed one."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (directory / package).mkdir(parents=True)
    (directory / package / '__init__.py').write_text(
        'from pathlib import Path\n'
        f'if not Path({str(mended)!r}).exists():\n'
        f'    {fault}\n'
        f'__path__[:] = {list(spec.submodule_search_locations)}\n'
    )


def test_packages_that_fail_to_import(ground: Ground, tmp_path: Path, root: Path) -> None:
    mended = tmp_path / 'mended'
    shim(tmp_path / 'shims', 'geometry_msgs', "raise OSError('undefined symbol')", mended)
    shim(tmp_path / 'shims', 'sensor_msgs', 'raise SystemExit(1)', mended)
    types: dict[str, Any] = {'/point': PointStamped, '/imu': Imu, '/good': String}
    publishers = {
        topic: ground.publisher(of_type, topic, recorders=0) for topic, of_type in types.items()
    }
    with RecorderProcess(
        ground,
        tmp_path,
        root,
        topics=list(types),
        environment={'PYTHONPATH': str(tmp_path / 'shims')},
    ) as recorder:
        recorder.make('configure', 'activate')
        ground.wait_until(publishers['/good'].get_subscription_count, 'the recorder')
        publishers['/good'].publish(String(data='all the same'))
        ground.wait_until(lambda: recorder.stored('/good') == 1, 'the good topic')
        status = ground.wait_until(
            lambda: next(
                (
                    item
                    for item in recorder.statuses('topics')
                    if {'type_unknown /point', 'type_unknown /imu'} <= values_of(item).keys()
                ),
                None,
            ),
            'both alerts',
        )
        assert status is not None
        assert 'undefined symbol' in values_of(status)['type_unknown /point']
        mended.touch()  # and it is tried again
        for topic in ('/point', '/imu'):
            ground.wait_until(publishers[topic].get_subscription_count, topic)
            publishers[topic].publish(types[topic]())
            ground.wait_until(lambda: recorder.stored(topic) == 1, topic)  # noqa: B023
        recorder.wait_for_ok('topics')
        recorder.make('deactivate')
    states = [
        (alert.subject, alert.raised) for alert in recorder.read_flight().payloads(AlertRecord)
    ]
    assert sorted(states) == [
        ('/imu', False), ('/imu', True), ('/point', False), ('/point', True)
    ]  # fmt: skip
