import time, json
from tests.integration.action.test_gate import *
from ansible_collections.levibot.transition.plugins.module_utils.sources import Sources
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import Window
def test_dbg(alerting):
    began = time.time()
    alerting.traffic.down["green"] = 1
    wait_for(lambda: "ApiDown" in alerting.alerts(), "the alert")
    alerting.traffic.down["green"] = 0
    wait_for(alerting.is_quiet, "the alert's end")
    time.sleep(1)
    s=Sources(alerting.sources()); 
    print(s.ask([ALERTS], Window(began, time.time(), "green","blue")))
    p=s._prometheus
    now=time.time()
    print(p.instant('count_over_time(ALERTS[60s])', now)); print(now-began)
    print(p.instant('count_over_time(api_down[60s])', now)); print(p.instant('sum_over_time(api_down[60s])', now))
    result = play(alerting, gate_of(ALERTS, window_seconds=10), started_at=began)[1]
    print(json.dumps(result["last_looks"]), result["reason"])
    assert 0
