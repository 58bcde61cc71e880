//! `staledp symptoms` against a cluster, and the section of `diagnose`: what is asked, how much of it, and what a real
//! Prometheus answers.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::ApiServer;
use crate::support::run::{Outcome, staledp};
use crate::support::scenes::Scene;
use crate::support::world::{Fault, FaultKind, World};

/// A pod of the healthy scene that does ordinary work, as `namespace/name`.
pub(crate) fn ordinary(world: &World) -> (String, String) {
    let pod =
        world.pods.iter().find(|p| p["spec"]["hostNetwork"] != true && p["metadata"]["namespace"] != "kube-system");
    let meta = &pod.expect("an ordinary pod")["metadata"];
    let text = |key: &str| meta[key].as_str().expect("a name").to_owned();
    (text("namespace"), text("name"))
}

pub(crate) fn healthy() -> World {
    Scene::healthy().world()
}

pub(crate) fn symptoms(api: &ApiServer, args: &[&str]) -> Outcome {
    let kubeconfig = api.kubeconfig();
    staledp([&["symptoms", "--kubeconfig", &kubeconfig.path(), "-o", "json"], args].concat()).run()
}

/// All symptoms of a report, with their node.
pub(crate) fn all(report: &Value) -> Vec<(String, Value)> {
    let nodes = report["nodes"].as_array().expect("nodes");
    let of = |node: &Value| {
        let name = node["node"].as_str().expect("a name").to_owned();
        node["symptoms"]
            .as_array()
            .expect("symptoms")
            .iter()
            .map(move |s| (name.clone(), s.clone()))
            .collect::<Vec<_>>()
    };
    nodes.iter().flat_map(of).collect()
}

pub(crate) fn unhealthy(namespace: &str, pod: &str, nth: usize, count: u64) -> Value {
    json!({
        "metadata": {"name": format!("{pod}.{nth:x}"), "namespace": namespace},
        "involvedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "fieldPath": "spec.containers{main}"},
        "reason": "Unhealthy", "type": "Warning", "count": count,
        "message": format!("Readiness probe failed: Get \"http://10.42.1.7:{nth}/\": dial tcp: i/o timeout"),
        "firstTimestamp": "2026-06-06T10:00:00Z", "lastTimestamp": "2026-06-06T11:00:00Z",
        "source": {"component": "kubelet", "host": "prusik"},
    })
}

#[test]
fn a_cluster_without_symptoms_says_so_and_nothing_is_written() {
    let api = ApiServer::start(healthy());
    let report = symptoms(&api, &[]).exits(0).report().0;
    assert_eq!(report["schema"], "staledp.symptoms/v1");
    assert_eq!((&report["nodes"], &report["not_read"], &report["next"]), (&json!([]), &json!([]), &Value::Null));
    assert!(api.writes().is_empty() && api.execs().is_empty());
    assert!(!api.requests().iter().any(|r| r.path.ends_with("/log")), "logs are read only where they are asked for");
}

#[test]
fn diagnose_asks_nothing_more_of_a_healthy_node_for_its_symptoms() {
    let mut world = healthy();
    let (namespace, pod) = ordinary(&world);
    world.events.push(unhealthy(&namespace, &pod, 1, 7));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let args = ["diagnose", "--kubeconfig", &kubeconfig.path(), "--no-ssh", "--node", "prusik", "-o", "json"];
    let report = staledp(args).run().exits(0).report();
    let told = &report.node("prusik")["symptoms"][0];
    assert_eq!(
        (&told["kind"], &told["count"], &told["explained"]),
        (&json!("probe-failures"), &json!(7), &json!(false))
    );
    let lists = api.requests().iter().filter(|r| r.path.ends_with("/events")).count();
    assert_eq!(lists, 4, "the warnings, and what symptoms are read from, by reason");
    let is_of_a_pod = |path: &str| path.ends_with("/log") && !path.ends_with("/cilium-swmbt/log");
    assert!(!api.requests().iter().any(|r| is_of_a_pod(&r.path) || r.path.contains("external-secrets")));
}

#[test]
fn what_may_not_be_read_is_named_and_the_rest_goes_on() {
    let mut world = healthy();
    let (namespace, pod) = ordinary(&world);
    world.pod_mut(&format!("{namespace}/{pod}"))["status"]["containerStatuses"][0]["restartCount"] = json!(9);
    world.fault(Fault::new("/api/v1/events", FaultKind::Forbidden("viewer".to_owned())));
    world.fault(Fault::new("*/log", FaultKind::Forbidden("viewer".to_owned())));
    let group = |name: &str| json!({"kind": "APIGroup", "name": name, "preferredVersion": {"groupVersion": format!("{name}/v1"), "version": "v1"}});
    world.foreign.insert("/apis/external-secrets.io".to_owned(), group("external-secrets.io"));
    world.fault(Fault::status(
        "/apis/external-secrets.io/v1/*",
        403,
        "Forbidden",
        "externalsecrets.external-secrets.io is forbidden: User \"viewer\" cannot list resource \"externalsecrets\"",
    ));
    let api = ApiServer::start(world);
    let report = symptoms(&api, &["--logs"]).exits(0).report().0;
    assert!(all(&report).iter().any(|(_, s)| s["kind"] == "restarts" && s["count"] == 9), "{report:#}");
    let unread = report["not_read"].to_string();
    for word in ["events", "grant `list` on `events`", "pods/log", "externalsecrets"] {
        assert!(unread.contains(word), "{word}: {unread}");
    }
    assert!(!unread.contains("applications"), "Argo CD is not installed, which is nothing to tell: {unread}");
}

#[test]
fn objects_that_name_a_failure_of_dns_are_told_without_their_credentials() {
    let mut world = healthy();
    let group = "external-secrets.io";
    world.foreign.insert(format!("/apis/{group}"), json!({"preferredVersion": {"version": "v1beta1"}}));
    for empty in ["secretstores", "clustersecretstores"] {
        world.foreign.insert(format!("/apis/{group}/v1beta1/{empty}"), json!({"metadata": {}, "items": []}));
    }
    let message = "could not get secret: Get \"https://vault.example:8200/v1/kv?token=hunter2hunter2\": dial tcp: lookup \
                   vault.example on 169.254.25.10:53: read udp 10.42.1.9:4->169.254.25.10:53: i/o timeout";
    let item = |name: &str, status: &str, message: &str| {
        json!({"metadata": {"name": name, "namespace": "shop"}, "status": {"conditions": [{"type": "Ready",
            "status": status, "message": message, "lastTransitionTime": "2026-06-06T11:00:00Z"}]}})
    };
    let items =
        [item("db", "False", message), item("fine", "True", "secret synced"), item("typo", "False", "no such key")];
    world.foreign.insert(format!("/apis/{group}/v1beta1/externalsecrets"), json!({"metadata": {}, "items": items}));
    let api = ApiServer::start(world);
    let outcome = symptoms(&api, &[]).exits(0);
    let report = outcome.report().0;
    let told = report["elsewhere"].as_array().expect("a list");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["pod"], "db");
    let says = "ExternalSecret, not Ready: vault.example was not resolved: no answer from 169.254.25.10";
    assert_eq!(told[0]["says"], says);
    assert!(!outcome.stdout.contains("hunter2"));
}

/// Adds so many pods `more-N` like an ordinary one; its namespace, and the pod that they are copies of.
fn crowd(world: &mut World, many: usize) -> (String, Value) {
    let (namespace, pod) = ordinary(world);
    let template = world.pod(&namespace, &pod).expect("the pod").clone();
    world.pods.extend((0..many).map(|n| {
        let mut more = template.clone();
        more["metadata"]["name"] = json!(format!("more-{n}"));
        more
    }));
    (namespace, template)
}

#[test]
fn at_most_twenty_logs_are_read_and_only_their_ends() {
    let mut world = healthy();
    let (namespace, template) = crowd(&mut world, 60);
    // The last in any order but that of symptoms.
    let mut last = template.clone();
    last["metadata"]["name"] = json!("zz-last");
    world.pods.push(last);
    world.events.push(unhealthy(&namespace, "zz-last", 1, 3));
    let line = "2026-06-06T11:00:00Z level=error password=hunter2hunter2 err=\"lookup db.example on 169.254.25.10:53: i/o timeout\"\n";
    world
        .logs
        .insert((namespace.clone(), "zz-last".to_owned()), format!("2026-06-06T10:00:00Z fine \x1b[2J\n{line}{line}"));
    let api = ApiServer::start(world);
    let outcome = symptoms(&api, &["--logs"]).exits(0);
    let logs: Vec<_> = api.requests().into_iter().filter(|r| r.path.ends_with("/log")).collect();
    assert_eq!(logs.len(), 20);
    // A few are asked for at once.
    assert!(logs[..4].iter().any(|r| r.path.contains("zz-last")), "those with symptoms come first: {:#?}", &logs[..4]);
    for log in &logs {
        assert!(log.query.contains("tailLines=200") && log.query.contains("limitBytes=262144"), "{}", log.query);
    }
    let found = all(&outcome.report().0);
    let dns = found.iter().find(|(_, s)| s["kind"] == "dns-errors").expect("a symptom");
    assert_eq!((dns.1["count"].as_u64(), dns.1["pod"].as_str()), (Some(2), Some("zz-last")));
    assert!(!outcome.stdout.contains("hunter2") && !outcome.stdout.contains('\x1b'));
}

#[test]
fn five_thousand_pods_take_little_time_and_memory() {
    let mut world = healthy();
    let (namespace, _) = crowd(&mut world, 5_000);
    // Twenty thousand events of a thousand pods.
    world.events = (0..20_000).map(|n| unhealthy(&namespace, &format!("more-{}", n % 1_000), n, 2)).collect();
    let api = ApiServer::start(world);
    let outcome = symptoms(&api, &[]).exits(0);
    println!("5,000 pods, 20,000 events: {:?}, {:?} KiB", outcome.elapsed, outcome.peak_kib);
    let found = all(&outcome.report().0);
    assert_eq!(found.len(), 1_000);
    assert!(found.iter().all(|(node, s)| node == "prusik" && s["count"] == 40));
    let pages = api.requests().iter().filter(|r| r.path == "/api/v1/events" && r.query.contains("Unhealthy")).count();
    assert_eq!(pages, 40, "events come page by page");
    assert!(outcome.elapsed < Duration::from_secs(30), "{:?}", outcome.elapsed);
    assert!(outcome.peak_kib.is_none_or(|kib| kib < 96 << 10), "{:?} KiB", outcome.peak_kib);
}

#[test]
fn a_stranger_gets_no_credentials_and_a_prometheus_that_is_not_there_is_no_error() {
    // It serves no query, so it stands for something that is no Prometheus, too.
    let stranger = ApiServer::start(World::default());
    let api = ApiServer::start(healthy());
    let url = format!("http://{}", stranger.address());
    let report = symptoms(&api, &["--prometheus", &url]).exits(0).report().0;
    assert_eq!(report["not_read"][0]["what"], "buffers", "{report:#}");
    let asked = stranger.requests();
    assert!(asked.iter().any(|r| r.path == "/api/v1/query"), "{asked:#?}");
    assert!(asked.iter().all(|r| !r.headers.contains_key("authorization")), "{asked:#?}");
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    for (at, why) in [(format!("http://{nobody}"), "refused"), ("monitoring/nosuch:9090".to_owned(), "not found")] {
        let report = symptoms(&api, &["--prometheus", &at]).exits(0).report().0;
        let reason = report["not_read"][0]["reason"].as_str().expect("a reason").to_lowercase();
        assert!(reason.contains(why), "{reason}");
    }
}

/// A Prometheus that ends with the value.
pub(crate) struct Prometheus {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one that asks this exporter twice a second; none where the program is not installed.
    fn start(exporter: SocketAddr, labels: &str) -> Option<Self> {
        Self::with_rules(exporter, labels, "groups: []")
    }

    /// The same with rules that it evaluates twice a second.
    pub(crate) fn with_rules(exporter: SocketAddr, labels: &str, rules: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\nrule_files: [rules.yml]\nscrape_configs:\n- job_name: vector\n  static_configs:\n  - targets: ['{exporter}']\n    labels: {labels}\n"
        );
        std::fs::write(folder.path().join("rules.yml"), rules).expect("the rules are written");
        std::fs::write(folder.path().join("prometheus.yml"), config).expect("the configuration is written");
        let address = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self { child, address, _folder: folder }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("prometheus does not start: {error}"),
        }
    }

    /// Waits until it has seen each series a few times.
    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let path = "/api/v1/query?query=count_over_time(vector_component_sent_bytes_total%5B1m%5D)%20%3E%3D%203";
        while !get(self.address, path).is_some_and(|answer| answer.contains("loki_journal")) {
            assert!(Instant::now() < deadline, "prometheus scraped nothing in a minute");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Serves Vector's figures of the incident: one buffer at 97 % that sends nothing, one that is fine.
fn exporter() -> SocketAddr {
    static SCRAPES: AtomicU64 = AtomicU64::new(0);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let n = SCRAPES.fetch_add(1, Ordering::Relaxed);
            let mut body = String::new();
            for (component, fill, sent) in [("loki_journal", 260_464_000_u64, 81_000), ("loki_pods", 31_000, 5_000 * n)]
            {
                let tags = format!(
                    "component_id=\"{component}\",component_kind=\"sink\",component_type=\"loki\",host=\"vector-0\""
                );
                _ = write!(
                    body,
                    "# TYPE vector_buffer_byte_size gauge\nvector_buffer_byte_size{{buffer_type=\"disk\",stage=\"0\",{tags}}} {fill}\n\
                     vector_buffer_max_byte_size{{buffer_type=\"disk\",stage=\"0\",{tags}}} 268435488\n\
                     vector_component_sent_bytes_total{{endpoint=\"http://loki\",protocol=\"http\",{tags}}} {sent}\n"
                );
            }
            // A release from 0.53.0 on, with a buffer in memory: the new names alone, as when the old ones are gone.
            let tags = "component_id=\"kafka\",component_kind=\"sink\",component_type=\"kafka\",host=\"vector-1\"";
            for (name, value) in [("size_events", 490), ("size_bytes", 1_000_000), ("max_size_events", 500)] {
                _ = writeln!(body, "vector_buffer_{name}{{buffer_type=\"memory\",stage=\"0\",{tags}}} {value}");
            }
            _ = writeln!(body, "vector_component_sent_bytes_total{{protocol=\"kafka\",{tags}}} 7000");
            // While both are told: the old name and the new one of the same buffer.
            let tags = "component_id=\"both\",component_kind=\"sink\",component_type=\"loki\",host=\"vector-0\"";
            for (name, value) in
                [("byte_size", 220), ("size_bytes", 220), ("max_byte_size", 1_000), ("max_size_bytes", 1_000)]
            {
                _ = writeln!(body, "vector_buffer_{name}{{buffer_type=\"disk\",stage=\"0\",{tags}}} {value}");
            }
            // Each type may be told once only.
            let body = body.replacen("# TYPE vector_buffer_byte_size gauge\n", "", 2);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

#[test]
fn a_real_prometheus_answers_directly_and_through_the_service_proxy() {
    let mut world = healthy();
    let (namespace, pod) = ordinary(&world);
    let labels = format!("{{namespace: {namespace}, pod: {pod}, node: prusik}}");
    let Some(prometheus) = Prometheus::start(exporter(), &labels) else {
        assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "no prometheus here, and CI has to have one");
        eprintln!("skipped: no prometheus in PATH; Debian's package has it, see .ci/run");
        return;
    };
    prometheus.wait();
    world.proxied.insert("monitoring/prometheus:9090".to_owned(), prometheus.address);
    let api = ApiServer::start(world);
    let url = format!("http://{}/", prometheus.address);
    for at in [url.as_str(), "monitoring/prometheus"] {
        let own = "sum by (job) (up{job=\"vector\"}) + 41";
        let report = symptoms(&api, &["--prometheus", at, "--query", own, "--query", "sum("]).exits(0).report().0;
        let says: Vec<(String, String)> = all(&report)
            .iter()
            .map(|(node, s)| {
                (format!("{node} {}", s["pod"].as_str().unwrap_or("?")), s["says"].as_str().expect("text").to_owned())
            })
            .collect();
        let place = format!("prusik {pod}");
        let full = "buffer of loki_journal: 97 % full, and nothing sent in 15 min";
        assert!(says.contains(&(place.clone(), full.to_owned())), "{at}: {report:#}");
        let fine = says.iter().find(|(_, says)| says.contains("loki_pods")).expect("the other buffer");
        assert!(fine.0 == place && fine.1.contains("0 % full, sends") && fine.1.ends_with(": fine"), "{fine:?}");
        let memory = "buffer of kafka: 98 % full, and nothing sent in 15 min";
        assert!(says.contains(&(place.clone(), memory.to_owned())), "{at}: {report:#}");
        let both: Vec<_> = says.iter().filter(|(_, says)| says.contains("buffer of both")).collect();
        assert!(matches!(both[..], [one] if one.1.starts_with("buffer of both: 22 % full")), "{both:?}");
        let elsewhere = report["elsewhere"].to_string();
        assert!(elsewhere.contains("42 for sum by (job)"), "{elsewhere}");
        let unread = report["not_read"].to_string();
        assert!(unread.contains("the answer to 'sum('") && unread.contains("parse error"), "{unread}");
    }
    let asked = api.requests();
    let proxied = asked.iter().find(|r| r.path.contains("/services/prometheus:9090/proxy/api/v1/query"));
    let query = &proxied.expect("the proxy was asked").query;
    assert!(!query.contains(['{', ' ', '"', '+']), "everything in a query is encoded: {query}");

    // What was asked is kept, and says the same when it is read again.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bundle = folder.path().join("bundle").display().to_string();
    let kubeconfig = api.kubeconfig();
    let live = ["diagnose", "--kubeconfig", &kubeconfig.path(), "--no-ssh", "--node", "prusik", "-o", "json", "--logs"];
    let live = staledp([&live[..], &["--prometheus", &url, "--save", &bundle]].concat()).run();
    let again = staledp(["diagnose", "--from", &bundle, "-o", "json"]).run();
    assert_eq!(live.report().node("prusik")["symptoms"], again.report().node("prusik")["symptoms"]);
    assert!(again.stdout.contains("loki_journal"), "{}", again.stdout);
}
