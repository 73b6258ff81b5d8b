# SPDX-License-Identifier: Apache-2.0
"""What people look at: sockets as `ss` prints them, plots for a terminal."""
