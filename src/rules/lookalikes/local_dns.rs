//! The resolver on the node itself: down or hung, behind a redirect without effect, masqueraded, or the agent's proxy.

use crate::base::evidence::Evidence;
use crate::base::version::Version;
use crate::cilium::status::Masquerading;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::MAY_APPLY;
use crate::rules::case::Case;
use crate::rules::lookalikes::drops::denied_on_arrival;
use crate::rules::lookalikes::not_looked;
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::signs::agent_version;
use crate::rules::verdict::{Because, Confidence, Says};
use crate::rules::witnesses::{Fate, dead_ways, egress_says, probes_fail, reaches_world, witnesses};
use crate::ways::counts::Counts;
use crate::ways::dns::{DnsLife, DnsPath};
use crate::ways::group::Group;
use crate::ways::life::{FEW, Life, life};
use crate::ways::way::Way;

/// The first release that masquerades queries to link-local addresses (cilium/cilium#36761; see `knowledge/upstream/dns.rs`).
const MASQUERADED_SINCE: Version = Version::release(1, 16, 5);

/// What makes masqueraded queries possible.
pub(crate) fn masquerades() -> Because {
    Because::evidence(Evidence::AgentStatus.name(), "masquerading is done by BPF")
}

/// Restarted so often, a resolver does not run through.
const MANY_RESTARTS: i64 = 3;

/// `local-redirect-broken`.
pub(super) fn redirect_broken(case: &Case) -> Exclusion {
    let dead = matches!(case.dns.life, DnsLife::Dead | DnsLife::DeadForOne | DnsLife::FewDead);
    let by_pod = case.around.node_local_dns.pod.as_ref().is_some_and(|pod| !pod.host_network && pod.ready);
    // While a redirect works, entries show the pod's address and not the one that was asked.
    let raw = case.picture().map_or(0, |picture| picture.runbook.dns);
    let bypassed = case.picture().is_some_and(|picture| {
        let counts = picture.group(Group::NodeLocalDns);
        raw > 0 && raw * 2 >= u64::from(counts.live() + counts.expired)
    });
    let (summary, because) = if case.backends.redirect_without_backend {
        let says = Because::check(CheckId::DnsBackends, case.backends.finding.summary.clone());
        ("A local redirect leads nowhere: it has no active backend on this node.", says)
    } else if by_pod && dead && bypassed {
        let text = format!(
            "NodeLocal DNS runs as a pod of its own, but {raw} conntrack entries go to the raw address and get no answer"
        );
        let says = Says::new(text, [("entries", raw.into())]);
        ("The local redirect to NodeLocal DNS has no effect.", Because::said(CheckId::DnsConntrack.name(), says))
    } else {
        return match (&case.backends.list, case.backends.redirected) {
            (None, _) => not_looked(Evidence::ServiceList, &case.backends.finding.summary),
            (Some(_), true) => {
                Exclusion::out("the local redirect has an active backend", [("redirects", 1_i64.into())])
            }
            (Some(_), false) => {
                Exclusion::out("no local redirect is in the service table", [("redirects", 0_i64.into())])
            }
        };
    };
    Exclusion::applies(Opinion::new(Code::LocalRedirectBroken, Confidence::High, summary).because(because))
}

/// `dns-proxy-broken`: the agent's own proxy took the queries and does not answer them.
pub(super) fn proxy_broken(case: &Case) -> Exclusion {
    let counts = &case.dns.state.counts;
    let (dead, proxied) = (counts.dead(), counts.dead_proxied);
    let figures = [("dead", dead.into()), ("proxied", proxied.into())];
    if case.picture().is_none() {
        return Exclusion::open("the conntrack dump was not read", Evidence::CtList.name());
    }
    if dead == 0 {
        return Exclusion::out("no DNS flow of a pod lacks an answer", figures);
    }
    if proxied * 10 < dead * 9 || proxied < 3 {
        let says = format!("{proxied} of {dead} DNS flows without answer were handed to the agent's DNS proxy");
        return Exclusion::out(says, figures);
    }
    let summary = "The agent's DNS proxy does not answer: it took the queries that get no answer.";
    let says = format!("{proxied} of {dead} DNS flows without answer carry the flag ProxyRedirect");
    Exclusion::applies(
        Opinion::new(Code::DnsProxyBroken, Confidence::High, summary)
            .because(Because::said("ct-list", Says::new(says, figures)))
            .and(CheckId::DnsConntrack.name(), case.dns_says()),
    )
}

/// Whether DNS of this node's pods fails, by the dump, or by probes where the dump does not say otherwise.
fn fails(case: &Case) -> bool {
    matches!(case.dns.life, DnsLife::Dead | DnsLife::DeadForOne | DnsLife::FewDead)
        || (case.egress.dns == Some(false) || case.egress.by_name == Some(false)) && case.dns.life != DnsLife::Alive
}

/// Pods that ask the node-local address although no NodeLocal DNS pod is here.
fn asks_in_vain(case: &Case) -> Option<Says> {
    let entries = case.picture()?.runbook.dns;
    let answered = case.picture()?.group(Group::NodeLocalDns).answered;
    let asked = case.egress.dns_server.is_some_and(|server| case.around.node_local_dns.addresses.contains(&server));
    let here = case.around.node_local_dns.pod.is_some();
    (!here && answered == 0 && entries > 0 && (asked || case.egress.dns == Some(false))).then(|| {
        let text = format!(
            "{entries} conntrack entries go to the node-local address, but no NodeLocal DNS pod is on this node"
        );
        Says::new(text, [("entries", entries.into())])
    })
}

/// The figures of DNS and of what lives beside it.
fn beside(case: &Case, opinion: Opinion) -> Opinion {
    opinion.and(CheckId::DnsConntrack.name(), case.dns_says()).because(egress_says(case))
}

/// `node-local-dns-down`: the resolver on the node is down, hung or crash-looping, while other ways live.
pub(super) fn down(case: &Case) -> Exclusion {
    let dns = &case.around.node_local_dns;
    let asks_in_vain = asks_in_vain(case);
    if !dns.deployed && !case.dns.path.ends_here() && asks_in_vain.is_none() {
        return Exclusion::NotApplicable;
    }
    if case.around.pods.is_none() {
        return Exclusion::open("the pods could not be listed", "pods");
    }
    let others_die = witnesses(case).iter().any(|way| !way.dns);
    let trouble = match &dns.pod {
        Some(pod) if !pod.ready => {
            let text = format!("{} is not ready ({} restarts)", pod.pod, pod.restarts);
            Some(Says::new(text, [("restarts", pod.restarts.into())]))
        }
        Some(pod) if pod.restarts >= MANY_RESTARTS && case.dns.state.counts.dead() > 0 && !others_die => {
            let text = format!("{} is ready now, but was restarted {} times", pod.pod, pod.restarts);
            Some(Says::new(text, [("restarts", pod.restarts.into())]))
        }
        None if case.dns.path == DnsPath::NodeLocal => {
            Some(Says::new("no NodeLocal DNS pod is on this node", [("resolvers", 0_i64.into())]))
        }
        None => asks_in_vain,
        _ => None,
    };
    if let Some(says) = &trouble
        && (fails(case) || dns.pod.as_ref().is_some_and(|pod| pod.ready) || case.egress.dns == Some(false))
        && reaches_world(case)
        && !others_die
    {
        let summary = "The local DNS resolver of this node is down; other ways of its pods live.";
        let confidence = if fails(case) { Confidence::High } else { Confidence::Medium };
        let opinion =
            Opinion::new(Code::NodeLocalDnsDown, confidence, summary).because(Because::said("pods", says.clone()));
        return Exclusion::applies(beside(case, opinion));
    }
    // It hangs: everything else that ends on the node, or leaves it, lives.
    let upstream_ready = case.backends.expected.is_none_or(|ready| ready >= 2);
    let hangs = case.dns.life == DnsLife::Dead && case.dns.path.ends_here();
    if hangs && upstream_ready && !others_die && other_host_ways_live(case) && denied_on_arrival(case).is_none() {
        let ready = if dns.pod.as_ref().is_some_and(|pod| pod.ready) { ", though its pod is ready" } else { "" };
        let summary = format!(
            "{} of this node does not answer{ready}; other ways of its pods live.",
            upper(case.dns.path.label())
        );
        let opinion = Opinion::new(Code::NodeLocalDnsDown, Confidence::Medium, summary)
            .and("ct-list", case.way_says(Way::HostToPod))
            .and("ct-list", case.way_says(Way::PodToHost));
        return Exclusion::applies(beside(case, opinion));
    }
    match (&dns.pod, &trouble) {
        (Some(pod), None) => Exclusion::out(
            format!("{} is ready, {} restarts", pod.pod, pod.restarts),
            [("restarts", pod.restarts.into())],
        ),
        (_, Some(says)) if others_die => {
            let mut figures = says.figures.clone();
            figures.insert("dead_ways".to_owned(), dead_ways(case).len().into());
            Exclusion::RuledOut(Says { text: format!("{}, but more than DNS is dead", says.text), figures })
        }
        (_, Some(says)) => Exclusion::open(says.text.clone(), "a pod that can probe (--probe-pod)"),
        (None, None) => match case.dns_says() {
            Some(says) if case.dns.life == DnsLife::Alive => Exclusion::RuledOut(says),
            _ => Exclusion::open(
                "no evidence shows whether the local resolver answers",
                "a pod that can probe (--probe-pod)",
            ),
        },
    }
}

/// Whether the path between pods and the host lives, and the way to the world.
fn other_host_ways_live(case: &Case) -> bool {
    let host_path = [Way::HostToPod, Way::PodToHost].iter().any(|way| case.way(*way).life == Life::Alive);
    host_path && reaches_world(case)
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The same one step further: cluster DNS pods of this node ask a resolver of the host by its link-local address (Talos).
fn upstream_masqueraded(case: &Case) -> Option<Opinion> {
    let bpf = case.beyond.status.seen().is_some_and(|status| status.masquerading == Some(Masquerading::Bpf));
    let picture = case.picture().filter(|_| bpf && case.dns.path != DnsPath::LinkLocal)?;
    let dns_pods =
        picture.endpoints.iter().filter(|e| e.address.is_some_and(|ip| case.around.roles.is_cluster_dns(ip)));
    let counts = dns_pods.fold(Counts::default(), |sum, pod| sum.and(pod.group(Group::LinkLocalDns)));
    if life(&counts, FEW) != Life::Dead || !reaches_world(case) || dead_ways(case).iter().any(|way| !way.dns) {
        return None;
    }
    let summary =
        "Queries of cluster DNS to the node's link-local resolver are masqueraded on their way (cilium/cilium#36761).";
    let text = format!(
        "cluster DNS pods of this node to the local resolver: {} of {} live flows get no answer",
        counts.dead(),
        counts.decided()
    );
    let figures =
        [("way", "dns-upstream".into()), ("dead", counts.dead().into()), ("decided", counts.decided().into())];
    Some(
        Opinion::new(Code::LinkLocalMasquerade, Confidence::Medium, summary)
            .because(Because::said("ct-list", Says::new(text, figures)))
            .because(masquerades())
            .because(egress_says(case)),
    )
}

/// `link-local-masquerade`: queries to the link-local address are masqueraded on their way (cilium/cilium#36761).
pub(super) fn link_local_masquerade(case: &Case) -> Exclusion {
    if let Some(opinion) = upstream_masqueraded(case) {
        return Exclusion::applies(opinion);
    }
    if !case.dns.path.ends_here() {
        return Exclusion::NotApplicable;
    }
    let counts = &case.dns.state.counts;
    let figures = [("dead", counts.dead().into()), ("answered", counts.answered.into())];
    if counts.answered > 0 && case.dns.life != DnsLife::Dead {
        let flows = if counts.answered == 1 { "1 live flow" } else { &format!("{} live flows", counts.answered) };
        let are = if counts.answered == 1 { "is" } else { "are" };
        return Exclusion::out(format!("{flows} to {} {are} answered", case.dns.path.label()), figures);
    }
    if let Some(says) = denied_on_arrival(case) {
        return Exclusion::RuledOut(says);
    }
    if let Some(way) = dead_ways(case).iter().find(|way| !way.dns && way.fate != Fate::World) {
        let text = format!("more than the link-local address is dead ({})", way.because.says);
        return Exclusion::RuledOut(Says { text, figures: way.because.figures.clone() });
    }
    if probes_fail(case) || case.way(Way::World).life == Life::Dead && !reaches_world(case) {
        return Exclusion::out("pods do not reach the world either", figures);
    }
    if !reaches_world(case) {
        let says = "whether pods reach the world beside it is not known";
        return Exclusion::open(says, "a pod that can probe (--probe-pod)");
    }
    match agent_version(case) {
        Some(version) if version < MASQUERADED_SINCE => {
            let says = format!("Cilium {version} is older than the releases that masquerade such queries");
            return Exclusion::out(says, [("version", version.to_string().into())]);
        }
        Some(_) => {}
        None => return not_looked(Evidence::AgentStatus, "the agent's release is not known"),
    }
    let Some(status) = case.beyond.status.seen() else {
        return not_looked(Evidence::AgentStatus, "whether masquerading is done by BPF is not known");
    };
    match status.masquerading {
        Some(Masquerading::Bpf) => {}
        Some(_) => return Exclusion::out("masquerading is not done by BPF", [("masquerading", "other".into())]),
        None => return Exclusion::open("the status does not say who masquerades", Evidence::AgentStatus.name()),
    }
    let healthy_resolver =
        case.around.node_local_dns.pod.as_ref().is_none_or(|pod| pod.ready && pod.restarts < MANY_RESTARTS);
    if case.dns.life != DnsLife::Dead || !healthy_resolver {
        return Exclusion::open("too little DNS traffic to judge", "more DNS traffic, or a second look");
    }
    let summary = "Queries to the link-local DNS address are masqueraded on their way (cilium/cilium#36761).";
    // One node that was answered a while ago rather has a resolver that hangs: only all nodes together tell otherwise.
    if case.dns.state.counts.last_answer > 0 && other_host_ways_live(case) {
        return Exclusion::open(format!("{MAY_APPLY}{summary}"), "another node: --all-nodes");
    }
    let opinion = Opinion::new(Code::LinkLocalMasquerade, Confidence::Medium, summary)
        .because(Because::evidence(Evidence::AgentStatus.name(), "masquerading is done by BPF"))
        .and("ct-list", case.way_says(Way::HostToPod));
    Exclusion::applies(beside(case, opinion))
}
