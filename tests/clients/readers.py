"""What a program reads that uses PyPI's prometheus-api-client, by GET and by POST.

    readers.py URL READ_KEY

tests/src/clients.rs has sent what is asked for here.
"""

import datetime
import sys

from prometheus_api_client import PrometheusConnect

url, key = sys.argv[1:]
end = datetime.datetime.now() + datetime.timedelta(minutes=1)
start = end - datetime.timedelta(minutes=10)
for method in ("GET", "POST"):
    client = PrometheusConnect(url=url, headers={"Authorization": "Bearer " + key}, method=method)
    assert "jobs_done_total" in client.all_metrics()
    series = client.get_series(start, end, params={"match[]": "jobs_done_total"})
    assert sorted(one["instance"] for one in series) == ["json", "protobuf", "protobuf-gzip"], series
    assert "instance" in client.get_label_names() and "py/sdk" in client.get_label_values("job")
    (now,) = client.get_current_metric_value("jobs_done_total", label_config={"instance": "json"})
    assert now["value"][1] == "3", now
    assert len(client.get_metric_range_data("jobs_done_total", start_time=start, end_time=end)) == 3
    assert client.custom_query("sum(jobs_done_total)")[0]["value"][1] == "9"
    (summed,) = client.custom_query_range("sum(jobs_done_total)", start, end, "15s")
    assert summed["values"][-1][1] == "9", summed
    assert client.get_scrape_pools() == ["agents"]
