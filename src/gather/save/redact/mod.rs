//! Anonymizes a bundle so that it can be shared: other addresses and names, the same everywhere in it.
//!
//! What a verdict rests on stays: which addresses share a prefix, the well-known ones, the numbers, the moments and the
//! words of Kubernetes and Cilium. The keys are random and are not kept, so the new name of a name cannot be found by
//! trying names. [`ABOUT`] names the limits.

#![expect(
    clippy::indexing_slicing,
    reason = "places in a text that a search or a match in the same text gave, for all files here"
)]

mod addresses;
mod words;

use std::cell::RefCell;

use rustc_hash::FxHashSet;
use serde::Serialize;
use serde_json::Value;

use crate::base::credentials::without_credentials;
use crate::base::evidence::Evidence;
use crate::base::net::Prefix;
use crate::gather::bundle::Redacted;
use addresses::Addresses;
use words::Words;

/// What a redacted bundle says of itself.
pub(super) const ABOUT: Redacted = Redacted {
    replaced: "IPv4, IPv6 and hardware addresses, unique ids; names of nodes, pods, namespaces, workloads, services, \
               containers, images, the context, and label values, word by word; in texts also what has the form of a \
               domain, an email address, a user's name or a credential",
    kept: "moments, numbers, versions of kernels, systems and Cilium; loopback, link-local and multicast addresses, \
           the addresses asked for on the command line, and which addresses share how long a prefix; names of network \
           devices; the order of events; words that are the same in every cluster, such as kube-system or cilium. A \
           text may hold a name that no list of Kubernetes has: look through the logs before you show them",
};

/// The longest line that is looked at as a whole, in bytes.
const LONGEST: usize = 256 << 10;
/// The longest name that is recognized by its form, in bytes; those of Kubernetes and DNS have at most 253.
const LONGEST_NAME: usize = 512;
/// How often keys are drawn at the most; of eight services each is the first in one of eight draws.
const MOST_DRAWS: u32 = 200;
/// Fields that hold nothing of the site: kinds, states, moments, versions, numbers written as text.
const PLAIN: [&str; 39] = [
    "apiVersion",
    "kind",
    "type",
    "status",
    "reason",
    "phase",
    "protocol",
    "addressType",
    "architecture",
    "operatingSystem",
    "dnsPolicy",
    "imagePullPolicy",
    "internalTrafficPolicy",
    "trafficDistribution",
    "service.kubernetes.io/topology-mode",
    "service.kubernetes.io/topology-aware-hints",
    "effect",
    "operator",
    "kernelVersion",
    "kubeletVersion",
    "containerRuntimeVersion",
    "osImage",
    "creationTimestamp",
    "deletionTimestamp",
    "lastTransitionTime",
    "startTime",
    "startedAt",
    "finishedAt",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "started_at",
    "captured_at",
    "schema",
    "version",
    "via",
    "resultType",
    "__name__",
    "value",
];
/// Fields that hold sentences.
const SENTENCES: [&str; 3] = ["message", "right", "stderr"];
/// Fields whose words are names, to be found in sentences, too.
const NAMES: [&str; 9] = ["name", "namespace", "nodeName", "host", "serviceName", "context", "pod", "address", "image"];
/// What a dotted word ends with that is a file's name, and no host's.
const FILES: [&str; 28] = [
    "go", "c", "h", "rs", "py", "js", "ts", "java", "json", "yaml", "yml", "toml", "log", "conf", "cfg", "sock", "so",
    "sh", "txt", "md", "pem", "crt", "key", "tmp", "gz", "pid", "lock", "o",
];
/// What ends the word in front of a name: `user=`, `podName: `, `secret "`.
const KEYS: [&str; 21] = [
    "user",
    "username",
    "hostname",
    "host",
    "nodename",
    "node",
    "podname",
    "pod",
    "namespace",
    "cluster",
    "clustername",
    "endpointname",
    "servicename",
    "service",
    "container",
    "image",
    "secret",
    "configmap",
    "volume",
    "fqdn",
    "address",
];
/// What stands in front of a name, as it is; `k8s:` in front of a label.
const IN_FRONT: [&str; 6] = ["://", "/home/", "/users/", "lookup ", "can't find ", "k8s:"];

/// What the Event of a restart says that was done, after who did it.
const DONE: [&str; 4] = ["restarted", "resumed", "found", "sent"];

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// A table of addresses and numbers, its words being Cilium's.
    Table,
    /// Sentences: names that are known, and what has the form of one.
    Sentences,
    /// Names: every word that is not public.
    Names,
}

impl Manner {
    /// How the output of this evidence is read.
    pub(super) const fn for_evidence(evidence: Evidence) -> Self {
        match evidence {
            Evidence::CtList
            | Evidence::NeighbourCtList
            | Evidence::ServiceList
            | Evidence::LbList
            | Evidence::DropMetrics
            | Evidence::DropMetricsAgain
            | Evidence::NatList
            | Evidence::AttachedPrograms
            | Evidence::BpfMetrics
            | Evidence::BpfMetricsAgain
            | Evidence::BpfEndpointList
            | Evidence::MapGetLxc
            | Evidence::IpcacheList
            | Evidence::MapGetIpcache
            | Evidence::LinkList
            | Evidence::CgroupTree
            | Evidence::ConfigDrift
            | Evidence::CallsMaps
            | Evidence::KernelBtf
            | Evidence::AgentConfig => Self::Table,
            Evidence::HostPing
            | Evidence::PodEgress
            | Evidence::PodEgressAddress
            | Evidence::PodDns
            | Evidence::AgentStatus
            | Evidence::AgentLog
            | Evidence::EndpointList
            | Evidence::Mounts
            | Evidence::HostMounts
            | Evidence::HostFirewall
            | Evidence::HostFirewallV6 => Self::Sentences,
        }
    }
}

/// The names and addresses of one bundle, and what stands for them.
#[derive(Debug)]
pub(super) struct Redaction {
    addresses: Addresses,
    words: Words,
    /// Whole names, as they were learned.
    names: RefCell<FxHashSet<String>>,
}

impl Redaction {
    /// A redaction that no other one is like. `kept` are the addresses and ranges that stay.
    pub(super) fn new(kept: &[Prefix]) -> Self {
        Self { addresses: Addresses::new(kept), words: Words::new(), names: RefCell::default() }
    }

    /// Draws other keys until the first of these services of cluster DNS stays the first one: of several, that one
    /// counts.
    pub(super) fn keep_first(&self, services: &[&str]) {
        let first = |names: &[String]| (0..names.len()).min_by_key(|at| (names[*at] != "kube-dns", names[*at].clone()));
        let right = first(&services.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        for _ in 0..MOST_DRAWS {
            if first(&services.iter().map(|name| self.name(name)).collect::<Vec<_>>()) == right {
                return;
            }
            self.words.draw();
        }
    }

    /// Learns a name: its words are replaced in sentences from now on.
    pub(super) fn learn(&self, name: &str) {
        let bytes = name.as_bytes();
        let (mut at, mut is_secret) = (0, false);
        while at < bytes.len() {
            at += match self.token(bytes, at, Manner::Names) {
                Token::Address(length, _) | Token::Other(length) => length,
                Token::Word(length) => {
                    is_secret |= self.words.learn(&name[at..at + length]);
                    length
                }
            };
        }
        if is_secret {
            self.names.borrow_mut().insert(name.to_owned());
        }
    }

    /// Learns all names of an object.
    pub(super) fn learn_from<T: Serialize>(&self, object: &T) {
        self.learn_field("", &serde_json::to_value(object).unwrap_or_default());
    }

    fn learn_field(&self, key: &str, value: &Value) {
        match value {
            Value::String(name) if NAMES.contains(&key) => self.learn(without_tag(key, name)),
            Value::Object(fields) => fields.iter().for_each(|(key, value)| self.learn_field(key, value)),
            Value::Array(items) => items.iter().for_each(|item| self.learn_field("", item)),
            _ => {}
        }
    }

    /// What stands for a name, or for an address.
    pub(super) fn name(&self, name: &str) -> String {
        self.text(name, Manner::Names)
    }

    /// A text of a line or more.
    pub(super) fn text(&self, text: &str, manner: Manner) -> String {
        let mut out = Vec::with_capacity(text.len());
        text.split_inclusive('\n').for_each(|line| self.line(line.as_bytes(), manner, &mut out));
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The words of a command line. Options keep their names.
    pub(super) fn argv(&self, words: &[String]) -> Vec<String> {
        let word = |word: &String| match word.strip_prefix('-').and_then(|_| word.split_once('=')) {
            Some((option, value)) => format!("{option}={}", self.name(value)),
            None if word.starts_with("--") => word.clone(),
            None => self.name(word),
        };
        words.iter().map(word).collect()
    }

    /// An object, a list of objects, or a description. A field that is not known is a name.
    pub(super) fn redacted<T: Serialize>(&self, object: &T) -> Value {
        // All that is written here has names for keys, and so is an object.
        let mut value = serde_json::to_value(object).unwrap_or_default();
        self.field("", &mut value);
        value
    }

    /// A document that others made, as JSON; where it is none, it is sentences.
    pub(super) fn document(&self, bytes: &[u8]) -> Vec<u8> {
        let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return self.sentences(bytes) };
        self.learn_field("", &value);
        self.field("", &mut value);
        if let Some(Value::Array(items)) = value.get_mut("items") {
            items.sort_by_cached_key(sort_key);
        }
        value.to_string().into_bytes()
    }

    /// A log.
    pub(super) fn sentences(&self, bytes: &[u8]) -> Vec<u8> {
        let mut lines = Lines::new(Manner::Sentences);
        let mut out = lines.feed(self, bytes).to_vec();
        out.extend_from_slice(lines.finish(self, true));
        out
    }

    fn field(&self, key: &str, value: &mut Value) {
        match value {
            Value::String(_) if PLAIN.contains(&key) => {}
            Value::String(text) if SENTENCES.contains(&key) => *text = self.message(text),
            Value::String(text) => *text = self.name(text),
            Value::Array(items) if key == "argv" => {
                let words: Vec<String> = items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect();
                *items = self.argv(&words).into_iter().map(Value::String).collect();
            }
            // What the series are, is a number each.
            Value::Array(_) if key == "value" => {}
            Value::Object(_) if key == "redacted" => {}
            Value::Array(items) => items.iter_mut().for_each(|item| self.field(key, item)),
            Value::Object(fields) if matches!(key, "labels" | "nodeSelector") => {
                let all = std::mem::take(fields);
                fields.extend(all.into_iter().map(|(label, mut value)| {
                    self.field("", &mut value);
                    (self.name(&label), value)
                }));
            }
            Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| self.field(key, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A message. Who restarted a pod stands in the Events of this very program as `USER@HOST/PID (USER)`, and the
    /// names of people and of their machines are in no list.
    fn message(&self, text: &str) -> String {
        let Some((holder, user)) = who_restarted(text) else { return self.text(text, Manner::Sentences) };
        let whole = format!("{holder} ({user})");
        let rest = text.strip_prefix(whole.as_str()).unwrap_or_default();
        let rest: Vec<String> = rest.split(holder).map(|part| self.text(part, Manner::Sentences)).collect();
        let holder = self.name(holder);
        format!("{holder} ({}){}", self.name(user), rest.join(&holder))
    }

    /// One line, with its end or without.
    fn line(&self, line: &[u8], manner: Manner, out: &mut Vec<u8>) {
        if manner == Manner::Sentences {
            let scrubbed = without_credentials(&String::from_utf8_lossy(line));
            self.rewrite(scrubbed.as_bytes(), manner, out);
        } else {
            self.rewrite(line, manner, out);
        }
    }

    fn rewrite(&self, text: &[u8], manner: Manner, out: &mut Vec<u8>) {
        // What stays is copied in long pieces.
        let (mut copied, mut at) = (0, 0);
        while at < text.len() {
            let (length, other) = match self.token(text, at, manner) {
                // A host's name may begin like an address: `88-99-1-2.static.…`.
                Token::Address(length, _) if manner == Manner::Sentences && self.telling(text, at) > length => {
                    let name = self.telling(text, at);
                    out.extend_from_slice(&text[copied..at]);
                    self.rewrite(&text[at..at + name], Manner::Names, out);
                    at += name;
                    copied = at;
                    continue;
                }
                Token::Address(length, other) => (length, Some(other)),
                Token::Other(length) => (length, None),
                Token::Word(length) => {
                    let telling = if manner == Manner::Sentences { self.telling(text, at) } else { 0 };
                    if telling > 0 {
                        out.extend_from_slice(&text[copied..at]);
                        self.rewrite(&text[at..at + telling], Manner::Names, out);
                        at += telling;
                        copied = at;
                        continue;
                    }
                    // Letters and digits are a string.
                    let word = std::str::from_utf8(&text[at..at + length]).unwrap_or_default();
                    let replace = match manner {
                        Manner::Table => false,
                        Manner::Names => true,
                        Manner::Sentences => self.words.is_secret(word),
                    };
                    (length, if replace { self.words.replacement(word) } else { None })
                }
            };
            if let Some(other) = other {
                out.extend_from_slice(&text[copied..at]);
                out.extend_from_slice(other.as_bytes());
                copied = at + length;
            }
            at += length;
        }
        out.extend_from_slice(&text[copied..]);
    }

    /// What begins at `at`, which is not inside a word.
    fn token(&self, text: &[u8], at: usize, manner: Manner) -> Token {
        let rest = &text[at..];
        let word = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if word == 0 && rest[0] != b':' {
            let other = rest.iter().take_while(|byte| !byte.is_ascii_alphanumeric() && **byte != b':').count();
            return Token::Other(other);
        }
        if let Some((length, other)) = self.addresses.at(text, at, manner == Manner::Table) {
            return Token::Address(length, other);
        }
        if let Some(length) = moment(rest) {
            return Token::Other(length);
        }
        if word == 0 { Token::Other(1) } else { Token::Word(word) }
    }

    /// How long the name is that begins here by its form, or by what stands in front of it; 0: none does.
    fn telling(&self, text: &[u8], at: usize) -> usize {
        let rest = &text[at..];
        // Not in the middle of one.
        if at > 1 && matches!(text[at - 1], b'.' | b'-' | b'_') && text[at - 2].is_ascii_alphanumeric() {
            return 0;
        }
        let run = |more: &[u8]| {
            let run = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || more.contains(byte));
            run.take(LONGEST_NAME).count()
        };
        let dotted = &rest[..run(b".-_")];
        let host = &dotted[..dotted.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1)];
        let local = run(b".-_%+");
        if rest.get(local) == Some(&b'@') {
            return local;
        }
        if ends_with_a_key(&text[..at]) {
            return run(b".-_:/@=");
        }
        let shouted = !host.iter().any(u8::is_ascii_lowercase);
        if is_domain(host) || shouted && is_domain(&host.to_ascii_lowercase()) {
            return host.len();
        }
        // `cluster/node`, `namespace/pod`.
        let label = run(b"-.");
        if let Some(after) = rest[label..].strip_prefix(b"/") {
            let name = after.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte));
            let name = name.take(LONGEST_NAME).count();
            let name = std::str::from_utf8(&after[..name]).unwrap_or_default();
            if self.names.borrow().contains(name) {
                return label;
            }
        }
        0
    }
}

/// The lock's holder and the user with which the text of a restart's Event begins.
fn who_restarted(text: &str) -> Option<(&str, &str)> {
    let (holder, rest) = text.split_once(" (")?;
    let (who, process) = holder.rsplit_once('/')?;
    let is_holder = who.contains('@') && !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
    // A user's name may hold brackets.
    let end = DONE.iter().filter_map(|did| rest.find(&format!(") {did} "))).min()?;
    is_holder.then(|| (holder, &rest[..end]))
}

/// Where a redacted object stands in a list. The API server sorts by name, which would tell how names begin.
pub(super) fn sort_key(object: &Value) -> String {
    object["metadata"].to_string()
}

/// What a text is made of.
enum Token {
    /// So many bytes are an address, and this stands for it.
    Address(usize, String),
    /// So many letters and digits.
    Word(usize),
    /// So many other bytes.
    Other(usize),
}

/// How long a moment is, `2026-06-06T12:00:00.123Z`: its parts are no words.
fn moment(text: &[u8]) -> Option<usize> {
    const FORM: &[u8; 19] = b"0000-00-00T00:00:00";
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    let begin = text.get(..FORM.len()).filter(|begin| begin.iter().zip(FORM).all(fits))?;
    let rest = &text[begin.len()..];
    Some(begin.len() + rest.iter().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'Z')).count())
}

/// The name of an image without its tag and digest, which are in no other name.
fn without_tag<'a>(key: &str, name: &'a str) -> &'a str {
    if key != "image" {
        return name;
    }
    let name = name.split('@').next().unwrap_or(name);
    match name.rsplit_once(':') {
        Some((front, tag)) if !tag.contains('/') => front,
        _ => name,
    }
}

/// `loki.example.org`: at least two labels in small letters, the last of letters only and no file's ending.
fn is_domain(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let Some((front, last)) = text.rsplit_once('.') else { return false };
    let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    front.bytes().all(small)
        && front.split('.').all(|label| !label.is_empty())
        && last.len() > 1
        && last.bytes().all(|byte| byte.is_ascii_lowercase())
        // Some of them are countries, too: a host there has more labels.
        && (front.contains('.') || !FILES.contains(&last))
}

/// Whether a text ends with what stands in front of a name: `://`, `user=`, `"podName":"`, `secret "`.
fn ends_with_a_key(text: &[u8]) -> bool {
    let text = &text[text.len().saturating_sub(24)..];
    let lower = text.to_ascii_lowercase();
    if IN_FRONT.iter().any(|front| lower.ends_with(front.as_bytes())) {
        return true;
    }
    let between = |byte: &u8| matches!(byte, b'"' | b'\'' | b'\\' | b'=' | b':' | b' ');
    let key = lower.iter().rposition(|byte| !between(byte)).map_or(0, |last| last + 1);
    let (key, between) = lower.split_at(key);
    let word = key.iter().rposition(|byte| !byte.is_ascii_alphanumeric()).map_or(0, |last| last + 1);
    let key = std::str::from_utf8(&key[word..]).unwrap_or_default();
    between.iter().any(|byte| *byte != b' ') && KEYS.iter().any(|known| key.ends_with(known))
}

/// A text that comes in chunks. Lines are looked at as a whole, so it does not matter where chunks begin.
#[derive(Debug)]
pub(super) struct Lines {
    manner: Manner,
    /// A line that has not ended.
    begun: Vec<u8>,
    out: Vec<u8>,
}

impl Lines {
    /// Nothing came yet.
    pub(super) fn new(manner: Manner) -> Self {
        Self { manner, begun: Vec::new(), out: Vec::new() }
    }

    /// Takes a chunk; gives back what can be written.
    pub(super) fn feed(&mut self, redaction: &Redaction, chunk: &[u8]) -> &[u8] {
        self.out.clear();
        let before = self.begun.len();
        self.begun.extend_from_slice(chunk);
        let whole = match memchr::memrchr(b'\n', chunk) {
            Some(last) => before + last + 1,
            // A line without end is cut at a blank, or it is none.
            None if self.begun.len() > LONGEST => {
                self.begun.iter().rposition(|byte| matches!(byte, b' ' | b'\t')).map_or(self.begun.len(), |at| at + 1)
            }
            None => 0,
        };
        for line in self.begun[..whole].split_inclusive(|byte| *byte == b'\n') {
            redaction.line(line, self.manner, &mut self.out);
        }
        self.begun.drain(..whole);
        &self.out
    }

    /// Takes the end; gives back what is left. Where the end is not `clean`, a word at it may be torn, and is left out.
    pub(super) fn finish(&mut self, redaction: &Redaction, clean: bool) -> &[u8] {
        self.out.clear();
        if !clean {
            let of_a_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'_');
            let word = self.begun.iter().rposition(|byte| !of_a_word(byte)).map_or(0, |at| at + 1);
            // A number is not part of an address.
            let torn = &self.begun[word..];
            if self.manner == Manner::Sentences || torn.iter().any(|byte| matches!(byte, b'.' | b':')) {
                self.begun.truncate(word);
            }
        }
        redaction.line(&std::mem::take(&mut self.begun), self.manner, &mut self.out);
        &self.out
    }
}

#[cfg(test)]
mod tests;
