# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence for a GO: each item of the plan's checklist rests on what can be read, asked or looked up, and judged.

A kind is a small file: which keys it takes, and a ``look`` that says what it found. Whatever cannot be read, asked or understood is a
problem, and an evidence with a problem never passes.
"""
