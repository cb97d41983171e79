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
