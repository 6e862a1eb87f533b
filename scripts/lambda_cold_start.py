"""Starts each function under a double of the Lambda Runtime API; see lambda-cold-start.sh.

The double serves GET …/invocation/next and takes …/response and …/error, as the Lambda guide
("Using the Lambda runtime API") has it. The time from starting the process to its first `next` is
what AWS calls the init phase, less the download of the zip.
"""

import http.server
import json
import os
import stat
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

FUNCTIONS = ["ingest", "ws-connect", "aggregate", "evaluate-alerts", "broadcast", "query"]
WAIT_SECONDS = 20
NOWHERE = "http://127.0.0.1:9"
ENVIRONMENT = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    # Nothing listens there: whatever is asked of AWS fails at once.
    "AWS_ENDPOINT_URL": NOWHERE,
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "DAYWATCH_TABLE": "table",
    "DAYWATCH_MANIFEST_TABLE": "manifest",
    "DAYWATCH_STREAM": "stream",
    "DAYWATCH_BLOBS_BUCKET": "blobs",
    "DAYWATCH_FAILED_BUCKET": "failed",
    "DAYWATCH_DOWNLOADS_BUCKET": "downloads",
    "DAYWATCH_PAGER_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:pager",
    "DAYWATCH_MAIL_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:mail",
    "DAYWATCH_TIMER_QUEUE_URL": NOWHERE + "/123456789012/timers",
    "DAYWATCH_WEBSOCKET_API_ENDPOINT": NOWHERE + "/live",
    "DAYWATCH_WEBSOCKET_URL": "wss://daywatch.invalid/live",
    "DAYWATCH_EXTERNAL_URL": "https://daywatch.invalid",
    "DAYWATCH_RAW_RETENTION_DAYS": "30",
}
# One that is answered without AWS, or refused by name.
EVENTS = {
    "query": "functions/query/fixtures/endpoints.json",
    "ingest": "functions/ingest/fixtures/malformed-no-connection.json",
    "ws-connect": "functions/ws-connect/fixtures/malformed-no-type.json",
    "aggregate": "functions/aggregate/fixtures/malformed-no-shard.json",
    "evaluate-alerts": "functions/evaluate-alerts/fixtures/malformed-other-table.json",
    "broadcast": "functions/broadcast/fixtures/malformed-not-base64.json",
}


class Double(http.server.ThreadingHTTPServer):
    """One function's Runtime API: hands out at most one event and keeps the answer."""

    daemon_threads = True

    def __init__(self, event):
        super().__init__(("127.0.0.1", 0), Handler)
        self.event, self.answer = event, None
        self.asked, self.answered, self.over = threading.Event(), threading.Event(), threading.Event()
        self.asked_at = None

    def handle_error(self, request, client_address):
        """The function was ended while it waited for its next event: that is how each run ends."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        at, double = time.perf_counter(), self.server
        if not double.asked.is_set():
            double.asked_at = at
            double.asked.set()
        event, double.event = double.event, None
        if event is None:
            double.over.wait(WAIT_SECONDS)
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        self.send_header("lambda-runtime-deadline-ms", str(int(time.time() * 1000) + 10_000))
        self.send_header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:f")
        self.send_header("content-length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.answer = (self.path.rsplit("/", 1)[-1], body.decode())
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()
        self.server.answered.set()

    def log_message(self, *_):
        pass


def start(binary, double, function, environment):
    api = "%s:%d" % double.server_address
    whole = {**environment, "AWS_LAMBDA_RUNTIME_API": api, "AWS_LAMBDA_FUNCTION_NAME": function}
    return subprocess.Popen([binary], env=whole, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def run(binary, function, event=None):
    """Milliseconds to the first `next`, the answer to the event, and what was logged."""
    double = Double(event)
    threading.Thread(target=double.serve_forever, daemon=True).start()
    began = time.perf_counter()
    process = start(binary, double, function, ENVIRONMENT)
    try:
        if not double.asked.wait(WAIT_SECONDS):
            process.kill()
            sys.exit(f"{function} did not ask for an event in {WAIT_SECONDS} s: {process.stdout.read().decode()}")
        if event is not None and not double.answered.wait(WAIT_SECONDS):
            sys.exit(f"{function} did not answer in {WAIT_SECONDS} s")
        return (double.asked_at - began) * 1000, double.answer, process
    finally:
        process.kill()
        double.over.set()
        double.shutdown()
        double.server_close()
        process.wait()


def binary_of(folder, function, scratch):
    plain, nested, zipped = (os.path.join(folder, name) for name in (function, f"{function}/bootstrap", f"{function}.zip"))
    for path in (nested, plain):
        if os.path.isfile(path):
            return path, None
    if os.path.isfile(zipped):
        path = os.path.join(scratch, function)
        with zipfile.ZipFile(zipped) as archive, open(path, "wb") as out:
            out.write(archive.read("bootstrap"))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path, os.path.getsize(zipped)
    sys.exit(f"{folder} has neither {function}, {function}/bootstrap nor {function}.zip: run scripts/lambdas.sh")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: lambda-cold-start.sh FOLDER [RUNS]")
    folder, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 20
    with tempfile.TemporaryDirectory() as scratch:
        for function in FUNCTIONS:
            binary, zip_bytes = binary_of(folder, function, scratch)
            with open(EVENTS[function], "rb") as file:
                _, (route, body), process = run(binary, function, file.read())
            logged = process.stdout.read().decode().splitlines()
            for line in logged:
                json.loads(line)
            metrics = sum('"CloudWatchMetrics"' in line for line in logged)
            bare = subprocess.run([binary], env={}, capture_output=True, timeout=WAIT_SECONDS)
            missing = (bare.stdout + bare.stderr).decode().count("is not set")
            times = sorted(run(binary, function)[0] for _ in range(runs))
            size = os.path.getsize(binary) / 1e6
            zipped = f", zip {zip_bytes / 1e6:.2f} MB" if zip_bytes else ""
            print(
                f"{function:16} start to first next: p50 {statistics.median(times):5.1f} ms, worst {times[-1]:5.1f} ms"
                f" of {runs}; binary {size:.1f} MB{zipped}; {metrics} metric lines; without an environment exit"
                f" {bare.returncode}, {missing} variables named\n{'':16} {route}: {body[:150]}"
            )


main()
