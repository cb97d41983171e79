# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""A stand-in for LeviBot, for sandboxes and tests: no exchange, no model and no money exist here.

It answers LeviBot's HTTP API, trades a made-up market with books that add up to the cent, exports metrics under LeviBot's
names, and carries faults that can be switched on while it runs. It is honest about what it is: prices are a seeded zigzag and
the strategy is told the direction in which they go (see :mod:`.market`), so a healthy stand-in earns paper money on purpose.
"""
