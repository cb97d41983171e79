# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of plugins/module_utils/levibot/options.py, documented once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  token:
    description: The admin token, sent as a bearer token.
    type: str
  headers:
    description: More headers to every call.
    type: dict
    default: {}
"""

    SPELLING = r"""
options:
  forms:
    description:
      - Forms of this release's own, by call, each with C(path), and C(method), C(query), C(body) and C(value) (dotted names in the
        answer) where they differ. They win over what C(/openapi.json) says.
      - The calls that change something are C(kill), C(release), C(stop_engines), C(stop_engine), C(stop_closing) (a stop that says what
        becomes of the position), C(start_live) and C(start_paper). Those that read are C(kill_state), C(engines), C(mode), C(models),
        C(health), C(risk), C(live_trades) and C(live_positions), C(live_fills), C(live_closed) and C(live_portfolio), and the last five
        with C(paper_) as well.
      - In the texts of a query or body C($reason), C($symbol), C($capital), C($close), C($limit), C($offset), C($page) and C($before)
        stand for the arguments, in a path C({symbol}) and so on. A form of C(start_live) has to carry C(live) and C($capital).
    type: dict
    default: {}
  prefix:
    description: What all paths stand under, such as V(/api). Without it both the root and V(/api) are tried.
    type: str
"""

    TLS = r"""
options:
  validate_certs:
    description: Whether the server's certificate is checked.
    type: bool
    default: true
  ca_file:
    description: A PEM file with the CAs to trust instead of the system's.
    type: path
"""

    READ_BACK = r"""
options:
  confirm_reads:
    description: How many readings in a row have to agree.
    type: int
    default: 8
  quiet_seconds:
    description: How long these readings have to span, at least.
    type: float
    default: 0.3
"""
