//! The agent as systemd's service: the unit, and a root that is really booted.

use std::process::Command;

use tests::until;

use super::root::Root;
use super::{CONNECTED, Offer};

/// What the scripts of booted roots begin with.
pub(super) const WORDS: &str = r#"
show() { systemctl show -p "$1" --value daywatch-agent; }
status() { runuser -u daywatch -- daywatch-agent status; }
until_up() { for i in $(seq 150); do sleep 0.2; status | grep -q 'connection *up' && break; done; status | grep connection; }
"#;

/// What a root that runs systemd does: installs, upgrades, loses its agent, has a plugin that is setuid.
const LIFE: &str = r#"
LINE | tail -n 1
echo "active: $(systemctl is-active daywatch-agent), $(systemctl is-enabled daywatch-agent)"
echo "caps: $(show MemoryMax) $(show CPUQuotaPerSecUSec)"
LINE | tail -n 2 | tr '\n' ';'; echo

install -m 4755 /usr/bin/id /usr/bin/setuid-plugin
install -m 0640 -g adm /dev/null /var/log/try.log
cat >>/etc/daywatch/agent.toml <<TOML
[[check]]
name = "setuid"
command = ["/usr/bin/setuid-plugin", "-u"]
interval = "1s"
[[log]]
paths = ["/var/log/try.log"]
interval = "1s"
[[log.count]]
name = "try_lines_total"
pattern = "hello"
[buffer]
flush = "1s"
TOML
systemctl restart daywatch-agent
until_up
first=$(show MainPID)
kill -KILL "$first"
for i in $(seq 100); do sleep 0.2; now=$(show MainPID); [ "$now" != 0 ] && [ "$now" != "$first" ] && break; done
echo "after a kill: $(systemctl is-active daywatch-agent), $(show NRestarts)"
until_up
echo "user: $(stat -c %U /proc/$now)"
for i in $(seq 10); do echo hello $i >>/var/log/try.log; sleep 0.3; done
runuser -u daywatch -- cmp /proc/1/mounts /proc/$$/mounts && echo "mounts: the host's can be read"

sed -i 's|^url = .*|url = "http://127.0.0.1:9"|' /etc/daywatch/agent.toml
LINE | tail -n 1
echo "keys in the journal: $(journalctl -u daywatch-agent -o cat | grep -c dw_agent_)"
curl -fsS URL/install.sh | sh -s -- --uninstall
echo "left: $(systemctl is-active daywatch-agent) $(ls -d /etc/daywatch /var/lib/daywatch /usr/bin/daywatch-agent /etc/systemd/system/daywatch-agent.service /etc/systemd/system/multi-user.target.wants/daywatch-agent.service 2>/dev/null | wc -l) $(grep -c daywatch /etc/passwd)"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_service_survives_what_services_meet() {
    let Some(root) = Root::new() else { return };
    let (mut offer, place) = Offer::started().await;
    let line = offer.line(&place.agent_key, "--name web-1");
    let Some(told) = root.boot(&[WORDS, LIFE].concat().replace("LINE", &line).replace("URL", &offer.url())) else {
        return;
    };
    let expected = [
        CONNECTED,
        "active: active, enabled",
        "caps: 268435456 500ms",
        &format!("nothing was out of date; the agent runs;{CONNECTED};"),
        "connection    up",
        "after a kill: active, 1",
        "connection    up",
        "user: daywatch",
        "mounts: the host's can be read",
        CONNECTED,
        "keys in the journal: 0",
        "the agent is removed; what it has sent stays on the server",
        "left: inactive 0 0",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let check = until("the plugin's result is there", async || place.check("web-1", "setuid").await).await;
    assert_eq!((&check["status"], &check["text"]), (&0.into(), &"0".into()), "a setuid plugin is root: {check}");
    let lines = until("the log was followed", async || {
        place.number("max_over_time(try_lines_total{source=\"web-1\"}[5m])").await
    })
    .await;
    assert!(lines > 5.0, "{lines}");
    until("what it sent is counted", async || {
        place.ledger("web-1").await.filter(|ledger| ledger.stored > 0 && ledger.missing == 0)
    })
    .await;
    offer.stop().await;
}

#[test]
fn systemd_understands_the_unit() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/daywatch-agent.service");
    let folder = tempfile::tempdir().expect("a folder");
    // Its program must exist for the judge.
    let text = std::fs::read_to_string(unit).expect("the unit").replace("/usr/bin/daywatch-agent", "/bin/true");
    let path = folder.path().join("daywatch-agent.service");
    std::fs::write(&path, text).expect("it is written");
    let Ok(output) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() else {
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Newer than Debian 12's systemd, which goes on without them.
    let newer = ["RestartSteps", "RestartMaxDelaySec"];
    let complaints: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("daywatch-agent") && !newer.iter().any(|key| line.contains(key)))
        .collect();
    assert!(complaints.is_empty(), "{said}");
}
