# SPDX-License-Identifier: Apache-2.0
"""The walk: which functions of the stack a call really enters, layer by layer, and how that compares with Linux's own.

recorder.py watches an interpreted run of the stack; scenes.py makes the calls on a small lab; render.py prints the tree;
against.py holds a walk against a table of Linux's; kernel.py records the same call on this machine's own kernel.
"""
