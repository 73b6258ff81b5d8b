# SPDX-License-Identifier: Apache-2.0
"""Linux's TCP/IP protocol stack as a Python library.

Under include/ kernel/ net/ drivers/ stands the stack, with Linux's file and function names; mypyc compiles those
rooms. The other modules are the rooms for people. People import from this package, never from net/.

LINNET_PURE=1 in the environment loads the .py files of a compiled installation, so that debuggers, coverage and the
walk see every frame. It must be arranged before the first submodule is imported, and therefore is arranged here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

__version__ = '0.1.0'

if os.environ.get('LINNET_PURE', '') not in ('', '0'):
    from linnet import _pure

    _pure.install()

if TYPE_CHECKING:
    from linnet.attach import Attached
    from linnet.lab import Lab

__all__ = ['Attached', 'Lab', '__version__']


def __getattr__(name: str) -> object:
    """The rooms' doors, opened when somebody comes (PEP 562): `import linnet` alone loads no stack."""
    if name == 'Lab':
        from linnet.lab import Lab
        return Lab
    if name == 'Attached':
        from linnet.attach import Attached
        return Attached
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
