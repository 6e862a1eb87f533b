//! Everything that is tested from outside of a single crate, as one binary: it links once.
//!
//! A test that needs a program or a folder which is not there says `skipped: …` and why; nothing
//! is left out in silence. Ports are chosen by the system, and waiting is for a condition with a
//! deadline. Find your way:
//!
//! * `bad_input`: wrong keys, bad frames, lines, documents and configurations: what they are told,
//!   where it is counted, and that their neighbours go through.
//! * `boundaries`: who may depend on whom, read from `cargo metadata`; no runtime, HTTP or AWS crate
//!   below `pipeline`. Forged edges show that it refuses.
//! * `clients`: PyPI's OpenTelemetry SDK, graphyte, statsd and datadog, Debian's node_exporter and collectd: what they
//!   send is what queries find.
//! * `cloud`: the template with the six functions on an emulator of AWS: the main job through the
//!   strict gateway and SNS, restarts under load, wrong settings, the commands of docs/operations.md.
//! * `end_to_end`: the main job on real input, against any address: the real agent with real plugins,
//!   collectd and a log that rotates; query, block, page, webhook, ledger.
//! * `hostile_plugins`: plugins that hang, flood, fork or are missing, on the real agent.
//! * `house`: rules on files that a compiler does not know: length, names, no skipped test, no path
//!   of somebody's machine.
//! * `installer`: `curl … | sh` in a bare Debian root, as a service under systemd too; upgrade, removal,
//!   and what a host or a user may have wrong.
//! * `kills`: kill -9 of `serve` under load and of the agent while it buffers; the server away for a
//!   while. Counted by queries against the senders' own ledgers.
//! * `pagerduty`: alerts through a double of SNS to a double of PagerDuty's endpoint, which drops what
//!   breaks its rule, as the real one does; the end-to-end tests may subscribe it to any SNS.
//! * `power_cuts`: what was not synced is dropped, in one process on a disk in memory; the store of
//!   blocks fails for a quarter of an hour.
//! * `same_answers`: Debian's Prometheus sends by remote_write, then both answer 20 queries, and bad ones, the
//!   same, also after writes that were refused; `promtool query` reads us.
//! * `same_language`: the same samples in Prometheus and here, then 1,700 expressions, each with the same value or refusal.
//! * `refusing`: a door that refuses as it is told, for `same_answers`.
//! * `pushes`: remote write, OTLP and compressed Graphite through `serve`:
//!   the samples are found, the ledger balances, a bomb costs no memory.
//! * `scenarios`: `scenarios/*.txt`, samples in, states and notifications out, on a clock that stands.
//! * `storm`: 60 agents lose their connections at once, twice: none seems to be down, nothing is lost.
//! * `simulation`: the functions under event source mappings, resharding and crashes, by seeds; the
//!   simulator's own rules against traces; wrong ways that it must catch.
//! * `strict_gateway`: limits of API Gateway's websockets, one by one, and the real agent through them.
//! * `template`: what must hold for `infra/template.yaml` and `infra/gateway.yaml`: rights, failure options, encryption, names.
//!   Broken copies show that each rule refuses.
//! * `two_agents`: two agents of one name.

#![cfg(test)]

mod bad_input;
mod boundaries;
mod clients;
mod cloud;
mod end_to_end;
mod hostile_plugins;
mod house;
mod installer;
mod kills;
mod pagerduty;
mod power_cuts;
mod pushes;
mod refusing;
mod same_answers;
mod same_language;
mod scenarios;
mod simulation;
mod storm;
mod strict_gateway;
mod template;
mod two_agents;
