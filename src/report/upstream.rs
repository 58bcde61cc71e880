//! `staledp report`: an issue for upstream in Markdown, from a redacted bundle and nothing else.

use std::fmt::Write as _;

use super::markdown::{block, cell, code, prose};
use super::settle;
use super::tables::RestartChanges;
use super::{Check, NodeReport};
use crate::base::tool::Tool;
use crate::cilium::agent_config::AgentConfig;
use crate::cilium::agent_log::AgentLog;
use crate::cilium::status::{AgentStatus, Encryption, Masquerading, Routing, SocketLb};
use crate::knowledge::code::Kind;
use crate::kubernetes::objects::{Event, NodeInfo};
use crate::rules::verdict::{Cause, Confidence};
use crate::symptoms::probes::moments;

/// The most events that are listed: the newest.
const MOST_EVENTS: usize = 40;
/// The columns of what stands in code blocks.
const COLUMNS: usize = 100;

/// What an issue is written from.
#[derive(Clone, Debug)]
pub struct UpstreamIssue {
    /// The look at the broken node.
    pub before: NodeLook,
    /// The look after the restart, where there was one.
    pub after: Option<NodeLook>,
    /// What the restart changed, where both looks are there.
    pub changed: Option<RestartChanges>,
}

/// One look at a node, as a redacted bundle has it.
#[derive(Clone, Debug)]
pub struct NodeLook {
    /// What was judged.
    pub node: NodeReport,
    /// When the evidence was taken, RFC 3339.
    pub captured_at: Option<String>,
    /// What the node runs, where it was listed.
    pub info: Option<NodeInfo>,
    /// How many nodes the cluster has, where they were listed.
    pub nodes: Option<usize>,
    /// The agent's status, where it was read.
    pub status: Option<AgentStatus>,
    /// Settings of the agent's configuration, where they were read.
    pub config: Option<AgentConfig>,
    /// The agent's log, where it was read.
    pub log: Option<AgentLog>,
    /// The events about the node and its pods.
    pub events: Vec<Event>,
}

/// The issue in Markdown, with a newline at its end.
#[must_use]
pub fn markdown(issue: &UpstreamIssue) -> String {
    let before = &issue.before;
    let verdict = &before.node.verdict;
    let mut out = format!("# {}\n\n", title(&before.node));
    let confidence = verdict.confidence.map_or("no", Confidence::name);
    paragraph(
        &mut out,
        &format!("{} ({}, {confidence} confidence)", prose(&verdict.summary), code(verdict.code.name())),
    );
    broken_thing(&mut out, verdict.kind, verdict.cause.as_ref());
    versions(&mut out, before);
    configuration(&mut out, before);
    section(&mut out, "Evidence");
    for because in &verdict.because {
        bullet(&mut out, &format!("{}: {}", code(&because.check), prose(&because.says)));
    }
    for ruled_out in &verdict.ruled_out {
        bullet(&mut out, &format!("not {}: {}", code(ruled_out.code.name()), prose(&ruled_out.says)));
    }
    checks(&mut out, issue);
    if let Some(changed) = &issue.changed {
        section(&mut out, "What the restart changed, by table and key");
        // The heading says the first line already.
        let text = changed.text(COLUMNS);
        out += &block(text.lines().skip(1));
    }
    timeline(&mut out, issue);
    log(&mut out, before);
    known_issues(&mut out, &before.node);
    let steps = settle::steps(&before.node);
    if !steps.is_empty() {
        section(&mut out, "What is missing");
        for step in &steps {
            bullet(&mut out, &prose(step));
        }
    }
    section(&mut out, "How this was made");
    let tool = Tool::THIS;
    let by = format!("{} {}", tool.name, tool.version);
    let says = format!(
        "By {} from the evidence in the attached archive: names and addresses stand for others, the same ones everywhere in \
         it. `staledp diagnose --from ARCHIVE` repeats the verdict.",
        code(&by)
    );
    paragraph(&mut out, &says);
    out
}

fn section(out: &mut String, title: &str) {
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
    // Writing to a String cannot fail.
    _ = write!(out, "## {title}\n\n");
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\n\n");
}

fn bullet(out: &mut String, text: &str) {
    _ = writeln!(out, "- {text}");
}

/// "stale-map: map `cilium_ipcache` on one node of 12" in words that stay short.
fn title(node: &NodeReport) -> String {
    let code_name = node.verdict.code.name();
    let version =
        node.cilium.version.as_deref().map_or(String::new(), |version| format!(" (Cilium {})", prose(version)));
    match &node.verdict.cause {
        Some(cause) => {
            let on = cause.on.as_deref().map_or(String::new(), |on| format!(" on {}", prose(on)));
            format!("{code_name}: {} {}{on}{version}", prose(&cause.what), prose(&cause.name))
        }
        None => format!("{code_name} on a node{version}"),
    }
}

fn table(out: &mut String, head: [&str; 2], rows: &[(&str, Option<&str>)]) {
    _ = writeln!(out, "| {} | {} |\n| --- | --- |", head[0], head[1]);
    for (name, value) in rows {
        let value = value.filter(|value| !value.is_empty()).map_or_else(|| "not known".to_owned(), cell);
        _ = writeln!(out, "| {name} | {value} |");
    }
}

fn broken_thing(out: &mut String, kind: Kind, cause: Option<&Cause>) {
    section(out, "The broken thing");
    let Some(cause) = cause else {
        let says = match kind {
            Kind::Stale => "The evidence does not name one: the verdict rests on how flows die.",
            Kind::OtherFault => "The evidence does not name one beyond the verdict.",
            Kind::Inconclusive => "None is known: this node could not be judged.",
            Kind::Healthy => "None: this node is healthy, so these pages show no fault to report.",
        };
        return paragraph(out, says);
    };
    let rows = [
        ("What", Some(cause.what.as_str())),
        ("Name", Some(cause.name.as_str())),
        ("On", cause.on.as_deref()),
        ("Key", cause.key.as_deref()),
        ("Expected", cause.expected.as_deref()),
        ("Found", cause.found.as_deref()),
        ("Since", cause.since.as_deref()),
        ("Shown by", Some(cause.evidence.as_str())),
    ];
    let known: Vec<_> = rows.into_iter().filter(|(_, value)| value.is_some()).collect();
    table(out, ["", "Value"], &known);
}

fn versions(out: &mut String, look: &NodeLook) {
    section(out, "Versions");
    let info = look.info.as_ref();
    let of = |field: fn(&NodeInfo) -> &String| info.map(|info| field(info).as_str());
    let nodes = look.nodes.map(|nodes| nodes.to_string());
    table(
        out,
        ["", "Version"],
        &[
            ("Cilium", look.node.cilium.version.as_deref()),
            ("Kernel", of(|info| &info.kernel_version)),
            ("Kubelet", of(|info| &info.kubelet_version)),
            ("Container runtime", of(|info| &info.container_runtime_version)),
            ("Operating system", of(|info| &info.os_image)),
            ("Architecture", of(|info| &info.architecture)),
            ("Nodes", nodes.as_deref()),
            ("Agent started", look.node.cilium.started_at.as_deref()),
            ("Evidence taken", look.captured_at.as_deref()),
        ],
    );
}

fn configuration(out: &mut String, look: &NodeLook) {
    section(out, "Configuration that matters");
    let status = look.status.as_ref();
    let yes_or_no = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let flag = |field: fn(&AgentStatus) -> Option<bool>| status.and_then(field).map(yes_or_no);
    let rows = [
        ("Routing", status.and_then(|s| s.routing.as_ref()).map(routing)),
        ("BPF host routing", flag(|s| s.bpf_host_routing)),
        ("Kube-proxy replacement", flag(|s| s.kube_proxy_replacement)),
        ("Socket load balancing", status.and_then(|s| s.socket_lb).map(|lb| socket_lb(lb).to_owned())),
        ("Masquerading", status.and_then(|s| s.masquerading).map(|by| masquerading(by).to_owned())),
        ("Attach mode", status.and_then(|s| s.attach_mode).map(|mode| format!("{mode:?}"))),
        ("Pod devices", status.and_then(|s| s.device_mode.clone())),
        ("Encryption", status.and_then(|s| s.encryption.as_ref()).map(encryption)),
        ("Host firewall", flag(|s| s.host_firewall)),
        ("Chained to", status.and_then(|s| s.chained_to.clone())),
    ];
    let mut rows: Vec<(&str, Option<&str>)> = rows.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    rows.retain(|(name, value)| value.is_some() || *name != "Chained to");
    if status.is_none() {
        paragraph(out, "The agent's status was not read.");
    } else {
        table(out, ["", "Setting"], &rows);
    }
    if let Some(config) = look.config.as_ref().filter(|config| !config.settings.is_empty()) {
        out.push('\n');
        let lines: Vec<String> = config.settings.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        out.push_str(&block(lines.iter().map(String::as_str)));
    }
}

fn routing(routing: &Routing) -> String {
    match routing {
        Routing::Native => "native".to_owned(),
        Routing::Tunnel(kind) => format!("tunnel ({kind})"),
    }
}

const fn socket_lb(lb: SocketLb) -> &'static str {
    match lb {
        SocketLb::Disabled => "disabled",
        SocketLb::Full => "full",
        SocketLb::HostNamespace => "host namespace only",
        SocketLb::Enabled => "enabled",
    }
}

const fn masquerading(by: Masquerading) -> &'static str {
    match by {
        Masquerading::Bpf => "BPF",
        Masquerading::Iptables => "iptables",
        Masquerading::Disabled => "disabled",
    }
}

fn encryption(encryption: &Encryption) -> String {
    match encryption {
        Encryption::Disabled => "disabled".to_owned(),
        Encryption::Wireguard { .. } => "WireGuard".to_owned(),
        Encryption::Ipsec { .. } => "IPsec".to_owned(),
        Encryption::Other(word) => word.clone(),
    }
}

/// The checks, before and after the restart where both are known.
fn checks(out: &mut String, issue: &UpstreamIssue) {
    let after = issue.after.as_ref().map(|look| &look.node);
    section(out, if after.is_some() { "Before and after the restart" } else { "Checks" });
    let says = |check: &Check| format!("{}: {}", check.status.name(), check.summary);
    let code_of = |node: &NodeReport| node.verdict.code.name().to_owned();
    let mut rows = vec![("verdict".to_owned(), code_of(&issue.before.node), after.map(code_of))];
    for check in &issue.before.node.checks {
        let later = after.and_then(|node| node.checks.iter().find(|later| later.id == check.id));
        rows.push((check.id.name().to_owned(), says(check), later.map(says)));
    }
    let second = if after.is_some() { " After |" } else { "" };
    let rule = if after.is_some() { " --- |" } else { "" };
    _ = writeln!(out, "| Check | Before |{second}\n| --- | --- |{rule}");
    for (name, before, later) in rows {
        let later = match later {
            Some(later) => format!(" {} |", prose(&later)),
            None if after.is_some() => " not known |".to_owned(),
            None => String::new(),
        };
        _ = writeln!(out, "| {name} | {} |{later}", prose(&before));
    }
}

/// What happened when: the agents' starts, the looks, and the events about the node and its pods.
fn timeline(out: &mut String, issue: &UpstreamIssue) {
    section(out, "Timeline");
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut add = |at: Option<&str>, says: String| {
        if let Some(at) = at {
            entries.push((at.to_owned(), says));
        }
    };
    let looks = [("before", Some(&issue.before)), ("after", issue.after.as_ref())];
    for (when, look) in looks.into_iter().filter_map(|(when, look)| Some((when, look?))) {
        let pod = look.node.cilium.pod.as_deref().unwrap_or("the agent");
        add(look.node.cilium.started_at.as_deref(), format!("the agent of the look {when} started: {pod}"));
        add(look.captured_at.as_deref(), format!("the look {when}: {}", look.node.verdict.code.name()));
        if let Some(since) = look.node.verdict.cause.as_ref().and_then(|cause| cause.since.as_deref()) {
            add(Some(since), format!("the broken thing of the look {when} has been so since here"));
        }
        for event in &look.events {
            let times = if event.count > 1 { format!(" (x{})", event.count) } else { String::new() };
            let object = &event.involved_object;
            let says =
                format!("{} {} {} {}{times}: {}", event.r#type, event.reason, object.kind, object.name, event.message);
            add(moments(event).1, says);
        }
    }
    entries.sort();
    entries.dedup();
    let left_out = entries.len().saturating_sub(MOST_EVENTS);
    if entries.is_empty() {
        return paragraph(out, "Nothing is known of what happened when.");
    }
    if left_out > 0 {
        paragraph(out, &format!("The newest {MOST_EVENTS}; {left_out} older ones are in the archive."));
    }
    let lines: Vec<String> = entries.into_iter().skip(left_out).map(|(at, says)| format!("{at}  {says}")).collect();
    *out += &block(lines.iter().map(String::as_str));
}

fn log(out: &mut String, look: &NodeLook) {
    let Some(log) = &look.log else { return };
    let lines: Vec<&str> = [&log.last_failure, &log.last_error].into_iter().flatten().map(String::as_str).collect();
    if lines.is_empty() {
        return;
    }
    section(out, "The agent's log");
    let counts = format!("{} lines with errors; the last ones:", log.errors);
    paragraph(out, &counts);
    *out += &block(lines);
}

fn known_issues(out: &mut String, node: &NodeReport) {
    if node.known_issues.is_empty() {
        return;
    }
    section(out, "Known issues that match");
    for issue in &node.known_issues {
        bullet(out, &format!("{}: {} ({})", prose(&issue.id), prose(&issue.title), prose(&issue.why)));
    }
}
