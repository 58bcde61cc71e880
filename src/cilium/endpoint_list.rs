//! `cilium-dbg endpoint list -o json`: this node's endpoints with their devices, which only the JSON names.
//!
//! Some 6 KB an endpoint, of which a few fields are used. Releases added fields; missing ones stay empty.

use std::net::IpAddr;

use serde::Deserialize;

use crate::base::pod_ref::PodRef;
use crate::cilium::lines::rows;

/// The most endpoints that are kept: far more than a node has pods.
const MOST: usize = 4_096;
/// The identity of the node itself.
const HOST: u32 = 1;

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalEndpoint {
    /// Its number.
    pub id: u32,
    /// Its pod; none for the host, the health endpoint and the ingress.
    pub pod: Option<PodRef>,
    /// Its device on the host, `lxc…`; `cilium_host` for the host itself. None where it has none.
    pub interface: Option<String>,
    /// The number of that device.
    pub ifindex: Option<u32>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// `ready`, `regenerating`, `restoring`, `waiting-for-identity`, …
    pub state: String,
    /// What the agent thinks of its health as a whole: `OK`, `Bootstrap`, `Pending`, `Warning`, `Failure`, `Disabled`.
    pub health: Option<String>,
    /// What it thinks of its programs alone.
    pub bpf_health: Option<String>,
    /// Its identity.
    pub identity: Option<u32>,
    /// The cookie of its network namespace, in releases that print it.
    pub netns_cookie: Option<String>,
    /// The last message of its log that is not `OK`.
    pub last_trouble: Option<String>,
    /// Whether policies apply to it: `none`, `ingress`, `egress`, `both`, `audit-…`.
    pub policy_enabled: Option<String>,
    /// Whether its policies send packets through the agent's proxy, as DNS, FQDN and L7 rules do.
    pub has_proxy_rules: bool,
}

impl LocalEndpoint {
    /// Whether it is the node itself.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.identity == Some(HOST) || self.interface.as_deref() == Some("cilium_host")
    }

    /// Whether it is ready, so that its device must have its programs.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == "ready"
    }
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointList {
    /// The endpoints, in the order of their numbers.
    pub endpoints: Vec<LocalEndpoint>,
    /// Endpoints that are not kept, as there are too many.
    pub left_out: usize,
    /// Lines of the agent's logger in front.
    pub remarks: usize,
}

impl EndpointList {
    /// The endpoint of a pod.
    #[must_use]
    pub fn of_pod(&self, pod: &PodRef) -> Option<&LocalEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.pod.as_ref() == Some(pod))
    }

    /// The endpoint that has this address.
    #[must_use]
    pub fn by_address(&self, address: IpAddr) -> Option<&LocalEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.addresses.contains(&address))
    }

    /// The endpoint with this number.
    #[must_use]
    pub fn by_id(&self, id: u32) -> Option<&LocalEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.id == id)
    }

    /// Endpoints that are not ready.
    pub fn not_ready(&self) -> impl Iterator<Item = &LocalEndpoint> {
        self.endpoints.iter().filter(|endpoint| !endpoint.is_ready())
    }
}

#[derive(Deserialize)]
struct JsonEndpoint {
    id: u32,
    #[serde(default)]
    status: Option<JsonStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct JsonStatus {
    state: Option<String>,
    external_identifiers: Option<JsonNames>,
    health: Option<JsonHealth>,
    identity: Option<JsonIdentity>,
    networking: Option<JsonNetworking>,
    log: Option<Vec<JsonLog>>,
    policy: Option<JsonPolicy>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct JsonPolicy {
    /// One entry for each port that the proxy serves.
    proxy_statistics: Option<Vec<serde::de::IgnoredAny>>,
    realized: Option<JsonRealized>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct JsonRealized {
    policy_enabled: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct JsonNames {
    k8s_namespace: Option<String>,
    k8s_pod_name: Option<String>,
    pod_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonHealth {
    bpf: Option<String>,
    #[serde(rename = "overallHealth")]
    overall: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonIdentity {
    id: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct JsonNetworking {
    addressing: Option<Vec<JsonAddresses>>,
    interface_name: Option<String>,
    interface_index: Option<u32>,
    netns_cookie: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonAddresses {
    ipv4: Option<String>,
    ipv6: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonLog {
    code: Option<String>,
    message: Option<String>,
}

/// Reads the list; none where the text is none, or is cut.
#[must_use]
pub fn parse(text: &str) -> Option<EndpointList> {
    let mut remarks = 0;
    let json: String = rows(text, &mut remarks)
        .skip_while(|line| !line.trim_start().starts_with('['))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut read: Vec<JsonEndpoint> = serde_json::from_str(&json).ok()?;
    let left_out = read.len().saturating_sub(MOST);
    read.truncate(MOST);
    let mut endpoints: Vec<LocalEndpoint> = read.into_iter().map(endpoint).collect();
    endpoints.sort_by_key(|endpoint| endpoint.id);
    Some(EndpointList { endpoints, left_out, remarks })
}

fn endpoint(json: JsonEndpoint) -> LocalEndpoint {
    let status = json.status.unwrap_or_default();
    let networking = status.networking.unwrap_or_default();
    let health = status.health.unwrap_or_default();
    let addresses = networking.addressing.unwrap_or_default();
    let addresses = addresses.into_iter().flat_map(|a| [a.ipv4, a.ipv6]).flatten();
    let policy = status.policy.unwrap_or_default();
    let trouble = |log: &JsonLog| log.code.as_deref().is_some_and(|code| code != "OK");
    LocalEndpoint {
        id: json.id,
        pod: status.external_identifiers.and_then(pod),
        interface: networking.interface_name.filter(|name| !name.is_empty()),
        ifindex: networking.interface_index.filter(|index| *index > 0),
        addresses: addresses.filter_map(|address| address.parse().ok()).collect(),
        state: status.state.unwrap_or_default(),
        health: health.overall,
        bpf_health: health.bpf,
        identity: status.identity.and_then(|identity| identity.id),
        netns_cookie: networking.netns_cookie.filter(|cookie| !cookie.is_empty()),
        last_trouble: status.log.unwrap_or_default().into_iter().find(trouble).and_then(|log| log.message),
        policy_enabled: policy.realized.and_then(|realized| realized.policy_enabled).filter(|word| !word.is_empty()),
        has_proxy_rules: policy.proxy_statistics.is_some_and(|ports| !ports.is_empty()),
    }
}

/// The pod, by its two names or by the one that holds both.
fn pod(names: JsonNames) -> Option<PodRef> {
    let both = names.pod_name.as_deref().and_then(|name| name.split_once('/'));
    let both = both.map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
    let (namespace, name) = names.k8s_namespace.zip(names.k8s_pod_name).or(both)?;
    (!namespace.is_empty() && !name.is_empty()).then_some(PodRef { namespace, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"[
      {"id": 412, "spec": {"options": {}}, "status": {
        "external-identifiers": {"k8s-namespace": "shop", "k8s-pod-name": "web-1", "pod-name": "shop/web-1"},
        "health": {"bpf": "OK", "connected": true, "overallHealth": "Warning", "policy": "OK"},
        "identity": {"id": 7011, "labels": ["k8s:app=web"]},
        "log": [{"code": "OK", "message": "fine"}, {"code": "Failed", "message": "cannot attach"}],
        "networking": {"addressing": [{"ipv4": "10.9.1.7", "ipv6": "fd00:9::7"}], "interface-index": 12,
          "interface-name": "lxc0a1b", "mac": "0a:00:00:00:00:01"},
        "state": "ready", "policy": null}},
      {"id": 165, "status": {"external-identifiers": {"pod-name": "/"}, "identity": {"id": 1},
        "networking": {"addressing": [{}], "interface-index": 5, "interface-name": "cilium_host"}, "state": "ready",
        "policy": {"proxy-statistics": [{"protocol": "dns"}], "realized": {"policy-enabled": "egress", "l4": {}}}}},
      {"id": 9, "status": {"external-identifiers": {"pod-name": "old/pod"}, "networking": {"addressing": null},
        "state": "waiting-to-regenerate"}}
    ]"#;

    #[test]
    fn an_endpoint_is_its_pod_its_device_and_its_addresses() {
        let list = parse(LIST).unwrap();
        let web = list.by_address("fd00:9::7".parse().unwrap()).unwrap();
        assert_eq!((web.id, web.interface.as_deref(), web.ifindex), (412, Some("lxc0a1b"), Some(12)));
        assert_eq!(web.pod, "shop/web-1".parse().ok());
        assert_eq!((web.health.as_deref(), web.bpf_health.as_deref()), (Some("Warning"), Some("OK")));
        assert_eq!(web.last_trouble.as_deref(), Some("cannot attach"));
        let host = list.by_id(165).unwrap();
        assert_eq!((host.policy_enabled.as_deref(), host.has_proxy_rules), (Some("egress"), true));
        assert_eq!((&web.policy_enabled, web.has_proxy_rules), (&None, false));
        assert!(host.is_host() && host.pod.is_none() && host.addresses.is_empty());
        let old = list.of_pod(&"old/pod".parse().unwrap()).unwrap();
        assert_eq!((old.identity, old.interface.as_deref()), (None, None));
        assert_eq!(list.not_ready().map(|endpoint| endpoint.id).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn remarks_in_front_are_passed_over_and_what_is_cut_is_none() {
        let remark = "time=2026-01-02T03:04:05Z level=info msg=x\n";
        assert_eq!(parse(&format!("{remark}{LIST}")).map(|list| (list.remarks, list.endpoints.len())), Some((1, 3)));
        assert_eq!(parse(&LIST[..LIST.len() / 2]), None);
        for other in ["", "Error: cannot get endpoint list: dial unix\n", "ENDPOINT   POLICY\n", "{}", "[3]"] {
            assert_eq!(parse(other), None, "{other}");
        }
        assert_eq!(parse("[]").map(|list| list.endpoints.len()), Some(0));
    }
}
