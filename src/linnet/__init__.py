# SPDX-License-Identifier: Apache-2.0
"""Linux's TCP/IP protocol stack as a Python library.

Under include/ kernel/ net/ drivers/ stands the stack, with Linux's file and function names; mypyc compiles those
rooms. The other modules are the rooms for people. People import from this package, never from net/.

LINNET_PURE=1 in the environment loads the .py files of a compiled installation, so that debuggers, coverage and the
walk see every frame. It must be arranged before the first submodule is imported, and therefore is arranged here.
"""

from __future__ import annotations

import os

__version__ = '0.1.0'

if os.environ.get('LINNET_PURE', '') not in ('', '0'):
    from linnet import _pure

    _pure.install()
