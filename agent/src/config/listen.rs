//! `[graphite]` and `[statsd]`: where lines are taken, and from whom.
//!
//! Without `gateway`, the agent listens on loopback addresses alone: nothing in these protocols says
//! who sends. As a gateway it takes what other hosts send, from the networks in `allow`.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use toml::Spanned;

use super::Period;
use super::error::{ConfigError, Place};

/// Networks in one `allow`.
pub const ALLOW_MAX: usize = 256;
/// Where Graphite lines are taken where nothing is said.
pub const GRAPHITE_DEFAULT: &str = "127.0.0.1:2003";

/// An address to listen on; empty is off.
pub type Listen = Option<Spanned<String>>;

/// `[graphite]`: the listener.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Graphite {
    /// TCP and UDP address of the plaintext protocol; `127.0.0.1:2003` where nothing is said.
    pub listen: Listen,
    /// TCP address of the pickle protocol.
    pub pickle_listen: Listen,
    /// Whether other hosts may send.
    pub gateway: bool,
    /// Who may, for a gateway.
    pub allow: Vec<Spanned<String>>,
    /// Where a load balancer may ask by HTTP whether this gateway works.
    pub health_listen: Listen,
}

/// `[statsd]`: the listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Statsd {
    /// TCP and UDP address.
    pub listen: Listen,
    /// How often what came in becomes samples.
    pub flush: Period,
    /// A series that nobody sent for this long is forgotten.
    pub expire: Period,
    /// Whether a gauge with a sign is a change (StatsD) or a value (Datadog).
    pub gauge_deltas: bool,
    /// Whether other hosts may send.
    pub gateway: bool,
    /// Who may, for a gateway.
    pub allow: Vec<Spanned<String>>,
}

impl Default for Statsd {
    fn default() -> Self {
        Self {
            listen: None,
            flush: Period::seconds(10),
            expire: Period::seconds(3_600),
            gauge_deltas: true,
            gateway: false,
            allow: Vec::new(),
        }
    }
}

impl Graphite {
    /// The address of the plaintext protocol; empty is off.
    #[must_use]
    pub fn address(&self) -> &str {
        self.listen.as_ref().map_or(GRAPHITE_DEFAULT, |listen| listen.get_ref())
    }

    /// Who may send.
    #[must_use]
    pub fn allowed(&self) -> Networks {
        Networks::of(&self.allow, self.gateway)
    }
}

impl Statsd {
    /// The address; empty is off.
    #[must_use]
    pub fn address(&self) -> &str {
        text(&self.listen)
    }

    /// Who may send.
    #[must_use]
    pub fn allowed(&self) -> Networks {
        Networks::of(&self.allow, self.gateway)
    }
}

/// The text of an address that may be absent.
#[must_use]
pub fn text(listen: &Listen) -> &str {
    listen.as_ref().map_or("", |listen| listen.get_ref())
}

/// A network in CIDR notation, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no network such as \"10.0.0.0/8\" or \"fd00::/8\"");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?,
        };
        Ok(Self { address, bits })
    }
}

impl Network {
    /// Whether `peer` is in it. An IPv4 address in IPv6 form counts as itself.
    #[must_use]
    pub fn holds(&self, peer: IpAddr) -> bool {
        let shift = |width: u8| u32::from(width.saturating_sub(self.bits));
        match (self.address, peer.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(peer)) => {
                u32::from(own).checked_shr(shift(32)) == u32::from(peer).checked_shr(shift(32))
            }
            (IpAddr::V6(own), IpAddr::V6(peer)) => {
                u128::from(own).checked_shr(shift(128)) == u128::from(peer).checked_shr(shift(128))
            }
            _ => false,
        }
    }
}

/// Who may send: this host and, for a gateway, the networks that it names.
#[derive(Debug, Clone)]
pub struct Networks {
    others: Vec<Network>,
    /// Always, but in a test of who is refused: every peer of a test is on this host.
    this_host: bool,
}

impl Default for Networks {
    fn default() -> Self {
        Self { others: Vec::new(), this_host: true }
    }
}

impl Networks {
    fn of(allow: &[Spanned<String>], gateway: bool) -> Self {
        let named = allow.iter().filter(|_| gateway).filter_map(|text| text.get_ref().parse().ok());
        Self { others: named.collect(), ..Self::default() }
    }

    /// Whether `peer` may send.
    #[must_use]
    pub fn hold(&self, peer: IpAddr) -> bool {
        (self.this_host && peer.to_canonical().is_loopback()) || self.others.iter().any(|network| network.holds(peer))
    }

    #[cfg(test)]
    pub(crate) fn none_at_all() -> Self {
        Self { this_host: false, ..Self::default() }
    }
}

/// Holds both sections to their rules.
pub(super) fn check(place: &Place<'_>, graphite: &Graphite, statsd: &Statsd) -> Result<(), ConfigError> {
    let listens = [
        ("listen", &graphite.listen, graphite.gateway),
        ("pickle_listen", &graphite.pickle_listen, graphite.gateway),
        ("health_listen", &graphite.health_listen, true),
        ("listen", &statsd.listen, statsd.gateway),
    ];
    for (key, listen, gateway) in listens {
        if let Some(listen) = listen.as_ref().filter(|listen| !listen.get_ref().is_empty()) {
            address(key, listen.get_ref(), gateway).map_err(|text| place.at(listen.span(), text))?;
        }
    }
    if let Some(listen) = &graphite.health_listen
        && !graphite.gateway
    {
        return Err(place.at(listen.span(), "`health_listen` is for `gateway = true`".to_owned()));
    }
    for (section, gateway, allow) in
        [("graphite", graphite.gateway, &graphite.allow), ("statsd", statsd.gateway, &statsd.allow)]
    {
        if gateway && allow.is_empty() {
            let text = format!("[{section}] gateway: say who may send, as in `allow = [\"10.0.0.0/8\"]`");
            return Err(place.whole(text));
        }
        if let (false, Some(first)) = (gateway, allow.first()) {
            return Err(place.at(first.span(), "`allow` is for `gateway = true`".to_owned()));
        }
        if let Some(past) = allow.get(ALLOW_MAX) {
            return Err(place.at(past.span(), format!("more than {ALLOW_MAX} networks")));
        }
        for network in allow {
            network.get_ref().parse::<Network>().map_err(|text| place.at(network.span(), text))?;
        }
    }
    Ok(())
}

fn address(key: &str, text: &str, gateway: bool) -> Result<(), String> {
    let named = text.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    let Some((host, _)) = named else {
        return Err(format!("`{key}` is {text:?}: an address is a host, a colon and a port"));
    };
    let loopback = text.parse::<SocketAddr>().map_or(host == "localhost", |address| address.ip().is_loopback());
    if !loopback && !gateway {
        return Err(format!(
            "`{key}` is {text:?}: other hosts can reach that, so it needs `gateway = true` and `allow`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::parse;

    fn at(text: &str) -> String {
        parse(&format!("url = \"http://h:1\"\nkey_file = \"k\"\n{text}")).unwrap_err().to_string()
    }

    #[test]
    fn networks_and_who_is_in_them() {
        let check = |network: &str, peer: &str, expected: bool| {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.holds(peer.parse().unwrap()), expected, "{network:?} {peer}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("10.1.2.3/8", "10.9.9.9", true);
        check("10.0.0.0/8", "::ffff:10.1.1.1", true);
        check("0.0.0.0/0", "203.0.113.1", true);
        check("0.0.0.0/0", "fd00::1", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.8", false);
        check("fd00::/8", "fdff::1", true);
        check("fd00::/8", "fe00::1", false);
        check("::/0", "2001:db8::1", true);
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "x", "10.0.0.0/", "::/129", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn this_host_may_always_send() {
        let networks = Networks { others: vec!["10.0.0.0/8".parse().unwrap()], ..Networks::default() };
        for (peer, expected) in [("127.0.0.1", true), ("::1", true), ("10.1.1.1", true), ("192.0.2.1", false)] {
            assert_eq!(networks.hold(peer.parse().unwrap()), expected, "{peer}");
        }
    }

    #[test]
    fn faults_name_their_place() {
        assert!(at("[graphite]\nlisten = \"localhost\"\n").contains("4:10: `listen` is \"localhost\": an address is"));
        assert!(
            at("[graphite]\nlisten = \"0.0.0.0:2003\"\n").contains("4:10: `listen` is \"0.0.0.0:2003\": other hosts")
        );
        assert!(at("[statsd]\nlisten = \"[::]:8125\"\n").contains("needs `gateway = true`"));
        assert!(at("[graphite]\ngateway = true\n").contains("say who may send"));
        assert!(
            at("[graphite]\ngateway = true\nallow = [\"10.0.0.0/8\", \"x\"]\n").contains("5:24: \"x\" is no network")
        );
        assert!(at("[statsd]\nallow = [\"::/0\"]\n").contains("4:10: `allow` is for"));
        assert!(at("[graphite]\nhealth_listen = \"0.0.0.0:80\"\n").contains("4:17: `health_listen` is for"));
        assert!(at("[statsd]\nflush_interval = \"10s\"\n").contains("4:1: unknown field"));
    }

    #[test]
    fn networks_at_the_limit_and_one_past_it() {
        let allow = |count: usize| {
            let all: Vec<String> = (0..count).map(|n| format!("\"10.0.{n}.0/24\"")).collect();
            let all = all.join(",").replace("10.0.256.0", "10.1.0.0");
            parse(&format!("url = \"http://h:1\"\nkey_file = \"k\"\n[statsd]\ngateway = true\nallow = [{all}]\n"))
        };
        assert!(allow(ALLOW_MAX).is_ok());
        assert!(allow(ALLOW_MAX + 1).unwrap_err().to_string().contains("more than 256 networks"));
    }
}
