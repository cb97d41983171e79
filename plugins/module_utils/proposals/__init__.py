# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a period's own data proposes: thresholds of alerts, budgets of inference, limits of risk, lessons.

:mod:`ask` reads Prometheus; everything else is pure. The same data gives the same proposals, to the letter. Nothing here changes anything:
proposals are read by people, who apply what they like.
"""
