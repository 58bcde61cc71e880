//! Where Prometheus is asked: at a URL, or behind a service of the cluster.

use std::str::FromStr;

use http::uri::InvalidUri;

use super::error::Error;
use super::pod_ref::PodRef;

/// Where a Prometheus answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prometheus {
    /// At an address of its own. It gets no credentials of the cluster.
    Url(http::Uri),
    /// Behind a service, through the API server's proxy.
    Service {
        /// The service.
        service: PodRef,
        /// Its port, by number or name; none: to be found.
        port: Option<String>,
    },
}

impl FromStr for Prometheus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.contains("://") {
            let uri: http::Uri = text.parse().map_err(|error: InvalidUri| Error::usage(error))?;
            let host = uri.authority().filter(|authority| !authority.host().is_empty());
            return match (uri.scheme_str(), host) {
                (Some("http" | "https"), Some(host)) if host.as_str().contains('@') => {
                    let why = "credentials on a command line can be read by everybody on this machine; use NS/SERVICE";
                    Err(Error::usage(why))
                }
                (Some("http" | "https"), Some(_)) if uri.query().is_none() => Ok(Self::Url(uri)),
                _ => Err(Error::usage("write http://HOST[:PORT][/PATH], https://… or NS/SERVICE[:PORT]")),
            };
        }
        let (service, port) = match text.split_once(':') {
            Some((service, port)) => (service, Some(port)),
            None => (text, None),
        };
        let plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        };
        let service: PodRef = service.parse().map_err(|error| Error::usage(format!("{error}, and no URL")))?;
        if !plain(&service.namespace) || !plain(&service.name) || !port.is_none_or(plain) {
            return Err(Error::usage(format!("'{text}' is not NS/SERVICE[:PORT]")));
        }
        Ok(Self::Service { service, port: port.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prometheus_is_an_address_or_a_service() {
        assert!(matches!("http://127.0.0.1:9090".parse(), Ok(Prometheus::Url(_))));
        assert!(matches!("https://prom.example/prefix".parse(), Ok(Prometheus::Url(_))));
        let Ok(Prometheus::Service { service, port }) = "monitoring/prometheus:web".parse() else {
            panic!("a service")
        };
        assert_eq!((service.to_string().as_str(), port.as_deref()), ("monitoring/prometheus", Some("web")));
        for wrong in ["prometheus", "ftp://x", "http://u:p@x", "http://x/?a=b", "a/b/c", "a/b:1/../x", "a/b:", "../x/y"]
        {
            assert!(wrong.parse::<Prometheus>().is_err(), "{wrong}");
        }
    }
}
