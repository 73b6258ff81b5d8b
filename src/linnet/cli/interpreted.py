# SPDX-License-Identifier: Apache-2.0
"""Commands that watch functions need the stack as Python."""
from __future__ import annotations

import os
import sys


def run_interpreted() -> None:
    """Watching functions needs the stack as Python: where it is compiled, start this command anew without the compiled files."""
    if os.environ.get('LINNET_PURE') == '1':
        return
    from linnet.kernel import timer

    if (timer.__file__ or '').endswith('.py'):
        return
    os.environ['LINNET_PURE'] = '1'
    os.execv(sys.executable, [sys.executable, '-c', 'from linnet.cli import main; main()', *sys.argv[1:]])
