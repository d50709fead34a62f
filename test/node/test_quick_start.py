# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What a process of the recorder does not load before its first record."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import subprocess
import sys

import pytest

TOP = Path(__file__).resolve().parents[2]
HEAVY = (
    'argparse',
    'difflib',
    'em',
    'fdr_recorder.flights.reader',
    'fdr_recorder.types.typestore',
    'lark',
    'lzma',
    'numpy.linalg',
    'rosbags',
    'shutil',
    'socket',
    'std_msgs.msg._int8',
)
STARTS = ('fdr_recorder.node.main', 'fdr_recorder.node.trigger.__main__')
pytest.importorskip('rclpy')


def say(code: str, arguments: Sequence[str] = ()) -> str:
    """Return what a program prints in a process of its own."""
    environment = {**os.environ, 'PYTHONPATH': str(TOP)}
    command = [sys.executable, '-c', code, *arguments]
    answer = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize('start', STARTS)
def test_a_process_starts_without_what_it_does_not_need(start: str) -> None:
    code = f"""
import gc, sys
import {start}
print([name for name in {HEAVY} if name in sys.modules], gc.isenabled())
"""
    assert say(code) == '[] True\n'


def test_dataclasses_of_the_recorder_compile_nothing() -> None:
    code = """
import sys
import fdr_recorder.node.main
modules = [vars(module) for name, module in sys.modules.items() if name.startswith('fdr_recorder')]
classes = {item for names in modules for item in names.values() if isinstance(item, type)}
made = [item for item in classes if '__dataclass_fields__' in vars(item)]
print([item for item in made if item.__init__.__module__ != 'fdr_recorder.quick_dataclass'])
print(len(made) > 50)
"""
    assert say(code) == '[]\nTrue\n'


def test_a_package_of_messages_imports_them_one_by_one(tmp_path: Path) -> None:
    other = tmp_path / 'other_msgs' / 'msg' / '__init__.py'
    other.parent.mkdir(parents=True)
    other.write_text('from std_msgs.msg import Empty\nNUMBER = 3\n')
    code = f"""
import fdr_recorder.node.quick_start, sys
import std_msgs.msg
print(hasattr(std_msgs.msg, 'Int8'), hasattr(std_msgs.msg, 'Int'), std_msgs.msg.Int8().data)
print(sorted(name for name in sys.modules if name.startswith('std_msgs.msg._')))
from std_msgs.msg import *
print(Header.__name__, len(UInt8MultiArray().data))
sys.path.append({str(tmp_path)!r})
from other_msgs.msg import Empty as Other, NUMBER
print(Other is Empty, NUMBER)
"""
    assert say(code) == "True False 0\n['std_msgs.msg._int8']\nHeader 0\nTrue 3\n"


def test_type_support_of_messages_loads_without_their_generator() -> None:
    code = """
import fdr_recorder.node.quick_start, sys
from rclpy.type_support import check_for_type_support
from sensor_msgs.msg import Imu
check_for_type_support(Imu)
print('lark' in sys.modules, 'rosidl_parser.parser' in sys.modules)
import rosidl_generator_py.generate_py_impl  # who needs it can have it
print('rosidl_parser.parser' in sys.modules)
"""
    assert say(code) == 'False False\nTrue\n'


@pytest.mark.parametrize(
    'use',
    [
        'import numpy; print(numpy.zeros(2).sum())',
        'from numpy import zeros; print(zeros(2).sum())',
        'import numpy.linalg; print(numpy.linalg.norm(numpy.zeros(2)))',
        'import numpy as a, numpy.typing, numpy as b; print(a.zeros(b.int64(2)).sum())',
        'from sensor_msgs.msg import Imu; print(Imu().orientation_covariance.sum())',
    ],
)
def test_what_is_deferred_is_there_when_it_is_used(use: str) -> None:
    assert say(f'import fdr_recorder.node.quick_start\n{use}') == '0.0\n'


def test_threads_that_use_it_first_at_once_all_get_it() -> None:
    code = """
import fdr_recorder.node.quick_start, numpy
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
barrier = Barrier(8)
def use(number):
    barrier.wait()
    import numpy.random
    return float(numpy.array([number]).sum())
with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(use, range(8))))
"""
    assert say(code) == '28.0\n'


def test_what_is_not_installed_stays_so() -> None:
    code = """
from fdr_recorder.node.quick_start import defer
defer('no_such_module')
try:
    import no_such_module
except ModuleNotFoundError as error:
    print(error)
"""
    assert say(code) == "No module named 'no_such_module'\n"
