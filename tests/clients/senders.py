"""What programs send that use PyPI's clients: OpenTelemetry's SDK, graphyte, statsd and datadog.

    senders.py OTLP_URL KEY GRAPHITE_PORT STATSD_PORT

tests/src/clients.rs knows what must be found afterwards.
"""

import sys

import graphyte
import statsd
from datadog.dogstatsd import DogStatsd
from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter as JsonExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as ProtobufExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

url, key, graphite_port, statsd_port = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def otlp(exporter, instance):
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60000)
    names = {"service.name": "sdk", "service.namespace": "py", "service.instance.id": instance}
    provider = MeterProvider(metric_readers=[reader], resource=Resource.create(names))
    meter = provider.get_meter("sdk.test", "1.2")
    meter.create_counter("jobs.done", unit="1", description="Jobs that are done.").add(3, {"queue.name": "mail"})
    meter.create_up_down_counter("jobs.waiting", unit="{job}").add(-2)
    histogram = meter.create_histogram("job.duration", unit="s")
    for value in (0.004, 0.2, 30.0):
        histogram.record(value)
    meter.create_gauge("room.temperature", unit="Cel").set(21.5)
    assert provider.force_flush(10000), f"{instance}: not taken"
    provider.shutdown()


headers = {"authorization": "Bearer " + key}
otlp(ProtobufExporter(endpoint=url, headers=headers), "protobuf")
otlp(ProtobufExporter(endpoint=url, headers=headers, compression=Compression.Gzip), "protobuf-gzip")
otlp(JsonExporter(endpoint=url, headers=headers), "json")

for protocol in ("tcp", "udp"):
    sender = graphyte.Sender("127.0.0.1", port=graphite_port, protocol=protocol, prefix="graphyte." + protocol)
    sender.send("temp.cellar", 11.25)
    sender.send("doors", 3, tags={"floor": "1"})
    sender.stop()

for protocol, kind in (("udp", statsd.StatsClient), ("tcp", statsd.TCPStatsClient)):
    client = kind("127.0.0.1", statsd_port, prefix="shop." + protocol)
    client.incr("orders", 3)
    client.incr("stock", 9)
    client.decr("stock")
    client.decr("debt", 4)
    client.timing("pay", 320)
    client.gauge("temp", 70)
    client.gauge("temp", -5, delta=True)
    client.set("users", "me")
    with client.pipeline() as pipeline:
        pipeline.incr("orders", 2)
        pipeline.decr("stock", 2)
    if protocol == "tcp":
        client.close()

client = DogStatsd(host="127.0.0.1", port=statsd_port, disable_telemetry=True, constant_tags=["env:dev"])
client.increment("dog.hits", 2, tags=["route:a", "hot"])
client.decrement("dog.hits", tags=["route:a", "hot"])
client.gauge("dog.depth", 4.5)
client.histogram("dog.size", 10)
client.distribution("dog.dist", 7)
client.timing("dog.took", 12)
client.service_check("dog.db.up", 1, tags=["port:5"], message="slow")
client.event("Deployed", "line one\nline two", alert_type="warning", tags=["v:1"])
client.flush()
