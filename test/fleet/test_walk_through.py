# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The lines of docs/fleet.md by which one tries a fleet on a laptop, run as they stand there."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys

import pytest
from ros_domain import own_domain
from store_servers import free_ports

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / 'docs' / 'fleet.md'
SCRIPTS = Path(sys.executable).parent
REFUSED = 'drone fdr fleet ls  # refused: exit code 3'
DENIALS = """
if drone fdr fleet ls; then echo 'drone may ask the catalogue'; fi
drone may write vehicles/demo_multirotor/
while read -r who what key; do
    if $who may $what $key; then echo "forbidden: $who may $what $key"; fi
done <<'END'
drone delete vehicles/demo_multirotor/
drone write vehicles/other/
drone delete vehicles/other/
drone write receipts/demo_multirotor/
drone delete receipts/demo_multirotor/
drone write catalogue/
fleet write vehicles/demo_multirotor/
fleet delete vehicles/demo_multirotor/
END
echo 'keys tried'
"""
MAY = """\
import sys, boto3
from botocore.exceptions import ClientError
s3, (_, what, key) = boto3.client('s3'), sys.argv
try:
    if what == 'write':
        s3.put_object(Bucket='flights', Key=key + 'probe', Body=b'')
    else:
        s3.delete_object(Bucket='flights', Key=key + 'probe')
except ClientError as error:
    sys.exit(1 if error.response['Error']['Code'] == 'AccessDenied' else 2)
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PAGE.is_file(), reason='there is no docs/ beside the tests'),
    pytest.mark.skipif(not (SCRIPTS / 'weed').exists(), reason='SeaweedFS is not installed here'),
    pytest.mark.skipif(shutil.which('curl') is None, reason='curl is not installed here'),
]
pytest.importorskip('rclpy')


def lines_of_page() -> str:
    """Return what a user types, in order."""
    text = PAGE.read_text(encoding='utf-8').partition('## On a laptop')[2].partition('\n## ')[0]
    return ''.join(re.findall(r'^```bash\n(.*?)^```', text, flags=re.MULTILINE | re.DOTALL))


def with_ports(lines: str) -> str:
    """Return the lines with ports of the store that are free here, in place of the usual ones."""
    s3, master, volume, filer, *grpc = free_ports(8)
    options = (
        f'-s3.port={s3} -master.port={master} -volume.port={volume} -filer.port={filer} '
        f'-s3.port.grpc={grpc[0]} -master.port.grpc={grpc[1]} -volume.port.grpc={grpc[2]} '
        f'-filer.port.grpc={grpc[3]} -master.telemetry=false'
    )
    for usual, here in (
        ('weed server', f'weed server {options}'),
        ('weed shell', f'weed shell -master=127.0.0.1:{master}.{grpc[1]}'),
        ('127.0.0.1:8333', f'127.0.0.1:{s3}'),
        ('127.0.0.1:8888', f'127.0.0.1:{filer}'),
    ):
        assert usual in lines
        lines = lines.replace(usual, here)
    return lines


def test_the_walk_through(tmp_path: Path) -> None:
    """A stranger gets through it, and neither key may do more than is said there."""
    (tmp_path / 'config').symlink_to(CHECKOUT / 'config')
    (tmp_path / 'may').write_text(f'#!{sys.executable}\n{MAY}')
    (tmp_path / 'may').chmod(0o755)
    demo = f'{sys.executable} -m demo.fly --seconds 3 --root {tmp_path}/flights'
    lines = with_ports(lines_of_page())
    assert lines.count('./dev demo --root flights') == 2
    assert lines.count(REFUSED) == 1
    lines = lines.replace('./dev demo --root flights', demo).replace(REFUSED, DENIALS)
    with own_domain() as domain:
        process = subprocess.Popen(
            ['bash', '-euo', 'pipefail', '-c', lines],
            cwd=tmp_path, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={
                **os.environ,
                'PATH': f'{tmp_path}:{SCRIPTS}:{os.environ["PATH"]}', 'PYTHONPATH': str(CHECKOUT),
                'XDG_CACHE_HOME': str(tmp_path / 'cache'), 'ROS_DOMAIN_ID': str(domain),
                'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'AWS_CONFIG_FILE': os.devnull,
                'AWS_SHARED_CREDENTIALS_FILE': os.devnull,
            },
        )
        try:
            assert process.stdout is not None
            said = process.stdout.read()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    print(said)
    assert said.endswith('keys tried\n')
    assert '2 of 2 flights in s3://flights' in said
    assert '2 flights received' in said
    assert '2 complete' in said
    assert '2 of 2 flights in s3://flights, 2 removed here' in said
    assert 'the store refuses it (403 AccessDenied)' in said
    assert ' may ' not in said
    assert not list((tmp_path / 'flights').glob('flight_*'))
