/**
 * A made-up set of hosts for the mock server. Every value is a function of time, so that history and
 * live points agree and nothing has to be stored.
 */
const wave = (t, period, phase = 0) => Math.sin(t / period + phase);
const waveSum = (t, period, phase = 0) => -period * (Math.cos(t / period + phase) - Math.cos(phase));

/** A counter whose rate is `mean` plus waves; `parts` are [height, period in s, phase]. */
const counter = (mean, parts) => (t) =>
  mean * t + parts.reduce((sum, [height, period, phase]) => sum + height * waveSum(t, period, phase), 0);
const gauge = (mean, parts) => (t) =>
  mean + parts.reduce((sum, [height, period, phase]) => sum + height * wave(t, period, phase), 0);

const GiB = 1024 ** 3;
const START_S = Math.floor(Date.now() / 1000) - 3 * 86_400 - 7_000;

function hostSeries(source, seed, busy) {
  const common = { instance: source, source, job: "node" };
  const out = [];
  const add = (name, labels, value, since = true) =>
    out.push({ labels: { __name__: name, ...common, ...labels }, value: since ? (t) => value(t - START_S) : value });
  for (const cpu of ["0", "1"]) {
    const p = seed + Number(cpu);
    const modes = {
      user: [0.2 * busy, [[0.07 * busy, 97, p], [0.05 * busy, 41, p * 2], [0.03 * busy, 13, p]]],
      system: [0.07 * busy, [[0.02 * busy, 61, p], [0.012 * busy, 17, p]]],
      iowait: [0.03, [[0.02, 139, p], [0.009, 29, p]]],
      softirq: [0.008, [[0.003, 53, p]]],
      nice: [0.002, []],
      steal: [0.004, [[0.003, 211, p]]],
    };
    const used = Object.entries(modes).map(([mode, [mean, parts]]) => {
      const value = counter(mean, parts);
      add("node_cpu_seconds_total", { cpu, mode }, value);
      return value;
    });
    add("node_cpu_seconds_total", { cpu, mode: "idle" }, (t) => t - used.reduce((sum, value) => sum + value(t), 0));
  }
  add("node_load1", {}, gauge(0.9 * busy, [[0.35 * busy, 47, seed], [0.2 * busy, 19, seed]]));
  add("node_load5", {}, gauge(0.9 * busy, [[0.2 * busy, 171, seed]]));
  add("node_load15", {}, gauge(0.9 * busy, [[0.08 * busy, 500, seed]]));
  const total = 8 * GiB;
  const available = gauge((1 - 0.45 * busy) * total, [[0.04 * total, 700, seed], [0.01 * total, 60, seed]]);
  add("node_memory_MemTotal_bytes", {}, () => total);
  add("node_memory_MemAvailable_bytes", {}, available);
  add("node_memory_MemFree_bytes", {}, (t) => available(t) * 0.35);
  add("node_memory_SwapTotal_bytes", {}, () => 2 * GiB);
  add("node_memory_SwapFree_bytes", {}, () => 1.8 * GiB);
  for (const [mountpoint, device, size, full] of [["/", "/dev/vda1", 40, 0.52], ["/var/lib/postgresql", "/dev/vdb", 200, 0.5 + 0.38 * Math.min(busy, 1.1)], ["/boot/efi", "/dev/vda15", 0.12, 0.1]]) {
    const labels = { mountpoint, device, fstype: "ext4" };
    add("node_filesystem_size_bytes", labels, () => size * GiB);
    add("node_filesystem_avail_bytes", labels, gauge((1 - full) * size * GiB, [[0.01 * size * GiB, 900, seed]]));
  }
  add("node_filesystem_size_bytes", { mountpoint: "/run", device: "tmpfs", fstype: "tmpfs" }, () => GiB);
  add("node_filesystem_avail_bytes", { mountpoint: "/run", device: "tmpfs", fstype: "tmpfs" }, () => GiB);
  for (const [device, k] of [["vda", 1], ["vdb", 2.5]]) {
    add("node_disk_io_time_seconds_total", { device }, counter(0.07 * k * busy, [[0.03 * k * busy, 83, seed], [0.02 * k * busy, 23, seed]]));
    add("node_disk_read_bytes_total", { device }, counter(9e5 * k, [[5e5 * k, 67, seed]]));
    add("node_disk_written_bytes_total", { device }, counter(2.2e6 * k * busy, [[1.2e6 * k * busy, 37, seed], [6e5 * k * busy, 11, seed]]));
  }
  for (const [device, k] of [["eth0", 1], ["lo", 0.2], ["docker0", 0.3]]) {
    add("node_network_receive_bytes_total", { device }, counter(3.1e6 * k * busy, [[1.4e6 * k * busy, 59, seed], [6e5 * k * busy, 17, seed]]));
    add("node_network_transmit_bytes_total", { device }, counter(1.3e6 * k * busy, [[6e5 * k * busy, 71, seed], [2e5 * k * busy, 9, seed]]));
  }
  for (const [metric, mean] of [["cpu_waiting", 0.02], ["memory_waiting", 0.002], ["memory_stalled", 0.001], ["io_waiting", 0.04], ["io_stalled", 0.015]]) {
    add(`node_pressure_${metric}_seconds_total`, {}, counter(mean * busy, [[mean * 0.8 * busy, 77, seed + mean * 100]]));
  }
  add("node_boot_time_seconds", {}, () => START_S + 900, false);
  add("node_uname_info", { sysname: "Linux", release: "6.1.0-40-cloud-amd64", machine: "x86_64", nodename: source }, () => 1);
  add("node_procs_running", {}, (t) => Math.round(gauge(3, [[2, 15, seed]])(t)));
  add("node_filefd_allocated", {}, gauge(2200, [[180, 130, seed]]));
  return out;
}

const graphite = (source) =>
  ["carbon.relay.metricsReceived", "load.load.shortterm", "nginx.requests.rate", "nginx.latency.p99"].map((name, i) => ({
    labels: { __name__: name, instance: source, source, job: "graphite" },
    value: gauge(40 * (i + 1), [[12, 45 + i, i], [4, 11, i]]),
  }));

export class World {
  constructor() {
    this.firing = true;
    this.pager = false;
    this.topics = false;
    this.empty = false;
    this.sources = [
      { name: "web-1", seed: 1, busy: 1 },
      { name: "web-2", seed: 4, busy: 0.7 },
      { name: "db-1", seed: 2, busy: 1.6 },
      { name: "batch-3.internal.example.net", seed: 3, busy: 0.4 },
    ];
    this.lostSinceS = Date.now() / 1000 - 440;
    this.all = this.sources.flatMap((one) => hostSeries(one.name, one.seed, one.busy));
    this.all.push(...graphite("web-1"));
    const value = (check, label, unit, of) => this.all.push({ labels: { __name__: "check_value", instance: "web-1", source: "web-1", job: "check", check, label, unit }, value: of });
    value("http", "time", "s", gauge(0.9, [[0.4, 300, 1], [0.1, 40, 0]]));
    value("http", "size", "B", () => 5120);
    value("load", "load1", "", gauge(0.9, [[0.35, 47, 1]]));
  }

  /** Whether a source had a sample at `t` seconds: one is gone, one had a hole. */
  has(source, t) {
    if (source === "batch-3.internal.example.net") return t < this.lostSinceS;
    const hole = START_S % 3600;
    if (source === "web-1") return !((t - hole) % 3600 > 100 && (t - hole) % 3600 < 340) && !this.recentHole(t);
    return true;
  }

  recentHole(t) {
    return t > this.lostSinceS && t < this.lostSinceS + 130;
  }

  listSources(nowMs) {
    if (this.empty) return [];
    const at = Math.floor(nowMs / 1000);
    const made = (k) => 240_000 + (at % 100_000) * k;
    const counters = (generated, rest = {}) => {
      const c = { superseded: 0, buffered: 0, evicted: 0, rejected: {}, ...rest };
      const rejected = Object.values(c.rejected).reduce((a, b) => a + b, 0);
      return { generated, stored: generated - c.superseded - c.buffered - c.evicted - rejected - 12, missing: 12, ...c };
    };
    return [
      { name: "web-1", kind: "agent", host: "web-1.example.net", agent_version: "0.1.0", present: true, last_seen_ms: nowMs - (nowMs % 5000), counters: counters(made(31), { superseded: 14, buffered: 62 }) },
      { name: "web-2", kind: "agent", present: true, last_seen_ms: nowMs - (nowMs % 5000) - 1000, counters: counters(made(29), { rejected: { "graphite: bad value": 12, "perfdata: bad number": 3 } }) },
      { name: "db-1", kind: "agent", present: true, last_seen_ms: nowMs - 2300, counters: counters(made(33)), conflict: { host: "db-1-clone", run_id: "b7c1", at_ms: nowMs - 60_000, text: "an agent on host db-1-clone also calls itself db-1; it is refused until one of the two is renamed" } },
      { name: "batch-3.internal.example.net", kind: "agent", present: false, last_seen_ms: Math.round(this.lostSinceS * 1000), counters: counters(made(11), { evicted: 5120, buffered: 20_400 }) },
      { name: "collectd-edge", kind: "push", present: false, last_seen_ms: nowMs - 334_000, counters: counters(made(5)) },
    ];
  }

  listChecks(nowMs) {
    if (this.empty) return [];
    const item = (label, value, unit, warn, crit, min = 0, max = null) => ({ label, value, unit, warn, crit, min, max });
    const check = (source, name, status, minutes, text, perfdata = [], hard = true) => ({ source, check: name, status, hard, state_since_ms: nowMs - minutes * 60_000, at_ms: nowMs - (nowMs % 30_000), text, perfdata });
    return [
      check("web-1", "disk", 0, 4000, "DISK OK - free space: / 19252 MiB (48%)", [item("/", 20_900, "MB", "32768", "36864", 0, 40_960)]),
      check("web-1", "load", 0, 900, "OK - load average: 0.94, 0.90, 0.88", [item("load1", 0.94, "", "5", "10"), item("load5", 0.9, "", "4", "8")]),
      check("web-1", "http", 1, 3, "HTTP WARNING: HTTP/1.1 200 OK - 5120 bytes in 1.242 second response time\nThe certificate of example.net is valid until 2027-01-02.", [item("time", 1.242, "s", "1", "3", 0, 10), item("size", 5120, "B", "", "")], false),
      check("web-1", "ntp_time", 0, 60, "NTP OK: Offset -0.0008 secs", [item("offset", -0.0008, "s", "60", "120", null)]),
      check("web-2", "disk", 0, 4000, "DISK OK"),
      check("db-1", "postgres_replication", 2, 26, "CRITICAL: replica db-2 is 4312 s behind (allowed: 300 s)", [item("lag", 4312, "s", "60", "300")]),
      check("db-1", "disk", 1, 190, "DISK WARNING - free space: /var/lib/postgresql 21044 MiB (10%)"),
      check("db-1", "raid", 3, 12, "UNKNOWN: /usr/lib/nagios/plugins/check_raid does not exist (exit code 127)"),
      check("batch-3.internal.example.net", "queue", 0, 700, "OK - 12 jobs wait"),
    ];
  }

  listAlerts(nowMs) {
    if (this.empty) return [];
    const alert = (labels, annotations, state, minutes, value) => ({ labels, annotations, state, activeAt: new Date(nowMs - (nowMs % 60_000) - minutes * 60_000).toISOString(), value });
    const list = [
      alert({ alertname: "CheckWarning", source: "web-1", check: "http", severity: "warning", env: "prod" }, { summary: "http on web-1 is WARNING: 1.242 s response time", runbook: "Run the check by hand on the host; its text says what it found." }, "pending", 3, "1"),
    ];
    if (this.firing) {
      list.push(alert({ alertname: "ReplicaBehind", source: "db-1", severity: "page", env: "prod" }, { summary: "The replica of db-1 is 72 minutes behind", description: "Reads from the replica are stale. Failing over now would lose what is not replicated.", runbook_url: "https://runbooks.example.net/replica" }, "firing", 26, "4312"));
    }
    if (this.tripped) {
      list.push(alert({ alertname: "DemoTrip", source: "web-1", severity: "page" }, { summary: "A demo alert, tripped by hand" }, "firing", 0, "1"));
    }
    return list;
  }

  /** Without topics as `serve`, with topics as on AWS: `pager` then says whether its subscription is confirmed. */
  pagerState(nowMs) {
    if (!this.topics) {
      const receivers = [
        { name: "night-pager", to: "https://pager.example.net/hook", delivered: this.pager, answer: this.pager ? "202 Accepted" : "", at_ms: this.pager ? nowMs - 1_500_000 : 0 },
      ];
      return { connected: this.pager, topics: false, receivers, waiting: [], subscribers: [], subscribers_error: null };
    }
    const receivers = [
      { name: "pager", to: "the pager topic", delivered: true, answer: "message 7f3c", at_ms: nowMs - 1_500_000 },
      { name: "mail", to: "the mail topic", delivered: false, answer: "AuthorizationError", at_ms: nowMs - 60_000 },
    ];
    const subscribers = [
      { destination: "mail", protocol: "email", endpoint: "o…@example.net", confirmed: true },
      { destination: "pager", protocol: "https", endpoint: "https://events.pager.example.net/…", confirmed: this.pager },
    ];
    const attempts = [{ at: nowMs - 60_000, answer: "AuthorizationError", permanent: true }];
    const waiting = [{ receiver: "mail", to: "the mail topic", labels: { alertname: "DiskFull", instance: "web-1" }, due_at_ms: null, attempts, gave_up: true }];
    return { connected: this.pager, topics: true, receivers, waiting, subscribers, subscribers_error: null };
  }

  listRules() {
    const rule = (name, query, duration, state) => ({ name, type: "alerting", query, duration, state, labels: { severity: "page" }, annotations: {}, health: "ok", lastError: "", alerts: [] });
    return [
      { name: "hosts", file: "starter.yml", interval: 10, rules: [rule("DiskFillsUp", "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1", 300, "inactive"), rule("HostGone", 'up{job="node"} == 0', 60, "inactive")] },
      { name: "database", file: "db.yml", interval: 1, rules: [rule("ReplicaBehind", 'check_value{check="postgres_replication",label="lag"} > 300', 60, this.firing ? "firing" : "inactive")] },
    ];
  }
}
