//! One rule of `iptables-save`: `-A OUTPUT -d 10.42.1.0/24 -o cilium_host -j DROP`.

use std::net::IpAddr;

use super::Packet;
use crate::base::net::Prefix;

/// The longest text of a rule that is kept, in bytes.
const LONGEST: usize = 512;

/// What a rule does with a packet that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleTarget {
    /// Lets it through this table.
    Accept,
    /// `DROP` and `REJECT`.
    Refuse,
    /// Goes back to where the chain was jumped to from.
    Return,
    /// Goes on in another chain, and comes back.
    Jump(String),
    /// Goes on in another chain for good.
    Goto(String),
    /// Marks, counts, logs: the packet continues to the next rule.
    Other,
}

/// Whether a rule fits a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    /// It depends on unknown fields.
    Perhaps,
}

/// A value that must, or must not, be there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted<T> {
    value: T,
    is_negated: bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallRule {
    /// `filter`, `mangle`, `raw`.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// The rule as it is printed, for a person to find it.
    pub text: String,
    /// What it does.
    pub target: RuleTarget,
    /// Whether it hangs on something that is not known here.
    pub is_conditional: bool,
    input: Option<Wanted<String>>,
    output: Option<Wanted<String>>,
    source: Option<Wanted<Prefix>>,
    destination: Option<Wanted<Prefix>>,
    protocol: Option<Wanted<String>>,
    source_ports: Option<Wanted<Vec<(u16, u16)>>>,
    destination_ports: Option<Wanted<Vec<(u16, u16)>>>,
}

impl FirewallRule {
    /// Whether Cilium or Kubernetes made it.
    #[must_use]
    pub fn is_of_the_cluster(&self) -> bool {
        ["CILIUM_", "OLD_CILIUM_", "KUBE-"].iter().any(|prefix| self.chain.starts_with(prefix))
    }

    /// The device that packets have to leave by, where it names one: `cilium_host`, `lxc+`.
    #[must_use]
    pub fn output(&self) -> Option<&str> {
        self.output.as_ref().filter(|wanted| !wanted.is_negated).map(|wanted| wanted.value.as_str())
    }

    /// The device that packets have to come in by, where it names one.
    #[must_use]
    pub fn input(&self) -> Option<&str> {
        self.input.as_ref().filter(|wanted| !wanted.is_negated).map(|wanted| wanted.value.as_str())
    }

    /// The destination that it names, where it names one.
    #[must_use]
    pub fn destination(&self) -> Option<Prefix> {
        self.destination.as_ref().filter(|wanted| !wanted.is_negated).map(|wanted| wanted.value)
    }

    /// The source that it names, where it names one.
    #[must_use]
    pub fn source(&self) -> Option<Prefix> {
        self.source.as_ref().filter(|wanted| !wanted.is_negated).map(|wanted| wanted.value)
    }

    /// Whether it fits this packet.
    pub(super) fn fits(&self, packet: &Packet<'_>) -> Fit {
        let device = |pattern: &String, device: &str| match pattern.strip_suffix('+') {
            Some(prefix) => device.starts_with(prefix),
            None => pattern == device,
        };
        let address = |prefix: &Prefix, address: IpAddr| prefix.contains(address);
        let port =
            |ranges: &Vec<(u16, u16)>, port: u16| ranges.iter().any(|(low, high)| (*low..=*high).contains(&port));
        let protocol = |wanted: &String, protocol: &str| wanted == protocol || wanted == "all";
        let fits = [
            fit(self.input.as_ref(), packet.input, device),
            fit(self.output.as_ref(), packet.output, device),
            fit(self.source.as_ref(), packet.source, address),
            fit(self.destination.as_ref(), packet.destination, address),
            fit(self.protocol.as_ref(), packet.protocol, protocol),
            fit(self.source_ports.as_ref(), packet.source_port, port),
            fit(self.destination_ports.as_ref(), packet.destination_port, port),
        ];
        if fits.contains(&Fit::No) {
            Fit::No
        } else if self.is_conditional || fits.contains(&Fit::Perhaps) {
            Fit::Perhaps
        } else {
            Fit::Yes
        }
    }
}

fn fit<T, V: Copy>(wanted: Option<&Wanted<T>>, value: Option<V>, fits: impl Fn(&T, V) -> bool) -> Fit {
    match (wanted, value) {
        (None, _) => Fit::Yes,
        (Some(_), None) => Fit::Perhaps,
        (Some(wanted), Some(value)) if fits(&wanted.value, value) != wanted.is_negated => Fit::Yes,
        _ => Fit::No,
    }
}

/// Reads one rule; none where it is none.
pub(super) fn parse(table: &str, line: &str) -> Option<FirewallRule> {
    let words = words(line);
    let mut words = words.iter().map(String::as_str);
    if words.next() != Some("-A") {
        return None;
    }
    let mut rule = FirewallRule {
        table: table.to_owned(),
        chain: words.next()?.to_owned(),
        text: line.chars().take(LONGEST).collect(),
        target: RuleTarget::Other,
        is_conditional: false,
        input: None,
        output: None,
        source: None,
        destination: None,
        protocol: None,
        source_ports: None,
        destination_ports: None,
    };
    let mut is_negated = false;
    while let Some(word) = words.next() {
        if word == "!" {
            is_negated = true;
            continue;
        }
        let negated = std::mem::take(&mut is_negated);
        let mut next = || words.next().unwrap_or_default();
        let wanted = |value: &str| Some(Wanted { value: value.to_owned(), is_negated: negated });
        match word {
            "-i" => rule.input = wanted(next()),
            "-o" => rule.output = wanted(next()),
            "-p" => rule.protocol = wanted(next()),
            "-s" => rule.source = rule.read(next().parse().ok(), negated),
            "-d" => rule.destination = rule.read(next().parse().ok(), negated),
            "--sport" | "--sports" => rule.source_ports = rule.read(ports(next()), negated),
            "--dport" | "--dports" => rule.destination_ports = rule.read(ports(next()), negated),
            "-j" | "-g" => rule.target = target(word, next()),
            // Names of matches, of which only the options say something; words for people; how it is refused.
            "-m" | "--comment" | "--reject-with" | "--log-prefix" | "--log-level" => drop(next()),
            // The packet that is asked about is the first of its connection.
            "--ctstate" | "--state" => {
                rule.is_conditional |= negated || !next().split(',').any(|state| state == "NEW");
            }
            "--syn" => rule.is_conditional |= negated,
            "--tcp-flags" => {
                let (of, set) = (next().to_owned(), next());
                rule.is_conditional |= negated || of != "FIN,SYN,RST,ACK" || set != "SYN";
            }
            // The rest belongs to a target that lets packets go on, or is a condition that nobody here can check.
            _ => rule.is_conditional |= word.starts_with('-') && rule.target == RuleTarget::Other,
        }
    }
    Some(rule)
}

impl FirewallRule {
    /// A value that could be read; else the rule depends on unknown fields.
    fn read<T>(&mut self, value: Option<T>, is_negated: bool) -> Option<Wanted<T>> {
        self.is_conditional |= value.is_none();
        value.map(|value| Wanted { value, is_negated })
    }
}

fn target(option: &str, name: &str) -> RuleTarget {
    /// Targets that end nothing.
    const GO_ON: [&str; 22] = [
        "MARK",
        "CONNMARK",
        "CT",
        "LOG",
        "NFLOG",
        "ULOG",
        "TRACE",
        "NOTRACK",
        "TCPMSS",
        "DSCP",
        "TOS",
        "TTL",
        "HL",
        "SET",
        "CLASSIFY",
        "CHECKSUM",
        "AUDIT",
        "SECMARK",
        "CONNSECMARK",
        "TEE",
        "RATEEST",
        "IDLETIMER",
    ];
    match name {
        "ACCEPT" => RuleTarget::Accept,
        "DROP" | "REJECT" => RuleTarget::Refuse,
        "RETURN" => RuleTarget::Return,
        _ if GO_ON.contains(&name) => RuleTarget::Other,
        // To a program on the host, or to another address: it is not refused here.
        "NFQUEUE" | "QUEUE" | "TPROXY" | "SYNPROXY" => RuleTarget::Accept,
        _ if option == "-g" => RuleTarget::Goto(name.to_owned()),
        _ => RuleTarget::Jump(name.to_owned()),
    }
}

/// `53`, `1024:2048`, `53,80:90`.
fn ports(text: &str) -> Option<Vec<(u16, u16)>> {
    let range = |part: &str| match part.split_once(':') {
        Some((low, high)) => Some((
            if low.is_empty() { 0 } else { low.parse().ok()? },
            if high.is_empty() { u16::MAX } else { high.parse().ok()? },
        )),
        None => part.parse().ok().map(|port| (port, port)),
    };
    text.split(',').map(range).collect()
}

/// The words of a line; a word in quotes may have blanks in it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' if quoted => word.extend(chars.next()),
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}
