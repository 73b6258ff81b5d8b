# SPDX-License-Identifier: Apache-2.0
"""The packetdrill runner: scripts that say what a program calls, what the network sends, and what the stack must answer.

    grammar.py > script.py     the language (lark) and its events
    packets.py, match.py       script packets as bytes and back; a live one against the script's
    device.py                  the test device, a TUN whose other end is the script
    calls.py, commands.py      the program's system calls; what stands in backticks, emulated and never run
    config.py, symbols.py      options; the names that calls and %{ }% blocks use
    run.py, suite.py           one script in a world of its own, in virtual time; many scripts, and the summary

It knows the stack by its public system calls and by a device driver alone, as a program and a network card do.
"""
