//! Settings of the agent's configuration, as its container has them: one file a key below `/tmp/cilium/config-map`.
//!
//! `grep -s "" FILE…` prints `PATH:VALUE` for each file that is there. Only settings are read that change what a restart
//! does, or that a report for upstream has to name; none of them holds a name of the site.

use std::collections::BTreeMap;

/// Where the agent's configuration lies.
pub const FOLDER: &str = "/tmp/cilium/config-map";

/// The settings that are read. The first two are there in every configuration: without them there is none.
pub const KEYS: [&str; 20] = [
    "enable-ipv4",
    "enable-ipv6",
    "bpf-lb-sock",
    "bpf-lb-sock-hostns-only",
    "bpf-map-dynamic-size-ratio",
    "cni-chaining-mode",
    "cni-exclusive",
    "datapath-mode",
    "enable-bpf-masquerade",
    "enable-bpf-tproxy",
    "enable-endpoint-routes",
    "enable-host-firewall",
    "enable-ipsec",
    "enable-l7-proxy",
    "enable-wireguard",
    "kube-proxy-replacement",
    "policy-cidr-match-mode",
    "preallocate-bpf-maps",
    "routing-mode",
    "tunnel-protocol",
];

/// How many of [`KEYS`] are there in every configuration.
const ALWAYS: usize = 2;

/// The settings that are there, by key. A key that is not there has the release's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentConfig {
    /// The values.
    pub settings: BTreeMap<&'static str, String>,
}

impl AgentConfig {
    /// The value of a setting; none where the release's default holds.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }
}

/// Reads the settings; none where the text is none, for then every setting would look like the default.
#[must_use]
pub fn parse(text: &str) -> Option<AgentConfig> {
    let mut config = AgentConfig::default();
    for line in text.lines() {
        let Some((path, value)) = line.split_once(':') else { continue };
        // A mounted ConfigMap has a folder of its own in between.
        let Some(name) = path.strip_prefix(FOLDER).and_then(|rest| rest.rsplit('/').next()) else { continue };
        if let Some(key) = KEYS.iter().find(|key| **key == name) {
            config.settings.entry(key).or_insert_with(|| value.trim().to_owned());
        }
    }
    KEYS.iter().take(ALWAYS).any(|key| config.settings.contains_key(key)).then_some(config)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_setting_that_is_not_there_is_the_default_only_beside_one_that_is() {
        let config = parse(
            "/tmp/cilium/config-map/enable-ipv4:true\n/tmp/cilium/config-map/policy-cidr-match-mode:nodes pods\n\
             /tmp/cilium/config-map/cluster-name:secret\n",
        )
        .unwrap();
        assert_eq!(
            (config.get("enable-ipv4"), config.get("policy-cidr-match-mode")),
            (Some("true"), Some("nodes pods"))
        );
        assert_eq!((config.get("enable-wireguard"), config.settings.len()), (None, 2));
        for other in ["", "grep: no\n", "/tmp/cilium/config-map/enable-wireguard:true\n", "enable-ipv4:true\n"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "(?s).{0,200}") {
            let found = parse(&text);
            prop_assert!(found.is_none_or(|config| config.settings.len() <= KEYS.len()));
        }
    }
}
