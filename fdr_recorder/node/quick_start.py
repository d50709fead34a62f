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
Import less: what a process imports before its first record, the flight is without.

- Each ROS message package imports `numpy`, for arrays of fixed size in messages. The recorder
  handles messages as bytes, and makes none with such an array.
- What loads the type support of messages also imports the generator of their Python code, with two
  parsers, if it can; it expects that it cannot.

Without both the recorder starts in two thirds of the processor time, and needs less memory (see
docs/performance.md). The modules of its processes import this one before any that imports ROS
messages, and call `imports_are_done` after all.
"""

from __future__ import annotations

from contextlib import suppress
import gc
from importlib import import_module
from importlib.util import find_spec
import sys
import threading
from types import ModuleType
from typing import Any


def defer(name: str) -> None:
    """
    Let `import name` give a placeholder that imports the module when an attribute is needed.

    A submodule that is imported needs one. Code that holds the placeholder may go on using it.
    (`importlib.util.LazyLoader` imports the module at the second `import`, and before Python 3.12
    not safely with threads.)
    """
    if name in sys.modules or (spec := find_spec(name)) is None:
        return
    placeholder: Any = ModuleType(name)
    placeholder.__spec__, placeholder.__file__ = spec, spec.origin  # `inspect` asks every module
    lock = threading.RLock()

    def load(attribute: str) -> Any:  # noqa: ANN401 - any attribute of a module
        with lock:
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]
            module = import_module(name)
        return getattr(module, attribute)

    placeholder.__getattr__ = load
    sys.modules[name] = placeholder


def imports_are_done() -> None:
    """Let the garbage collector run again: during imports it finds nothing."""
    gc.freeze()
    gc.enable()


def without(name: str, package: str) -> None:
    """Import a package that does without one of its modules if it has to."""
    if name in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    modules[name] = None  # so `import` raises ImportError
    with suppress(ImportError):
        import_module(package)
    del modules[name]


defer('numpy')
without('rosidl_generator_py.generate_py_impl', 'rosidl_generator_py')
gc.disable()
