//! Configurations as text, and what is read or said of them.

use super::*;

fn overrides() -> Overrides {
    Overrides { host_name: "host-1".to_owned(), ..Overrides::default() }
}

pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("/etc/daywatch/agent.toml"), text, overrides())
}

/// The error's text must be `expected`.
fn check(text: &str, expected: &str) {
    let error = parse(text).map(|config| format!("{config:?}")).unwrap_err();
    assert_eq!(error.to_string(), expected, "for {text:?}");
}

const HEAD: &str = "url = \"http://h:1\"\nkey_file = \"k\"\n";

#[test]
fn the_whole_example_of_the_documentation() {
    let config = parse(
        r#"
url = "http://127.0.0.1:9595/"
key_file = "agent.key"
name = "web-1"
data_dir = "/var/lib/daywatch"
[labels]
env = "prod"
[host]
enabled = true
interval = "10s"
[[check]]
name = "load"
command = ["/usr/lib/nagios/plugins/check_load", "-w", "5"]
interval = "30s"
timeout = "10s"
attempts = 3
retry_interval = "10s"
env = { LANG = "C" }
[[check]]
name = "disk"
builtin = "disk"
warn = "80"
crit = "90"
[graphite]
listen = "127.0.0.1:2003"
[statsd]
listen = "127.0.0.1:8125"
[buffer]
max_bytes = 52428800
fsync = "1s"
[[log]]
paths = ["/var/log/*.log"]
[[log.count]]
name = "timeouts_total"
pattern = "timed out"
"#,
    )
    .unwrap();
    assert_eq!(config.url, "http://127.0.0.1:9595");
    assert_eq!(config.key, KeySource::File("/etc/daywatch/agent.key".into()));
    assert_eq!(config.name.as_str(), "web-1");
    assert_eq!(config.labels["env"], "prod");
    assert_eq!(config.checks.len(), 2);
    assert_eq!(config.checks[0].attempts, 3);
    assert_eq!(config.checks[1].builtin, Some(Builtin::Disk));
    assert_eq!(config.buffer.fsync, Fsync::Every(Period::seconds(1)));
    assert_eq!(config.logs[0].count[0].pattern, "timed out");
}

#[test]
fn the_example_file_is_fine() {
    let config = parse(include_str!("../../agent.example.toml")).unwrap();
    assert_eq!((config.checks.len(), config.logs.len(), config.scrapes.len()), (3, 1, 1));
    assert_eq!(config.checks[2].format, CheckFormat::Prometheus);
}

#[test]
fn what_a_gateways_machine_makes_of_the_packaged_file_is_fine() {
    let template = include_str!("../../../infra/gateway.yaml");
    let edit =
        template.lines().find_map(|line| line.trim().strip_prefix("sed -i 's|^")).expect("the template edits the file");
    let (line, rest) = edit.split_once("$|").expect("a whole line is replaced");
    let (put, _) = rest.split_once("|'").expect("by something");
    let packaged = include_str!("../../../packaging/agent.toml");
    assert_eq!(packaged.lines().filter(|packaged| *packaged == line).count(), 1);
    let edited = packaged.replace(line, &put.replace("\\n", "\n").replace("${AllowedCidr}", "10.0.0.0/8"));
    let config = parse(&edited.replace("#url", "url")).unwrap();
    assert!(config.graphite.gateway && config.graphite.allowed().hold("10.1.2.3".parse().unwrap()));
    assert_eq!(config.graphite.address(), "0.0.0.0:2003");
    assert_eq!(listen_text(&config.graphite.health_listen), "0.0.0.0:2080");
}

#[test]
fn little_is_needed() {
    let config = parse(HEAD).unwrap();
    assert_eq!(config.name.as_str(), "host-1");
    assert!(config.host.enabled);
    assert_eq!(config.buffer.max_bytes, BUFFER_BYTES_DEFAULT);
    assert_eq!(config.graphite.address(), "127.0.0.1:2003");
}

#[test]
fn the_command_line_wins() {
    let overrides = Overrides {
        url: Some("https://other".into()),
        key_file: Some("here".into()),
        key: Some("dw_agent_x_y".into()),
        data_dir: Some("d".into()),
        host_name: "h".into(),
        ..Overrides::default()
    };
    let config = Config::parse(Path::new("a.toml"), HEAD, overrides).unwrap();
    assert_eq!(config.url, "https://other");
    assert_eq!(config.key, KeySource::File("here".into()));
    assert_eq!(config.data_dir, Path::new("d"));
    let overrides = Overrides { key: Some(" secret\n".into()), ..self::overrides() };
    let config = Config::parse(Path::new("a.toml"), HEAD, overrides).unwrap();
    assert_eq!(config.key, KeySource::Given("secret".into()));
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn an_unknown_key_gets_a_hint() {
    check(
        &format!("{HEAD}[host]\nintervall = \"10s\"\n"),
        "/etc/daywatch/agent.toml:4:1: unknown field `intervall`, expected `enabled` or `interval`\n  \
         | intervall = \"10s\"\n  | ^\nhint: did you mean `interval`?",
    );
}

#[test]
fn a_bad_value_names_its_field_and_place() {
    check(
        &format!("{HEAD}[host]\ninterval = \"10x\"\n"),
        "/etc/daywatch/agent.toml:4:12: `interval`: \"10x\" is not a period: write a number and ms, s, m, h or d, as in \
         \"10s\"\n  | interval = \"10x\"\n  |            ^",
    );
    let error = parse(&format!("{HEAD}[host]\nenabled = 1\n")).unwrap_err();
    assert_eq!((error.at, error.text.contains("`enabled`")), (Some((4, 11)), true), "{error}");
}

#[test]
fn checks_are_held_to_their_rules() {
    let at = |text: &str| parse(&format!("{HEAD}{text}")).unwrap_err().to_string();
    assert!(at("[[check]]\nname = \"a\"\n").contains("agent.toml:4:8: check \"a\" needs a `command` or a `builtin`"));
    let both = "[[check]]\nname = \"a\"\nbuiltin = \"load\"\n";
    assert!(at(&format!("{both}command = [\"x\"]\n")).contains("has both"));
    assert!(at(&format!("{both}{both}")).contains("agent.toml:7:8: check \"a\" is already defined in line 4"));
    assert!(at("[[check]]\nname = \"a\"\nbuiltin = \"cpu\"\n").contains("unknown variant `cpu`"));
    assert!(at(&format!("{both}attempts = 0\n")).contains("`attempts`"));
    assert!(parse(&format!("{HEAD}{both}attempts = {ATTEMPTS_MAX}\n")).is_ok());
    assert!(at(&format!("{both}attempts = {}\n", ATTEMPTS_MAX + 1)).contains("`attempts`"));
}

#[test]
fn limits_at_the_limit_and_one_past_it() {
    let checks = |count: usize| {
        let all: String = (0..count).map(|n| format!("[[check]]\nname = \"c{n}\"\nbuiltin = \"load\"\n")).collect();
        parse(&format!("{HEAD}{all}"))
    };
    assert!(checks(CHECKS_MAX).is_ok());
    assert!(checks(CHECKS_MAX + 1).is_err());
    let logs = |count: usize| parse(&format!("{HEAD}{}", "[[log]]\npaths = []\n".repeat(count)));
    assert!(logs(LOGS_MAX).is_ok());
    assert!(logs(LOGS_MAX + 1).is_err());
    let labels = |count: usize| {
        let all: String = (0..count).map(|n| format!("l{n} = \"x\"\n")).collect();
        parse(&format!("{HEAD}[labels]\n{all}"))
    };
    assert!(labels(LABELS_MAX).is_ok());
    assert!(labels(LABELS_MAX + 1).is_err());
    let buffer = |bytes: u64| parse(&format!("{HEAD}[buffer]\nmax_bytes = {bytes}\n"));
    assert!(buffer(BUFFER_BYTES_MIN).is_ok() && buffer(BUFFER_BYTES_MAX).is_ok());
    assert!(buffer(BUFFER_BYTES_MIN - 1).is_err() && buffer(BUFFER_BYTES_MAX + 1).is_err());
    let bytes = |count: usize| parse(&format!("{HEAD}#{}", "x".repeat(count - HEAD.len() - 1)));
    assert!(bytes(CONFIG_BYTES_MAX).is_ok());
    assert!(bytes(CONFIG_BYTES_MAX + 1).is_err());
}

#[test]
fn a_url_and_a_key_are_needed() {
    check("key_file = \"k\"", "/etc/daywatch/agent.toml: no `url`: set it in the file, by --url or by DAYWATCH_URL");
    assert!(parse("url = \"http://h\"").unwrap_err().text.contains("no key"));
    assert_eq!(parse("key_file = \"k\"\nurl = \"h:1\"").unwrap_err().at, Some((2, 7)));
}
