//! Archives of `cilium sysdump` and `cilium-bugtool`, made in the layout of each era from what a bundle holds.

#![expect(clippy::format_push_string, reason = "the YAML of a test is small, and reads better so")]
#![expect(clippy::cast_possible_truncation, reason = "the archives of the tests are small")]

use std::fs;
use std::io::{Read as _, Write};
use std::path::Path;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use serde_json::{Value, json};

/// The names of an era.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Era {
    pub(crate) tool: &'static str,
    pub(crate) dump: &'static str,
    pub(crate) fence: bool,
    pub(crate) top: bool,
    pub(crate) nested: bool,
}

pub(crate) const ERAS: [Era; 5] = [
    Era { tool: "cilium", dump: "bpf-ct-list-global", fence: false, top: true, nested: false },
    Era { tool: "cilium-dbg", dump: "bpf-ct-list-global", fence: false, top: false, nested: false },
    Era { tool: "cilium-dbg", dump: "bpf-ct-list-global---time-diff", fence: true, top: true, nested: false },
    Era { tool: "cilium-dbg", dump: "bpf-ct-list---time-diff", fence: false, top: false, nested: false },
    Era { tool: "cilium-dbg", dump: "bpf-ct-list-global", fence: false, top: true, nested: true },
];

pub(crate) const TIME: &str = "20260606-120000";

pub(crate) fn json_of(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

pub(crate) fn output_of(folder: &Path, name: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = fs::read(folder.join(format!("{name}.out"))) {
        return Some(bytes);
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(folder.join(format!("{name}.out.gz"))).ok()?;
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    Some(bytes)
}

/// The files of a `cmd` folder for what a bundle holds of a node.
pub(crate) fn cmd(folder: &Path, era: Era) -> Vec<(String, Vec<u8>)> {
    let named = [
        ("ct-list", format!("{}-{}", era.tool, era.dump)),
        ("service-list", format!("{}-service-list", era.tool)),
        ("lb-list", format!("{}-bpf-lb-list", era.tool)),
        ("agent-status", format!("{}-status---verbose", era.tool)),
        ("drop-metrics", format!("{}-bpf-metrics-list", era.tool)),
        ("nat-list", format!("{}-bpf-nat-list", era.tool)),
        ("bpf-endpoint-list", format!("{}-bpf-endpoint-list", era.tool)),
        ("ipcache-list", format!("{}-bpf-ipcache-list", era.tool)),
        ("attached-programs", "bpftool-net-show".to_owned()),
        ("cgroup-tree", "bpftool-cgroup-tree--run-cilium-cgroupv2".to_owned()),
    ];
    let mut out = Vec::new();
    for (evidence, file) in named {
        let (Some(mut text), Some(about)) =
            (output_of(folder, evidence), json_of(&folder.join(format!("{evidence}.json"))))
        else {
            continue;
        };
        let command = file.replace('-', " ");
        text.extend_from_slice(about["stderr"].as_str().unwrap_or_default().as_bytes());
        if era.fence {
            text = [format!("# {command}\n\n```\n").as_bytes(), &text, b"\n```\n"].concat();
        }
        let error = about["exit_code"].as_i64().map_or_else(
            || Some("signal: killed".to_owned()),
            |code| (code != 0).then(|| format!("exit status {code}")),
        );
        if let Some(error) = error {
            text.extend_from_slice(format!("> Error while running '{command}':  {error}\n\n").as_bytes());
        }
        out.push((format!("cmd/{file}.md"), text));
        out.push((format!("cmd/{file}-o-json.md"), b"{\"not\": \"to be read\"}".to_vec()));
    }
    out.push(("conf/cmd/readme.md".to_owned(), b"nothing".to_vec()));
    out
}

/// YAML as kubectl and the sysdump write it: block style, items at the margin.
pub(crate) fn yaml(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/' | b'_'));
                let key = if plain { key.clone() } else { serde_json::to_string(key).expect("a key") };
                match value {
                    Value::Object(f) if !f.is_empty() => {
                        out.push_str(&format!("{pad}{key}:\n"));
                        yaml(value, depth + 1, out);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        out.push_str(&format!("{pad}{key}:\n"));
                        yaml(value, depth, out);
                    }
                    _ => out.push_str(&format!("{pad}{key}: {value}\n")),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut text = String::new();
                yaml(item, depth + 1, &mut text);
                let text = text.trim_start();
                out.push_str(&format!("{pad}- {text}"));
                if !text.ends_with('\n') {
                    out.push('\n');
                }
            }
        }
        other => out.push_str(&format!("{pad}{other}\n")),
    }
}

pub(crate) fn list(kind: &str, mut items: Value, drop: &str) -> Vec<u8> {
    for item in items.as_array_mut().expect("items") {
        item["metadata"]["annotations"] = json!({"note": "items:\n- not: an item\nkind: none\n", "drop": drop});
    }
    let mut text = "apiVersion: v1\nitems:\n".to_owned();
    yaml(&items, 0, &mut text);
    text.push_str(&format!("kind: {kind}\nmetadata:\n  resourceVersion: \"1\"\n"));
    text.into_bytes()
}

/// Slices as the older kind of object.
pub(crate) fn endpoints(slices: &Value) -> Value {
    let of = |slice: &Value| {
        let side = |ready: bool| -> Vec<Value> {
            let endpoints = slice["endpoints"].as_array().into_iter().flatten();
            endpoints
                .filter(|e| e["conditions"]["ready"].as_bool().unwrap_or(true) == ready)
                .map(|e| json!({"ip": e["addresses"][0], "nodeName": e["nodeName"], "targetRef": e["targetRef"]}))
                .collect()
        };
        let name = &slice["metadata"]["labels"]["kubernetes.io/service-name"];
        let metadata = json!({"name": name, "namespace": slice["metadata"]["namespace"]});
        json!({"metadata": metadata,
               "subsets": [{"addresses": side(true), "notReadyAddresses": side(false), "ports": slice["ports"]}]})
    };
    slices.as_array().expect("slices").iter().map(of).collect()
}

/// The members of a sysdump of what a bundle holds.
pub(crate) fn sysdump(bundle: &Path, era: Era) -> Vec<(String, Vec<u8>)> {
    let top = if era.top { format!("cilium-sysdump-{TIME}/") } else { String::new() };
    let mut out = Vec::new();
    let lists = [("nodes", "Node"), ("pods", "Pod"), ("services", "Service"), ("events", "Event")];
    for (name, kind) in lists {
        if let Some(value) = json_of(&bundle.join(format!("kube/{name}.json"))) {
            let mut items = value["items"].clone();
            // Real nodes have it; bundles have no need of it.
            for item in items.as_array_mut().into_iter().flatten().filter(|_| name == "nodes") {
                let now = json_of(&bundle.join("bundle.json")).expect("about")["captured_at"].clone();
                item["status"]["conditions"][0]["lastHeartbeatTime"] = now;
            }
            let text = list(&format!("{kind}List"), items, "me");
            out.push((format!("{top}k8s-{name}-{TIME}.yaml"), text));
            out.push((format!("{top}k8s-{name}-{TIME}.txt"), b"NAME\n".to_vec()));
        }
    }
    if let Some(value) = json_of(&bundle.join("kube/endpointslices.json")) {
        let text = list("EndpointsList", endpoints(&value["items"]), "me");
        out.push((format!("{top}k8s-endpoints-{TIME}.yaml"), text));
    }
    let pods = json_of(&bundle.join("kube/pods.json")).expect("pods");
    for entry in fs::read_dir(bundle.join("nodes")).expect("nodes") {
        let folder = entry.expect("an entry").path();
        let node = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let agent =
            pods["items"].as_array().expect("items").iter().find(|pod| {
                pod["metadata"]["labels"]["k8s-app"] == "cilium" && pod["spec"]["nodeName"] == node.as_str()
            });
        let Some(pod) = agent.and_then(|agent| agent["metadata"]["name"].as_str()) else { continue };
        let files = cmd(&folder, era);
        if era.nested {
            let tar = gzip(&tar(&files, &format!("cilium-bugtool-{TIME}.000+0000-UTC-1")));
            out.push((format!("{top}cilium-bugtool-{pod}-{TIME}.tar.gz"), tar));
        } else {
            let place = format!("{top}cilium-bugtool-{pod}-{TIME}");
            out.extend(files.into_iter().map(|(name, text)| (format!("{place}/{name}"), text)));
        }
        if let Some(log) = output_of(&folder, "agent-log") {
            out.push((format!("{top}logs-{pod}-cilium-agent-{TIME}.log"), log));
            out.push((format!("{top}logs-{pod}-config-{TIME}.log"), b"another container".to_vec()));
        }
    }
    out
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

pub(crate) fn tar(files: &[(String, Vec<u8>)], top: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("{top}/{name}"), text.as_slice()).expect("a Vec takes all");
    }
    builder.into_inner().expect("a Vec takes all")
}

/// A zip; `lie` may change each member's record in the directory.
pub(crate) fn zip(members: &[(String, Vec<u8>)], lie: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut zip = Zip::new(Vec::new());
    for (index, (name, text)) in members.iter().enumerate() {
        zip.add(name, text, |record| lie(index, record));
    }
    zip.finish()
}

/// A zip that is being written.
pub(crate) struct Zip<W> {
    to: W,
    at: usize,
    directory: Vec<u8>,
    count: u16,
}

impl<W: Write> Zip<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, at: 0, directory: Vec::new(), count: 0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.to.write_all(bytes).expect("it can be written");
        self.at += bytes.len();
    }

    /// Adds a member; `lie` may change its record in the directory.
    pub(crate) fn add(&mut self, name: &str, text: &[u8], lie: impl FnOnce(&mut Vec<u8>)) {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("a Vec takes all");
        let packed = encoder.finish().expect("a Vec takes all");
        let mut crc = Crc::new();
        crc.update(text);
        let mut shared = Vec::new();
        for word in [20_u16, 0, 8, 0, 0] {
            shared.extend_from_slice(&word.to_le_bytes());
        }
        for word in [crc.sum(), packed.len() as u32, text.len() as u32] {
            shared.extend_from_slice(&word.to_le_bytes());
        }
        shared.extend_from_slice(&(name.len() as u16).to_le_bytes());
        shared.extend_from_slice(&[0, 0]);
        let mut record = b"PK\x01\x02\x14\0".to_vec();
        record.extend_from_slice(&shared);
        record.extend_from_slice(&[0; 10]);
        record.extend_from_slice(&(self.at as u32).to_le_bytes());
        record.extend_from_slice(name.as_bytes());
        lie(&mut record);
        self.directory.extend(record);
        self.count += 1;
        self.write(b"PK\x03\x04");
        self.write(&shared);
        self.write(name.as_bytes());
        self.write(&packed);
    }

    /// Writes the directory and the end.
    pub(crate) fn finish(mut self) -> W {
        let (at, directory) = (self.at as u32, std::mem::take(&mut self.directory));
        self.write(&directory);
        let count = self.count.to_le_bytes();
        let end = [b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count];
        self.write(&end.concat());
        self.write(&(directory.len() as u32).to_le_bytes());
        self.write(&at.to_le_bytes());
        self.write(&[0, 0]);
        self.to
    }
}
