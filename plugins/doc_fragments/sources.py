# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of plugins/module_utils/sources/options.py, documented once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  sources:
    description: Where the sources are. Only those that a check names are needed.
    type: dict
    required: true
    suboptions:
      prometheus:
        description: The Prometheus that scrapes the edge and the slots.
        type: dict
        suboptions:
          url:
            description: Its address, such as V(http://127.0.0.1:9090). User and password in it are sent, and never shown.
            type: str
            required: true
          token:
            description: A bearer token.
            type: str
          ca_file:
            description: A PEM file with the CAs to trust instead of the system's, on the machine that asks.
            type: path
          validate_certs:
            description: Whether the server's certificate is checked.
            type: bool
            default: true
      alertmanager:
        description: The Alertmanager that Prometheus sends its alerts to. Its checks ask Prometheus as well.
        type: dict
        suboptions:
          url:
            description: Its address, such as V(http://127.0.0.1:9093). User and password in it are sent, and never shown.
            type: str
            required: true
          token:
            description: A bearer token.
            type: str
          ca_file:
            description: A PEM file with the CAs to trust instead of the system's, on the machine that asks.
            type: path
          validate_certs:
            description: Whether the server's certificate is checked.
            type: bool
            default: true
      api:
        description: The LeviBot API of each slot.
        type: dict
        suboptions:
          urls:
            description: The address of each slot's API, by the slot. Commands get them as well.
            type: dict
            required: true
          headers:
            description: More headers to every call, such as C(X-Admin-Key). May hold secrets.
            type: dict
            default: {}
          forms:
            description:
              - Forms of calls that differ from all that are known, as M(levibot.transition.kill_switch) takes them. The books are read in
                them; a check with C(source=api) names its path itself.
            type: dict
            default: {}
          prefix:
            description: What the API's paths stand under. Without it both the root and V(/api) are tried.
            type: str
          token:
            description: A bearer token.
            type: str
          ca_file:
            description: A PEM file with the CAs to trust instead of the system's, on the machine that asks.
            type: path
          validate_certs:
            description: Whether the server's certificate is checked.
            type: bool
            default: true
      trading:
        description:
          - What the books of live engines are compared with. They are read once a look, from the API of the slot that is judged, and
            recomputed from the baseline on.
        type: dict
        suboptions:
          baseline:
            description:
              - The book when live trading began, as M(levibot.transition.books_info) returns it. History that does not reach back to it is
                an error, and never a pass.
            type: dict
            required: true
          live:
            description: The capital in US dollars of each engine that is live now, as text, by the symbol.
            type: dict
            required: true
          step:
            description: The symbols whose trades count as events.
            type: list
            elements: str
            required: true
          sides:
            description: Which sides engines may take.
            type: list
            elements: str
            choices: [long, short]
            required: true
          limits:
            description: The limits, as C(phase3.limits) of a validated plan.
            type: dict
            required: true
          fee_ratio:
            description: What a side of a trade costs, as a share of its notional, where neither fill nor trade says its fee.
            type: str
            default: "0.001"
          other_urls:
            description:
              - The addresses of all other instances of the API by a name, such as those of the other slot and of other hosts. Each is
                asked for live engines, of which there may be none. Where nothing listens, none runs.
            type: dict
            default: {}
          timeout_seconds:
            description: The most that a look may wait for the books, all pages of them.
            type: float
            default: 20.0
      timeout_seconds:
        description: The most that one look may wait for a source. Commands have a time-out of their own.
        type: float
        default: 10.0
  subject:
    description: Whom the checks are about, for C($slot) and C($stable) in them.
    type: dict
    required: true
    suboptions:
      slot:
        description: The candidate's slot.
        type: str
        required: true
      stable:
        description: The slot that serves otherwise.
        type: str
        required: true
"""
