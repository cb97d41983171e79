# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge.probe import Probe, ProbeError, slot_requests

METRICS = """\
# TYPE caddy_http_request_duration_seconds histogram
caddy_http_request_duration_seconds_bucket{code="200",handler="subroute",method="GET",server="slot-green",le="+Inf"} 99
caddy_http_request_duration_seconds_count{code="200",handler="headers",method="GET",server="slot-green"} 3
caddy_http_request_duration_seconds_count{code="200",handler="static_response",method="GET",server="slot-green"} 3
caddy_http_request_duration_seconds_count{code="504",handler="subroute",method="GET",server="slot-green"} 1.2e+01
caddy_http_request_duration_seconds_count{code="200",handler="subroute",method="GET",server="srv0"} 70
caddy_http_request_duration_seconds_count{code="200",handler="subroute",method="GET",server="slot-red"} 70
"""


def test_each_request_is_counted_once() -> None:
    assert slot_requests(METRICS) == {"blue": 0, "green": 15}


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "127.0.0.1:80"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ProbeError, match="no http or https URL"):
        Probe(url, timeout=1)
