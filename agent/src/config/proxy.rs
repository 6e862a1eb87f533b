//! The proxy: `proxy` in the file, or what the environment says.

use std::fmt;

use super::Overrides;

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its name or IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `user:password`, where it wants one.
    pub login: Option<String>,
    /// Hosts that are reached without it, separated by commas: `NO_PROXY`.
    pub except: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.shown())
    }
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`; the scheme may be absent, as in many environments.
    pub fn parse(url: &str) -> Result<Self, String> {
        // The text may hold a password, so it is not repeated.
        let wrong = || "a proxy is written as http://host:port, or http://user:password@host:port".to_owned();
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err(wrong()),
            None => url,
        };
        let rest = rest.trim_end_matches('/');
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login.to_owned()), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (place, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@".contains(c)) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port, login, except: String::new() })
    }

    /// Without its password.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The proxy for a server at `url`: the file's, where empty is none at all, else the environment's.
    pub(super) fn choose(file: Option<&str>, overrides: &Overrides, url: &str) -> Result<Option<Self>, String> {
        let environment = if url.starts_with("https:") { &overrides.https_proxy } else { &overrides.http_proxy };
        let Some(text) = file.or(environment.as_deref()).filter(|text| !text.is_empty()) else { return Ok(None) };
        let except = overrides.no_proxy.clone().unwrap_or_default();
        Ok(Some(Self { except, ..Self::parse(text)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_proxies() {
        let check = |url: &str, expected: Option<(&str, u16, Option<&str>)>| {
            let proxy = Proxy::parse(url);
            let got = proxy.as_ref().ok().map(|p| (p.host.as_str(), p.port, p.login.as_deref()));
            assert_eq!(got, expected, "{url}");
            assert!(!format!("{proxy:?}").contains("secret"));
        };
        check("http://p.example.org:3128", Some(("p.example.org", 3128, None)));
        check("http://p/", Some(("p", 80, None)));
        check("p:8080", Some(("p", 8080, None)));
        check("http://me:secret@[::1]:3128", Some(("::1", 3128, Some("me:secret"))));
        check("http://[fd00::1]", Some(("fd00::1", 80, None)));
        for bad in ["", "https://p:1", "socks5://p:1", "http://", "http://p:x", "http://p:65536", "http://p q:1"] {
            check(bad, None);
        }
    }

    #[test]
    fn the_file_wins_over_the_environment_and_may_say_none() {
        let overrides = Overrides {
            https_proxy: Some("http://s:1".to_owned()),
            http_proxy: Some("http://h:2".to_owned()),
            no_proxy: Some("x".to_owned()),
            ..Overrides::default()
        };
        let choose = |file, url| Proxy::choose(file, &overrides, url).unwrap().map(|proxy| proxy.shown());
        assert_eq!(choose(None, "https://a").as_deref(), Some("s:1"));
        assert_eq!(choose(None, "http://a").as_deref(), Some("h:2"));
        assert_eq!(choose(Some("http://f:3"), "http://a").as_deref(), Some("f:3"));
        assert_eq!(choose(Some(""), "http://a"), None);
        assert_eq!(Proxy::choose(None, &Overrides::default(), "http://a").unwrap(), None);
    }
}
