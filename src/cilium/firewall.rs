//! `iptables-save` and `ip6tables-save`, with counters (`-c`) and without: whether the host's own firewall refuses packets between the host and its pods.
//!
//! Chains are walked as the kernel does, with three answers a rule: it fits, it does not, or it hangs on something that is
//! not known here (marks, owners, sets, limits, states). Only a refusal that no such doubt stands before is called one.

mod rule;

use std::collections::HashMap;
use std::net::IpAddr;

use self::rule::Fit;
pub use self::rule::{FirewallRule, RuleTarget};
use crate::cilium::lines::rows;

/// The most rules that are kept: those of clusters with many services stand in the table `nat`, which is not read.
const MOST: usize = 32_768;
/// The most rules that one packet is held against.
const MOST_STEPS: usize = 100_000;
/// The deepest jump that is followed.
const DEEPEST: usize = 32;

/// On which way a packet passes the host's firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// To the host.
    Input,
    /// From the host.
    Output,
    /// Through the host.
    Forward,
}

impl Hook {
    /// The tables and chains on this way, in order.
    const fn chains(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Input => &[("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "INPUT"), ("filter", "INPUT")],
            Self::Output => &[("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("filter", "OUTPUT"), ("mangle", "POSTROUTING")],
            Self::Forward => &[
                ("raw", "PREROUTING"),
                ("mangle", "PREROUTING"),
                ("mangle", "FORWARD"),
                ("filter", "FORWARD"),
                ("mangle", "POSTROUTING"),
            ],
        }
    }
}

/// The first packet of a connection, as far as it is known. Unknown fields neither fit nor fail a rule.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// Its way.
    pub hook: Hook,
    /// The device that it comes in by.
    pub input: Option<&'a str>,
    /// The device that it leaves by.
    pub output: Option<&'a str>,
    /// From where.
    pub source: Option<IpAddr>,
    /// To where.
    pub destination: Option<IpAddr>,
    /// `tcp`, `udp`, `icmp`.
    pub protocol: Option<&'a str>,
    /// From which port.
    pub source_port: Option<u16>,
    /// To which port.
    pub destination_port: Option<u16>,
}

/// What refuses a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refuser<'a> {
    /// A rule.
    Rule(&'a FirewallRule),
    /// The end of a chain that lets through only what its rules name.
    Policy {
        /// The table.
        table: &'a str,
        /// The chain.
        chain: &'a str,
    },
}

/// What the firewall does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// It is let through, by all rules that are known.
    Passes,
    /// It is refused.
    Refused(Refuser<'a>),
    /// These may refuse it: they, or rules before them, depend on unknown fields.
    Unsure(Vec<Refuser<'a>>),
}

/// The rules of the tables `raw`, `mangle` and `filter`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// Whether a table was seen.
    pub recognized: bool,
    /// The rules, in order.
    pub rules: Vec<FirewallRule>,
    /// Chains that refuse what no rule lets through, by table.
    pub refusing_chains: Vec<(String, String)>,
    /// Whether there are rules that this program can't show (`iptables-legacy`).
    pub has_hidden_rules: bool,
    /// Rules that could not be read, or kept.
    pub unread: usize,
    /// Positions of the rules of each chain.
    chains: HashMap<(String, String), Vec<usize>>,
}

/// Reads the tables.
#[must_use]
pub fn parse(text: &str) -> Firewall {
    let mut firewall = Firewall::default();
    let mut table = String::new();
    let mut remarks = 0;
    for line in rows(text, &mut remarks) {
        let line = without_counters(line.trim_end());
        if let Some(name) = line.strip_prefix('*') {
            firewall.recognized = true;
            name.clone_into(&mut table);
        } else if line.starts_with('#') {
            firewall.has_hidden_rules |= line.contains("legacy tables present");
        } else if !matches!(table.as_str(), "raw" | "mangle" | "filter") {
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split(' ');
            if let (Some(chain), Some("DROP" | "REJECT")) = (words.next(), words.next())
                && firewall.refusing_chains.len() < MOST
            {
                firewall.refusing_chains.push((table.clone(), chain.to_owned()));
            }
        } else if line.starts_with("-A ") {
            match rule::parse(&table, line).filter(|_| firewall.rules.len() < MOST) {
                Some(rule) => {
                    let chain = (rule.table.clone(), rule.chain.clone());
                    firewall.chains.entry(chain).or_default().push(firewall.rules.len());
                    firewall.rules.push(rule);
                }
                None => firewall.unread += 1,
            }
        }
    }
    firewall
}

/// A rule without the packets and bytes that `-c` prints before it: `[12:640] -A INPUT …`.
fn without_counters(line: &str) -> &str {
    line.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(line, |(_, rule)| rule)
}

/// How far the walk of one packet came.
struct Walk<'a> {
    /// Whether nothing that is not known stands before.
    is_sure: bool,
    possible: Vec<Refuser<'a>>,
    steps: usize,
}

/// How a chain ended.
enum End<'a> {
    Accepted,
    Refused(Refuser<'a>),
    Returned,
}

impl Firewall {
    /// What the firewall does with a packet; none where its rules were not read whole.
    #[must_use]
    pub fn decide(&self, packet: &Packet<'_>) -> Option<Decision<'_>> {
        if !self.recognized || self.unread > 0 {
            return None;
        }
        let mut walk = Walk { is_sure: true, possible: Vec::new(), steps: 0 };
        for (table, chain) in packet.hook.chains() {
            let end = match self.walk(table, chain, packet, &mut walk, 0)? {
                End::Returned => self.policy(table, chain).map_or(End::Accepted, End::Refused),
                end => end,
            };
            match end {
                End::Refused(refuser) if walk.is_sure => return Some(Decision::Refused(refuser)),
                End::Refused(refuser) => walk.possible.push(refuser),
                End::Accepted | End::Returned => {}
            }
        }
        Some(if walk.possible.is_empty() { Decision::Passes } else { Decision::Unsure(walk.possible) })
    }

    fn policy(&self, table: &str, chain: &str) -> Option<Refuser<'_>> {
        let (table, chain) = self.refusing_chains.iter().find(|(t, c)| t == table && c == chain)?;
        Some(Refuser::Policy { table, chain })
    }

    /// Walks one chain; none where it is too long or jumps too deep.
    fn walk<'a>(
        &'a self,
        table: &str,
        chain: &str,
        packet: &Packet<'_>,
        walk: &mut Walk<'a>,
        depth: usize,
    ) -> Option<End<'a>> {
        if depth > DEEPEST {
            return None;
        }
        let Some(positions) = self.chains.get(&(table.to_owned(), chain.to_owned())) else {
            return Some(End::Returned);
        };
        for rule in positions.iter().filter_map(|at| self.rules.get(*at)) {
            walk.steps += 1;
            if walk.steps > MOST_STEPS {
                return None;
            }
            let fit = rule.fits(packet);
            if fit == Fit::No {
                continue;
            }
            let is_certain = fit == Fit::Yes;
            match &rule.target {
                RuleTarget::Refuse if is_certain => return Some(End::Refused(Refuser::Rule(rule))),
                // What Kubernetes and Cilium refuse on conditions is no pod's traffic.
                RuleTarget::Refuse if rule.is_of_the_cluster() => {}
                RuleTarget::Refuse => walk.possible.push(Refuser::Rule(rule)),
                RuleTarget::Accept if is_certain => return Some(End::Accepted),
                RuleTarget::Return if is_certain => return Some(End::Returned),
                RuleTarget::Accept | RuleTarget::Return => walk.is_sure = false,
                RuleTarget::Goto(to) | RuleTarget::Jump(to) => {
                    // What a jump that may not be taken says is possible at most, there and behind.
                    walk.is_sure &= is_certain;
                    match self.walk(table, to, packet, walk, depth + 1)? {
                        End::Refused(refuser) if !is_certain => walk.possible.push(refuser),
                        End::Returned if is_certain && matches!(rule.target, RuleTarget::Goto(_)) => {
                            return Some(End::Returned);
                        }
                        End::Accepted if !is_certain => {}
                        End::Returned => {}
                        end => return Some(end),
                    }
                }
                RuleTarget::Other => {}
            }
        }
        Some(End::Returned)
    }
}

#[cfg(test)]
mod tests;
