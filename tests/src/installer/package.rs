//! Debian's package of the agent, in a root that runs systemd: installed without a key, started with
//! one, upgraded over a buffer that has something in it, purged.

use std::path::PathBuf;

use tests::programs;

use super::root::Root;
use super::service::WORDS;
use super::{CONNECTED, Offer};

/// What an administrator does. An upgrade is the same package once more: the maintainer scripts are told
/// of a version before theirs.
const LIFE: &str = r#"
export DEBIAN_FRONTEND=noninteractive
dpkg -i /package.deb >/dump 2>&1 || cat /dump
grep -c 'write an agent key into' /dump
echo "without a key: $(systemctl is-enabled daywatch-agent), $(systemctl is-active daywatch-agent)"
sed -i 's|^#url = .*|url = "URL"|; s|^#name = .*|name = "web-1"|' /etc/daywatch/agent.toml
echo KEY | install -m 0640 -g daywatch /dev/stdin /etc/daywatch/agent.key
stat -c '%a %U:%G %n' /etc/daywatch /etc/daywatch/* /var/lib/daywatch
runuser -u daywatch -- daywatch-agent connect
systemctl start daywatch-agent
until_up

sed -i 's|^url = .*|url = "http://127.0.0.1:9"|; s|^interval = "10s"|interval = "1s"|' /etc/daywatch/agent.toml
systemctl restart daywatch-agent
for i in $(seq 100); do sleep 0.2; status | grep -q '^buffer  *[1-9]' && break; done
dpkg -i /package.deb >/dump 2>&1 || cat /dump
echo "upgraded: $(systemctl is-active daywatch-agent), $(grep -c '127.0.0.1:9"' /etc/daywatch/agent.toml) address kept"
status | grep -c '^buffer  *[1-9]'
systemctl stop daywatch-agent
sed -i 's|^url = .*|url = "URL"|' /etc/daywatch/agent.toml
runuser -u daywatch -- daywatch-agent connect
status | grep -o '^buffer  *[0-9]* batches'
curl -fsS URL/install.sh | sh -s -- --url URL 2>&1 | head -c 60; echo
dpkg --purge daywatch-agent >/dump 2>&1 || cat /dump
echo "left: $(ls -d /etc/daywatch /var/lib/daywatch /usr/bin/daywatch-agent /lib/systemd/system/daywatch-agent.service /etc/systemd/system/multi-user.target.wants/daywatch-agent.service 2>/dev/null | wc -l) $(grep -c daywatch /etc/passwd /etc/group | tr '\n' ' ')"
"#;

/// The package, where `make agent-packages` was run.
fn package() -> Option<PathBuf> {
    let target = programs::daywatch_agent().parent()?.parent()?.join("packages");
    let mut files = std::fs::read_dir(target).ok()?.flatten().map(|entry| entry.path());
    files.find(|path| path.extension().is_some_and(|end| end == "deb"))
}

#[tokio::test(flavor = "multi_thread")]
async fn debians_package_is_installed_upgraded_and_purged() {
    let Some(package) = package() else {
        eprintln!("skipped: Debian's package of the agent; it is not built (make agent-packages)");
        return;
    };
    let Some(root) = Root::new() else { return };
    let (mut offer, place) = Offer::started().await;
    root.put(&package, "package.deb");
    let script = [WORDS, LIFE].concat().replace("URL", &offer.url()).replace("KEY", &place.agent_key);
    let Some(told) = root.boot(&script) else { return };
    let expected = [
        "1",
        "without a key: enabled, inactive",
        "750 root:daywatch /etc/daywatch",
        "640 root:daywatch /etc/daywatch/agent.key",
        "640 root:daywatch /etc/daywatch/agent.toml",
        "750 daywatch:daywatch /var/lib/daywatch",
        CONNECTED,
        "connection    up",
        "upgraded: active, 1 address kept",
        "1",
        CONNECTED,
        "buffer        0 batches",
        "install.sh: daywatch-agent is installed here as a package: u",
        "left: 0 /etc/passwd:0 /etc/group:0 ",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    offer.stop().await;
}
