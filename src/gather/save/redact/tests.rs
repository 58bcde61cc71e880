//! What stays, what goes, and that it is the same everywhere.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn redaction() -> Redaction {
    let redaction = Redaction::new(&["1.1.1.1".parse().unwrap()]);
    for name in ["prusik", "web", "web-7d9fc5b6d8-x2x4z", "kube-apiserver-prusik", "loki", "cilium-swmbt", "eu-7"] {
        redaction.learn(name);
    }
    redaction
}

fn sentence(redaction: &Redaction, text: &str) -> String {
    redaction.text(text, Manner::Sentences)
}

#[test]
fn a_name_is_the_same_in_every_place_and_in_names_made_from_it() {
    let redaction = redaction();
    let (prusik, web, loki) = (redaction.name("prusik"), redaction.name("web"), redaction.name("loki"));
    assert_eq!(redaction.name("kube-apiserver-prusik"), format!("kube-apiserver-{prusik}"));
    assert_eq!(redaction.name("web-0.web.loki.svc.cluster.local"), format!("{web}-0.{web}.{loki}.svc.cluster.local"));
    assert!(redaction.name("web-7d9fc5b6d8-x2x4z").starts_with(&format!("{web}-")));
    assert!(redaction.name("cilium-swmbt").starts_with("cilium-"));
    for (text, right) in [
        ("node prusik: Prusik is not ready", format!("node {prusik}: {prusik} is not ready")),
        ("loki/web-1 on prusik.", format!("{loki}/{web}-1 on {prusik}.")),
        ("pod=\"loki/web\"", format!("pod=\"{loki}/{web}\"")),
        ("the website of webs, cobweb, web_2, x-web", format!("the website of webs, cobweb, {web}_2, x-{web}")),
    ] {
        assert_eq!(sentence(&redaction, text), right);
    }
}

#[test]
fn names_are_told_by_their_form_or_by_what_stands_before_them() {
    let redaction = redaction();
    for (text, gone) in [
        ("dial tcp: lookup vault.acme.example on 169.254.25.10:53: i/o timeout", "acme"),
        ("dial tcp: lookup vault on 169.254.25.10:53: i/o timeout", "vault"),
        ("Get \"https://registry.acme.example/v2/\": x509", "acme"),
        ("Get \"http://acme:8080/\": refused", "acme"),
        ("mail to jane.doe@acme.example failed", "jane"),
        ("64 bytes from 88-99-1-2.static.acme.net (88.99.1.2): icmp_seq=1", "acme"),
        ("dial tcp: vault.acme.rs unreachable", "acme"),
        ("dial tcp: VAULT.ACME.COM unreachable", "ACME"),
        ("alice@10.0.0.1: Permission denied (publickey)", "alice"),
        ("User \"alice\" cannot list resource \"pods\"", "alice"),
        ("User \\\"system:serviceaccount:shop:robot\\\" cannot", "robot"),
        ("open /home/alice/.kube/config", "alice"),
        ("user=alice, msg=x", "alice"),
        ("{\"k8sPodName\":\"shop/front\"}", "shop"),
        ("nodeName=somewhere", "somewhere"),
        ("  acme/prusik (localhost)", "acme"),
        ("token=hunter2hunter2", "hunter2"),
        ("MountVolume.SetUp failed for volume \"acme-tls\": not found", "acme"),
        ("configmap \"acme\" not found", "acme"),
        ("identityLabels=k8s:app=payments,k8s:io.kubernetes.pod.namespace=shop", "payments"),
        ("identityLabels=k8s:app=payments,k8s:io.kubernetes.pod.namespace=shop", "shop"),
        ("wget: bad address 'vault'", "vault"),
        ("node ip-10-0-1-23.eu-west-1.compute.internal", "10-0-1-23"),
    ] {
        let other = sentence(&redaction, text);
        assert!(!other.contains(gone), "{text}: {other}");
    }
    redaction.learn("06t11-30z");
    // The program's own files and packages, versions and moments are not names of users.
    for same in [
        "time=2026-06-06T11:40:07.318840112Z level=warn source=/go/src/github.com/cilium/cilium/pkg/hive/health.go:88",
        "Cilium:                  Ok   1.19.4 (v1.19.4-5f1c0a7e)",
        "module=agent.datapath.orchestrator error=\"detach cgroup: no such file or directory\"",
        "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        "wget: bad address 'google.com'",
        "Server:\t\t169.254.25.10\nName:\tkubernetes.default.svc.cluster.local\n",
        "2 packets transmitted, 2 received, 0% packet loss, time 1001ms",
    ] {
        assert_eq!(sentence(&redaction, same), same);
    }
}

#[test]
fn the_first_service_by_name_stays_the_first() {
    let services = ["mail-dns", "zebra-dns", "acme-dns", "dns-of-x"];
    for _ in 0..20 {
        let redaction = Redaction::new(&[]);
        redaction.keep_first(&services);
        let other: Vec<String> = services.iter().map(|name| redaction.name(name)).collect();
        assert_eq!(other.iter().min(), Some(&other[2]), "{other:?}");
    }
    // Where one is called as everywhere, it counts.
    let redaction = Redaction::new(&[]);
    let before = redaction.name("acme");
    redaction.keep_first(&["acme-dns", "kube-dns", "a0-dns"]);
    assert_eq!(redaction.name("acme"), before, "nothing has to be drawn again");
}

#[test]
fn event_of_a_restart_does_not_say_who_restarted() {
    let redaction = redaction();
    for (did, user) in [
        ("restarted cilium-swmbt", "oidc:jane (acme)"),
        ("resumed an interrupted restart of cilium-swmbt", "jane"),
        ("found cilium-swmbt already deleted by another user", "Jane Doe"),
        ("sent a DELETE for cilium-swmbt without getting an answer", "jane.doe@acme.example"),
    ] {
        let rest = "on prusik for stale-datapath: not verified. jane@bigbook/4711 lost the lock";
        let message = format!("jane@bigbook/4711 ({user}) {did} {rest}");
        let event = redaction.redacted(&json!({"reason": "CiliumPodRestarted", "message": message}));
        let said = event["message"].as_str().unwrap();
        for gone in ["jane", "Doe", "bigbook", "acme", "prusik", "swmbt"] {
            assert!(!said.to_ascii_lowercase().contains(&gone.to_ascii_lowercase()), "{gone}: {said}");
        }
        let holder = redaction.name("jane@bigbook/4711");
        assert!(said.starts_with(&format!("{holder} (")), "{said}");
        assert!(said.ends_with(&format!("stale-datapath: not verified. {holder} lost the lock")), "{said}");
    }
    let other = "Back-off (5s) restarted container";
    assert_eq!(redaction.redacted(&json!({"message": other}))["message"], other);
}

#[test]
fn tables_keep_their_words_and_ports() {
    let redaction = redaction();
    redaction.learn("active-tcp");
    let text = |text: &str| redaction.text(text, Manner::Table);
    let row = "2    10.43.0.10:53/TCP         ClusterIP      1 => 10.42.2.200:53/TCP (active)\n";
    let (service, pod) = (redaction.name("10.43.0.10"), redaction.name("10.42.2.200"));
    assert_eq!(text(row), row.replace("10.43.0.10", &service).replace("10.42.2.200", &pod));
    let line = "UDP OUT fd00::1:4711 -> fd00::2:53 expires=1 Packets=0\n";
    let (one, two) = (redaction.name("fd00::1"), redaction.name("fd00::2"));
    assert_eq!(text(line), line.replace("fd00::1:", &format!("{one}:")).replace("fd00::2:", &format!("{two}:")));
}

#[test]
fn objects_lose_what_is_not_known_to_be_harmless() {
    let redaction = redaction();
    let pod = json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "8a2fd5b4-0c3e-4b57-9d5c-2f6d0b7e9a11",
                     "labels": {"k8s-app": "cilium", "acme.example/team": "payments"},
                     "creationTimestamp": "2026-06-06T12:00:00Z"},
        "spec": {"nodeName": "prusik", "hostNetwork": true,
                 "containers": [{"name": "cilium-agent", "image": "registry.acme.example/cilium/cilium:v1.19.4"}]},
        "status": {"phase": "Running", "podIP": "10.42.1.7", "conditions": [{"type": "Ready", "status": "True"}]},
        "later": {"field": "acme", "number": 7}
    });
    let other = redaction.redacted(&pod);
    let text = other.to_string();
    for gone in ["shop", "acme", "payments", "prusik", "10.42.1.7", "8a2fd5b4"] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    assert_eq!(other["metadata"]["labels"]["k8s-app"], "cilium");
    assert_eq!(other["spec"]["containers"][0]["name"], "cilium-agent");
    assert!(other["spec"]["containers"][0]["image"].as_str().unwrap().ends_with("/cilium/cilium:v1.19.4"));
    assert_eq!(other["spec"]["nodeName"], redaction.name("prusik"));
    for (field, value) in [("phase", json!("Running")), ("conditions", pod["status"]["conditions"].clone())] {
        assert_eq!(other["status"][field], value);
    }
    assert_eq!(other["metadata"]["creationTimestamp"], "2026-06-06T12:00:00Z");
    assert_eq!(other["later"]["number"], 7);
    let answer = json!({"data": {"resultType": "vector", "result": [
        {"metric": {"__name__": "up", "pod": "web-1"}, "value": [1_780_000_000.5, "1e+06"]}]}});
    let other: Value = serde_json::from_slice(&redaction.document(answer.to_string().as_bytes())).unwrap();
    assert_eq!(other["data"]["result"][0]["value"], answer["data"]["result"][0]["value"]);
    assert_eq!(other["data"]["result"][0]["metric"]["pod"], redaction.name("web-1"));
}

#[test]
fn command_lines_keep_their_options() {
    let words: Vec<String> =
        "staledp diagnose --context acme --node=prusik --save /home/alice/acme --timeout 30s -l team=a1"
            .split(' ')
            .map(str::to_owned)
            .collect();
    let other = redaction().argv(&words).join(" ");
    for gone in ["acme", "prusik", "alice", "a1"] {
        assert!(!other.contains(gone), "{other}");
    }
    for stays in ["staledp diagnose --context ", " --node=", " --save /home/", " --timeout "] {
        assert!(other.contains(stays), "{other}");
    }
}

#[test]
fn a_torn_end_shows_no_half_of_a_name_or_address() {
    let redaction = redaction();
    let table = |text: &str, clean| {
        let mut lines = Lines::new(Manner::Table);
        let mut out = lines.feed(&redaction, text.as_bytes()).to_vec();
        out.extend_from_slice(lines.finish(&redaction, clean));
        String::from_utf8(out).unwrap()
    };
    assert!(table("TCP OUT 10.42.1.7:53 -> 10.42.1", false).ends_with(" -> "));
    assert!(table("TCP OUT 10.42.1.7:53 -> 1.1.1.1:53 expires=12", false).ends_with(" expires=12"));
    assert!(table("TCP OUT 10.42.1.7:53 -> 1.1.1.1:53", true).ends_with(" -> 1.1.1.1:53"));
    let mut lines = Lines::new(Manner::Sentences);
    assert!(lines.feed(&redaction, b"level=warn node prusi").is_empty());
    assert_eq!(lines.finish(&redaction, false), b"level=warn node ");
}

#[test]
fn a_line_without_end_is_not_kept() {
    let redaction = redaction();
    let mut lines = Lines::new(Manner::Sentences);
    let mut written = 0;
    for _ in 0..200 {
        written += lines.feed(&redaction, &b"prusik ".repeat(1000)).len();
    }
    assert!(lines.begun.len() <= LONGEST, "{}", lines.begun.len());
    written += lines.finish(&redaction, true).len();
    assert_eq!(written, 200 * 1000 * "abcde ".len(), "all of them are of the same length");
}

#[test]
fn lines_made_to_cost_time_cost_none() {
    let redaction = redaction();
    for piece in [":", "a%", "a:", "a.", "a-", "a@", "1.", "://a", "a/", "user=", "0-", "a_"] {
        let line = piece.repeat(LONGEST / 4 / piece.len());
        for manner in [Manner::Table, Manner::Sentences] {
            let begin = std::time::Instant::now();
            redaction.text(&line, manner);
            // Linear is some milliseconds; what is quadratic takes minutes.
            assert!(begin.elapsed().as_secs() < 10, "{piece} {manner:?}: {:?}", begin.elapsed());
        }
    }
}

#[test]
fn a_log_of_one_json_line_is_sentences() {
    let redaction = redaction();
    let line = r#"{"level":"error","error":"lookup loki on 169.254.25.10:53: i/o timeout","message":"giving up"}"#;
    let other = String::from_utf8(redaction.sentences(line.as_bytes())).unwrap();
    assert_eq!(other, line.replace("loki", &redaction.name("loki")));
}

proptest! {
    #[test]
    fn chunks_do_not_matter(cuts in proptest::collection::vec(1_usize..40, 1..80), table: bool) {
        let redaction = redaction();
        let text = "TCP OUT 10.42.1.7:53 -> 192.168.10.21:4711 expires=1\nnode prusik, pod loki/web-1 of jane@acme.example\n\
                    [fd00::a]:53 fd00::b:53 ::1\n\n1.1.1.1 web";
        let manner = if table { Manner::Table } else { Manner::Sentences };
        let whole = redaction.text(text, manner);
        let mut lines = Lines::new(manner);
        let (mut out, mut rest) = (Vec::new(), text.as_bytes());
        for cut in cuts {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            out.extend_from_slice(lines.feed(&redaction, chunk));
            rest = after;
        }
        out.extend_from_slice(lines.feed(&redaction, rest));
        out.extend_from_slice(lines.finish(&redaction, true));
        prop_assert_eq!(String::from_utf8(out).unwrap(), whole);
    }

    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>, names: bool) {
        let redaction = redaction();
        let mut out = Vec::new();
        redaction.line(&bytes, if names { Manner::Names } else { Manner::Sentences }, &mut out);
        redaction.learn(&String::from_utf8_lossy(&bytes));
    }
}
