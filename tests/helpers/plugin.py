# SPDX-License-Identifier: Apache-2.0
"""Running pytest with Linnet's plugin, whether the package is installed or only lies on the path."""
from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import linnet


def plugin_options() -> list[str]:
    """Where linnet is installed its entry point loads the plugin; from a source tree it is named."""
    installed = any(point.value == 'linnet.pytest_plugin' for point in entry_points(group='pytest11'))
    return [] if installed else ['-p', 'linnet.pytest_plugin']


def run_pytest(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """pytest in a folder, in a process of its own."""
    env = {**os.environ, 'PYTHONPATH': str(Path(linnet.__file__).parents[1]), 'PYTEST_DISABLE_PLUGIN_AUTOLOAD': ''}
    return subprocess.run([sys.executable, '-m', 'pytest', *plugin_options(), *args], cwd=folder, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
