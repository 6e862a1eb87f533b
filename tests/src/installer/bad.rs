//! What a user or a host has wrong: each is named, with what to do, and leaves nothing behind.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::root::Root;
use super::{CONNECTED, Offer};

/// A server that gives one answer to each path that ends in a key of `answers`, 404 else.
async fn stranger(answers: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = socket.read(&mut request).await.unwrap_or(0);
            let asked = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = asked.split(' ').nth(1).unwrap_or_default();
            let (status, body) = match answers.iter().find(|(end, _)| path.ends_with(end)) {
                Some((_, body)) => ("200 OK", *body),
                None => ("404 Not Found", "nothing here"),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = socket.write_all((head + body).as_bytes()).await;
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_installed_says_why_and_leaves_nothing() {
    let Some(root) = Root::new() else { return };
    let (mut offer, place) = Offer::started().await;
    let hello = stranger(&[("", "hello")]).await;
    let no_agent = stranger(&[("endpoints", "{\"websocket\":\"ws://x\"}")]).await;
    let changed = stranger(&[
        ("endpoints", "{\"websocket\":\"ws://x\"}"),
        (".sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  x\n"),
        ("", "abd"),
    ])
    .await;
    let url = offer.url();
    let (agent, read) = (place.agent_key.as_str(), place.read_key.as_str());
    // The script stands in the root, so that nothing of the network is needed to begin.
    let script = format!("curl -fsS {url}/install.sh -o /tmp/install.sh");
    assert!(root.run(&script).ok);
    let run = |key: &str, arguments: &str| format!("DAYWATCH_KEY={key} sh /tmp/install.sh {arguments} --no-service");
    let to = |url: &str| run(agent, &format!("--url {url}"));
    let as_machine = |machine: &str| {
        format!(
            "mkdir -p /tmp/m; printf '#!/bin/sh\\ncase $1 in -m) echo {machine};; *) echo Linux;; esac' >/tmp/m/uname; \
                 chmod +x /tmp/m/uname; export PATH=/tmp/m:$PATH; "
        )
    };
    let without = |names: &str| {
        format!(
            "rm -rf /tmp/p; mkdir /tmp/p; ln -s /usr/bin/* /usr/sbin/* /tmp/p 2>/dev/null; \
                 (cd /tmp/p && rm -f {names}); export PATH=/tmp/p; "
        )
    };
    let before = root.files();
    let table: Vec<(String, &[&str])> = vec![
        (run("", &format!("--url {url}")), &["DAYWATCH_KEY is missing", "keys create --kind agent"]),
        (run(read, &format!("--url {url}")), &["not an agent's key", "keys create --kind agent"]),
        (run("secret", &format!("--url {url}")), &["no Daywatch key", "dw_agent_"]),
        (run("'dw agent'", &format!("--url {url}")), &["no Daywatch key"]),
        (run("", &format!("--url {url} {agent}")), &["command line", "DAYWATCH_KEY="]),
        (run(agent, ""), &["--url is missing"]),
        (format!("DAYWATCH_KEY={agent} sh /tmp/install.sh --no-service --url"), &["--url needs a value"]),
        (run(agent, "--url ftp://x"), &["http:// or https://"]),
        (run(agent, "--url 'http://x\"y'"), &["characters that no address has"]),
        (run(agent, &format!("--url {url} --name 'a b'")), &["--name", "letters"]),
        (run(agent, &format!("--url {url} --colour red")), &["unknown argument \"--colour\"", "usage"]),
        (to("http://127.0.0.1:9"), &["nothing answers at http://127.0.0.1:9", "Check --url"]),
        (to("http://daywatch.invalid"), &["nothing answers", "resolve"]),
        (to(&hello), &["it is no Daywatch", "check --url"]),
        (to(&no_agent), &["checksum of the agent cannot be fetched", "404"]),
        (to(&changed), &["does not match its checksum", "try again"]),
        (to(&url.replace("http:", "https:")), &["is not trusted", "SSL"]),
        (
            format!("DAYWATCH_KEY={agent} sh /tmp/install.sh --url {url}"),
            &["systemd does not run here", "--no-service"],
        ),
        (format!("runuser -u nobody -- sh -c '{}'", to(&url)), &["only root", "sudo"]),
        (as_machine("mips64") + &to(&url), &["there is no agent for mips64", "x86_64 and aarch64"]),
        (without("curl wget") + &to(&url), &["neither curl nor wget", "install one"]),
        (without("sha256sum shasum openssl") + &to(&url), &["sha256sum"]),
        (without("useradd adduser") + &to(&url), &["neither useradd nor adduser"]),
    ];
    for (script, parts) in table {
        let ran = root.run(&script);
        assert!(!ran.ok, "{script}: {}", ran.text);
        assert!(ran.text.starts_with("install.sh: "), "{script}: {}", ran.text);
        for part in parts {
            assert!(ran.text.contains(part), "{script}: {part:?} is not in: {}", ran.text);
        }
        assert!(!ran.text.contains(agent), "{}", ran.text);
        root.assert_unchanged(&before, "", &script);
    }
    let ran = root.run_without_network(&to(&url));
    assert!(!ran.ok && ran.text.contains("nothing answers at") && ran.text.contains("the network"), "{}", ran.text);
    root.assert_unchanged(&before, "", "no network");

    // A key that nobody knows is found out by the agent: it is installed, and says what is wrong.
    let last = if agent.ends_with('a') { 'b' } else { 'a' };
    let wrong = format!("{}{last}", &agent[..agent.len() - 1]);
    let ran = root.run(&run(&wrong, &format!("--url {url} --name web-1")));
    assert!(!ran.ok && ran.text.contains("the server refuses the key (status 401)"), "{}", ran.text);
    assert!(ran.text.contains("put this right and run this again"), "{}", ran.text);
    // The same line with the right key, on a host that has wget and no curl.
    let ran = root.run(&(without("curl") + &run(agent, &format!("--url {url} --name web-1"))));
    assert!(ran.ok && ran.last == CONNECTED, "{}", ran.text);
    let ran = root.run("sh /tmp/install.sh --uninstall");
    assert!(ran.ok, "{}", ran.text);
    root.assert_unchanged(&before, "", "removing it leaves nothing");
    // Where there is nothing to remove, there is nothing to complain about.
    assert!(root.run("sh /tmp/install.sh --uninstall").ok);
    offer.stop().await;
}
