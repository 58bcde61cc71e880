//! `cilium-dbg service list`: the agent's view of the services.
//!
//! A frontend's further backends stand on continuation lines whose first cells are empty, so a search for its address
//! finds one backend only (section 2.1 of the format notes).

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;

/// An address, a port and, since 1.17, a protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// `TCP`, `UDP`, `SCTP`; none up to 1.16, where one row serves all of them.
    pub protocol: Option<String>,
}

impl Target {
    /// Reads `10.43.0.10:53`, `10.43.0.10:53/UDP`, `[fd00::a]:53/UDP`, each with an optional `/i` (internal scope).
    #[must_use]
    pub fn parse(text: &str) -> Option<(Self, bool)> {
        let (text, internal) = match text.strip_suffix("/i") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (address, protocol) = match text.split_once('/') {
            Some((address, protocol)) => (address, Some(protocol.to_ascii_uppercase())),
            None => (text, None),
        };
        let (ip, port) = address.rsplit_once(':')?;
        let ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
        Some((Self { ip: ip.parse().ok()?, port: port.parse().ok()?, protocol }, internal))
    }

    /// Whether both may speak of the same: an absent protocol fits any.
    #[must_use]
    pub fn fits(&self, protocol: &str) -> bool {
        self.protocol.as_deref().is_none_or(|p| p == protocol || p == "ANY")
    }
}

/// What the agent thinks of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// It takes traffic. Up to 1.11 no state is printed, and this is meant.
    Active,
    /// It is being ended, or failed its health check, or was taken out: no new traffic.
    Resting,
    /// Words unknown here, as a newer release may print: whether it takes traffic is unknown.
    Other(String),
}

/// A backend of a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Where it listens.
    pub target: Target,
    /// What the agent thinks of it.
    pub state: BackendState,
}

/// A frontend and its backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The service address.
    pub frontend: Target,
    /// The twin of a frontend with local traffic policy, for traffic from inside.
    pub internal: bool,
    /// `ClusterIP`, `LocalRedirect`, …; empty in formats without that column.
    pub kind: String,
    /// The backends, in the order of the list.
    pub backends: Vec<Backend>,
    /// How many of its backends' lines could not be read: then the row is not evidence of a missing backend.
    pub unread: usize,
}

impl Row {
    /// The addresses of its active backends.
    pub fn active(&self) -> impl Iterator<Item = &Target> {
        self.backends.iter().filter(|b| b.state == BackendState::Active).map(|b| &b.target)
    }

    /// The addresses of backends in a state that is unknown here: they may be active.
    pub fn in_unknown_state(&self) -> impl Iterator<Item = &Target> {
        self.backends.iter().filter(|b| matches!(b.state, BackendState::Other(_))).map(|b| &b.target)
    }

    /// Whether a local redirect policy took this frontend over.
    #[must_use]
    pub fn is_local_redirect(&self) -> bool {
        self.kind.starts_with("LocalRedirect")
    }
}

/// The whole list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceList {
    /// Whether the header was seen: without it this is something else.
    pub header: bool,
    /// The rows.
    pub rows: Vec<Row>,
    /// How many lines could not be read, those of the rows included.
    pub unread: usize,
}

static BACKEND: LazyLock<Regex> = LazyLock::new(|| {
    // `2 => 10.244.1.102:53/TCP (active)`, with `(preferred)` behind it in cluster meshes; `(terminating-not-serving)`
    // since 1.20, and whatever comes next in parentheses.
    pattern(r"^\s*\d+ => (\S+)(?:\s+\(([^()]*)\))?(?:\s+\([^()]*\))*\s*$")
});

static REMARK: LazyLock<Regex> = LazyLock::new(|| {
    // The three remarks of the agent's command, each without anything behind it.
    pattern(r"error parsing (?:svc: empty state|(?:backend|frontend) &?\{[^}]*\}|backend [^ \d]\S*)")
});

static ROW: LazyLock<Regex> = LazyLock::new(|| {
    // ID, frontend, type (absent in the oldest), backend (absent where there is none).
    pattern(r"^(\d+)\s+(\S+:\d+\S*)(?:\s+([A-Za-z0-9]+(?: \(Remote\))?))??(?:\s+(\d+ => .*))?\s*$")
});

/// Reads the list. Remarks of standard error that slipped in between are counted, not read.
#[must_use]
pub fn parse(text: &str) -> ServiceList {
    let mut list = ServiceList::default();
    for line in text.lines() {
        // Remarks are written without a line end and may be glued to a row, before or behind it.
        let line = REMARK.replace_all(line, "");
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        if line.starts_with("ID ") && line.contains("Frontend") {
            list.header = true;
        } else if line.starts_with(char::is_whitespace) || is_backend(line) {
            match (list.rows.last_mut(), backend(line)) {
                (Some(row), Some(backend)) => row.backends.push(backend),
                (Some(row), None) => row.unread += 1,
                (None, _) => list.unread += 1,
            }
        } else if let Some(row) = row(line) {
            list.rows.push(row);
        } else {
            list.unread += 1;
        }
    }
    list.unread += list.rows.iter().map(|row| row.unread).sum::<usize>();
    list
}

/// Whether a line begins as a backend does, `2 => `: then it belongs to the row above.
fn is_backend(line: &str) -> bool {
    line.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(" => ")
}

fn row(line: &str) -> Option<Row> {
    let Some(cells) = ROW.captures(line) else { return row_with_unknown_cells(line) };
    let (frontend, internal) = Target::parse(cells.get(2)?.as_str())?;
    let first = cells.get(4).map(|cell| backend(cell.as_str()));
    let kind = cells.get(3).map_or(String::new(), |kind| kind.as_str().to_owned());
    let unread = usize::from(matches!(first, Some(None)));
    Some(Row { frontend, internal, kind, backends: first.flatten().into_iter().collect(), unread })
}

/// A row is kept whatever stands behind its frontend: without it, its service would seem not to be there.
fn row_with_unknown_cells(line: &str) -> Option<Row> {
    let mut cells = line.split_whitespace();
    cells.next().filter(|id| id.chars().all(|c| c.is_ascii_digit()))?;
    let (frontend, internal) = Target::parse(cells.next()?)?;
    let kind = cells.next().filter(|cell| cell.starts_with(|c: char| c.is_ascii_alphabetic())).unwrap_or_default();
    Some(Row { frontend, internal, kind: kind.to_owned(), backends: Vec::new(), unread: 1 })
}

fn backend(cell: &str) -> Option<Backend> {
    let parts = BACKEND.captures(cell)?;
    let (target, _) = Target::parse(parts.get(1)?.as_str())?;
    let state = match parts.get(2).map(|s| s.as_str()) {
        None | Some("active" | "preferred") => BackendState::Active,
        Some("terminating" | "terminating-not-serving" | "quarantined" | "maintenance") => BackendState::Resting,
        Some(other) => BackendState::Other(other.to_owned()),
    };
    Some(Backend { target, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(row: &Row) -> Vec<String> {
        row.active().map(|t| t.ip.to_string()).collect()
    }

    #[test]
    fn further_backends_stand_on_continuation_lines() {
        let list = parse(
            "ID   Frontend               Service Type   Backend                          \n\
             7    10.43.0.10:53/TCP      ClusterIP      1 => 10.42.5.11:53/TCP (active)  \n\
             \x20                                          2 => 10.42.6.12:53/TCP (active)  \n\
             8    10.43.0.10:53/UDP      ClusterIP      1 => 10.42.5.11:53/UDP (active)  \n\
             \x20                                          2 => 10.42.6.12:53/UDP (quarantined)\n\
             9    0.0.0.0:30464/TCP      NodePort                                        \n",
        );
        assert!(list.header);
        assert_eq!(list.unread, 0);
        assert_eq!(list.rows.len(), 3);
        assert_eq!(addresses(&list.rows[0]), ["10.42.5.11", "10.42.6.12"]);
        assert_eq!(addresses(&list.rows[1]), ["10.42.5.11"], "a quarantined backend takes no traffic");
        assert_eq!(list.rows[1].frontend.protocol.as_deref(), Some("UDP"));
        assert!(list.rows[2].backends.is_empty());
    }

    #[test]
    fn without_protocol_without_state_and_without_type() {
        let list = parse(
            "ID   Frontend           Service Type   Backend\n\
             2    10.96.0.10:53      ClusterIP      1 => 10.0.1.105:53\n\
             3    [fd00:96::a]:53    ClusterIP      1 => [fd00:10::5]:53\n",
        );
        assert_eq!(addresses(&list.rows[0]), ["10.0.1.105"]);
        assert_eq!(list.rows[0].frontend.protocol, None);
        assert_eq!(addresses(&list.rows[1]), ["fd00:10::5"]);
        let oldest = parse(
            "ID   Frontend         Backend\n1    100.64.0.10:53   1 => 100.96.1.179:53\n                          2 => 100.96.2.134:53\n5    100.66.2.9:9092\n",
        );
        assert_eq!(addresses(&oldest.rows[0]), ["100.96.1.179", "100.96.2.134"]);
        assert_eq!((oldest.rows[0].kind.as_str(), oldest.rows.len()), ("", 2));
    }

    #[test]
    fn redirects_scopes_meshes_and_glued_remarks() {
        let list = parse(
            "Defaulted container \"cilium-agent\" out of: cilium-agent\n\
             ID   Frontend                Service Type            Backend\n\
             4    169.254.25.10:53/UDP    LocalRedirect           1 => 10.42.1.77:53/UDP (active)\n\
             5    34.1.1.100:443/TCP/i    LoadBalancer (Remote)   1 => 10.2.3.4:8443/TCP (active) (preferred)\n\
             6    10.43.9.9:80/TCP        ClusterIP               error parsing svc: empty stateerror parsing backend x\n\
             7    10.43.9.8:80/TCP        ClusterIP               1 => 10.2.3.4:80/TCP (dancing)\n",
        );
        assert!(list.rows[0].is_local_redirect());
        assert!(list.rows[1].internal);
        assert_eq!(list.rows[1].kind, "LoadBalancer (Remote)");
        assert!(list.rows[2].backends.is_empty());
        assert_eq!(list.rows[3].backends[0].state, BackendState::Other("dancing".to_owned()));
        assert_eq!(list.unread, 1, "the remark of kubectl");
    }

    #[test]
    fn a_backend_in_a_state_of_a_newer_release_stays_in_its_row() {
        let list = parse(
            "ID   Frontend             Service Type   Backend\n\
             1    10.43.0.10:53/TCP    ClusterIP      1 => 10.42.0.94:53/TCP (terminating-not-serving)\n\
             \x20                                      2 => 10.42.1.16:53/TCP (active)\n\
             \x20                                      3 => 10.42.1.17:53/TCP (draining: 30s left)\n",
        );
        assert_eq!((list.rows.len(), list.unread), (1, 0));
        let states: Vec<&BackendState> = list.rows[0].backends.iter().map(|backend| &backend.state).collect();
        let later = BackendState::Other("draining: 30s left".to_owned());
        assert_eq!(states, [&BackendState::Resting, &BackendState::Active, &later]);
    }

    #[test]
    fn what_cannot_be_read_of_a_row_is_counted_there() {
        let list = parse(
            "ID   Frontend             Service Type   Backend\n\
             1    10.43.0.10:53/TCP    ClusterIP      1 => backend-of-another-kind\n\
             \x20                                      2 => 10.42.1.16:53/TCP (active)\n\
             \x20                                      another column\n\
             2    10.43.0.11:80/TCP    ClusterIP      1 => 10.42.1.18:80/TCP (active)\n",
        );
        let unread: Vec<usize> = list.rows.iter().map(|row| row.unread).collect();
        assert_eq!((unread, list.unread), (vec![2, 0], 2));
        assert_eq!(addresses(&list.rows[0]), ["10.42.1.16"]);
    }
}
