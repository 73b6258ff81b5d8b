# SPDX-License-Identifier: Apache-2.0
"""Unmodified Python programs on simulated hosts: the room between a program and the syscalls of net/socket.py.

A program is a Process (descriptors, namespace) and one task for each of its threads. While one of its tasks runs, the names
of the standard library that would reach the machine (socket, select, time, thread, lock) reach the world instead; outside
of a task the same names do what they always did. See patches.py for the list, runtime.py for how the running program is
known.
"""
