//! Programs of the host that speak StatsD, and a target that the agent scrapes: to a query.

use serde_json::json;
use tests::process::free_port;
use tests::{Place, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::host::Host;

/// Where the agent takes StatsD and what it scrapes.
pub(super) struct Senders {
    statsd_port: u16,
    target_port: u16,
}

impl Senders {
    /// Starts the target.
    pub(super) async fn start() -> Self {
        let target = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let target_port = target.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = target.accept().await {
                let mut request = [0; 4_096];
                let _ = socket.read(&mut request).await;
                let body = "# TYPE e2e_scraped counter\n# HELP e2e_scraped All of them.\ne2e_scraped_total{zone=\"a\"} 12 # {trace_id=\"x\"} 1\n# EOF\n";
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0\r\nConnection: close";
                let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        Self { statsd_port: free_port(), target_port }
    }

    /// Their part of the agent's configuration.
    pub(super) fn config(&self) -> String {
        format!(
            "[statsd]\nlisten = \"127.0.0.1:{}\"\nflush = \"1s\"\n[[scrape]]\nurl = \"http://127.0.0.1:{}\"\njob = \
             \"target\"\ninterval = \"1s\"\n",
            self.statsd_port, self.target_port
        )
    }

    /// Counters, gauges and scraped samples are found by queries.
    pub(super) async fn reach_the_agent(&self, place: &Place, host: &Host) {
        let source = &host.agent.name;
        let sender = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let lines = "e2e.orders:5|c\ne2e.orders:-2|c\ne2e.orders:4|c|@0.5|#zone:a\ne2e.depth:320|g";
        sender.send_to(lines.as_bytes(), ("127.0.0.1", self.statsd_port)).await.expect("sent");
        let statsd = format!("source=\"{source}\",instance=\"{source}\",job=\"statsd\"");
        let target = format!("source=\"{source}\",instance=\"127.0.0.1:{}\",job=\"target\"", self.target_port);
        for (expr, expected) in [
            (format!("sum({{__name__=\"e2e.orders\",{statsd}}})"), 11.0),
            (format!("{{__name__=\"e2e.orders\",zone=\"a\",{statsd}}}"), 8.0),
            (format!("{{__name__=\"e2e.depth\",{statsd}}}"), 320.0),
            (format!("e2e_scraped_total{{zone=\"a\",{target}}}"), 12.0),
            (format!("up{{{target}}}"), 1.0),
        ] {
            let found = async || place.number(&expr).await.filter(|found| *found == expected);
            until(&format!("{expr} is {expected}"), found).await;
        }
        until("what the target says of its metric is shown", async || {
            let data = place.data("/api/v1/metadata", &[("metric", "e2e_scraped")]).await?;
            let expected = json!({"e2e_scraped": [{"type": "counter", "help": "All of them.", "unit": ""}]});
            (data == expected).then_some(())
        })
        .await;
    }
}
