//! What the clusters of the two incidents told by themselves: probes, restarts, logs, metrics.

use serde_json::{Value, json};

use super::kube::time;
use super::model::{Cluster, Restarted, Unhealthy};

/// 2026-06-06: vault-0 unready for a day, sidecars of NodeLocal DNS that restart for weeks, four pods with symptoms of
/// which one has a reason of its own.
pub(crate) fn prusik(c: &mut Cluster) {
    c.unhealthy = vec![
        Unhealthy {
            namespace: "vault",
            pod: "vault-0",
            message: "Readiness probe failed: Get \"https://10.42.1.91:8200/v1/sys/health?standbyok=true\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
            count: 90,
            lasting: 82_800,
        },
        Unhealthy {
            namespace: "media",
            pod: "jellyfin-0",
            message: "Liveness probe failed: Get \"http://10.42.1.15:8096/health\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            count: 12,
            lasting: 40_000,
        },
    ];
    let sidecar = |node, count, ago| Restarted {
        pod: "node-local-dns-",
        node,
        container: "corefile-watcher",
        count,
        reason: "Error",
        exit: 1,
        ago,
    };
    let of = |pod, count, reason, exit, ago| Restarted { pod, node: "", container: "main", count, reason, exit, ago };
    c.restarted = vec![
        sidecar("prusik", 82, 5_000),
        sidecar("vienna", 76, 90_000),
        sidecar("brno", 79, 200_000),
        of("bazarr-0", 4, "OOMKilled", 137, 30_000),
        of("jellyfin-0", 6, "Error", 137, 9_000),
    ];
    let line = |ago: u64| {
        format!(
            "{} level=error msg=\"sync failed\" err=\"Get \\\"https://api.telegram.example/getUpdates?token=110201543-AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw\\\": dial tcp: lookup api.telegram.example on 169.254.25.10:53: read udp 10.42.1.13:41007->169.254.25.10:53: i/o timeout\"\n",
            time(c.captured_at - ago)
        )
    };
    let log: String = (1..=40).rev().map(|n| line(n * 90)).collect();
    let at = |ago: u64| time(c.captured_at - ago);
    let killed = json!({
        "metadata": {"name": "jellyfin-0.18a7f0000000000f", "namespace": "media"},
        "involvedObject": {"kind": "Pod", "namespace": "media", "name": "jellyfin-0", "fieldPath": "spec.containers{main}"},
        "reason": "Killing", "type": "Normal", "count": 6, "message": "Container main failed liveness probe, will be restarted",
        "firstTimestamp": at(39_000), "lastTimestamp": at(9_010),
    });
    let secret = json!({
        "metadata": {"name": "grafana-admin", "namespace": "monitoring"},
        "status": {"conditions": [{
            "type": "Ready", "status": "False", "lastTransitionTime": at(82_000),
            "message": "could not get provider client: Put \"https://vault.vault.svc:8200/v1/auth/kubernetes/login\": dial tcp 10.43.97.12:8200: i/o timeout",
        }]},
    });
    let application = json!({
        "metadata": {"name": "media", "namespace": "argocd"},
        "status": {"conditions": [{
            "type": "ComparisonError", "lastTransitionTime": at(70_000),
            "message": "failed to list refs: Get \"https://git.example/media.git/info/refs?service=git-upload-pack\": dial tcp: lookup git.example on 169.254.25.10:53: read udp 10.42.1.33:50113->169.254.25.10:53: i/o timeout",
        }]},
    });
    let items = |of: &[Value]| format!("{}\n", json!({"items": of}));
    c.further = vec![
        ("symptoms/logs/media/hermes-0/main.log".to_owned(), log),
        ("symptoms/events/Killing.json".to_owned(), items(&[killed])),
        ("symptoms/objects/externalsecrets.json".to_owned(), items(&[secret])),
        ("symptoms/objects/applications.json".to_owned(), items(&[application])),
    ];
    let none = ["secretstores", "clustersecretstores", "ciliumlocalredirectpolicies"];
    c.further.extend(none.map(|kind| (format!("symptoms/objects/{kind}.json"), items(&[]))));
}

/// 2026-06-03: Vector's buffer for the journal is full and sends nothing; its buffer for pods is empty and fine.
pub(crate) fn odroid(c: &mut Cluster) {
    let series = |component: &str, value: &str| {
        json!({
            "metric": {
                "namespace": "loki", "pod": "vector-agent-p7vxd", "node": "k8s-odroid-hc4-3",
                "host": "vector-agent-p7vxd", "instance": "10.42.3.90:9598", "component_id": component,
            },
            "value": [c.captured_at, value],
        })
    };
    let answer = |rows: &[Value]| {
        let answer = json!({"status": "success", "data": {"resultType": "vector", "result": rows}});
        format!("{answer}\n")
    };
    let fill = answer(&[series("loki_journal", "0.9706"), series("loki_pods", "0.0012")]);
    let sent = answer(&[series("loki_journal", "0"), series("loki_pods", "1841.3")]);
    let line = |ago: u64| {
        format!(
            "{} WARN sink{{component_id=loki_journal component_kind=\"sink\" component_type=loki}}: vector::sinks::util::retries: Retrying after error. error=Failed to make HTTP(S) request: error trying to connect: dns error: failed to lookup address information: Temporary failure in name resolution\n",
            time(c.captured_at - ago)
        )
    };
    c.further = vec![
        ("symptoms/metrics/buffer-fill.json".to_owned(), fill),
        ("symptoms/metrics/sent-bytes.json".to_owned(), sent),
        ("symptoms/logs/loki/vector-agent-p7vxd/main.log".to_owned(), (1..=25).rev().map(|n| line(n * 30)).collect()),
    ];
}
