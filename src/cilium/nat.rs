//! `cilium-dbg bpf nat list`: translations of what leaves the cluster.

/// Outgoing translations by protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatRows {
    /// TCP.
    pub tcp: u64,
    /// UDP.
    pub udp: u64,
    /// Anything else.
    pub other: u64,
    /// Rows of the other direction.
    pub incoming: u64,
}

impl NatRows {
    /// Takes one line: `UDP OUT 10.0.0.1:1024 -> 9.9.9.9:53 XLATE_SRC 192.168.1.5:1024 Created=12sec ago NeedsCT=1`.
    pub fn line(&mut self, line: &[u8]) {
        let mut words = line.split(|b| *b == b' ').filter(|w| !w.is_empty());
        let protocol = words.next().unwrap_or_default();
        match words.next().unwrap_or_default() {
            b"OUT" if memchr::memmem::find(line, b"XLATE_SRC").is_some() => match protocol {
                b"TCP" => self.tcp += 1,
                b"UDP" => self.udp += 1,
                _ => self.other += 1,
            },
            b"IN" => self.incoming += 1,
            _ => {}
        }
    }

    /// All outgoing rows.
    #[must_use]
    pub const fn outgoing(&self) -> u64 {
        self.tcp + self.udp + self.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outgoing_rows_are_counted_by_protocol() {
        let mut rows = NatRows::default();
        for line in [
            "TCP OUT 10.2.0.3:34178 -> 54.23.2.4:443 XLATE_SRC 172.18.0.3:34178 Created=408sec ago NeedsCT=1",
            "TCP IN 54.23.2.4:443 -> 172.18.0.3:34178 XLATE_DST 10.2.0.3:34178 Created=408sec ago NeedsCT=1",
            "UDP OUT 10.2.0.4:51000 -> 9.9.9.9:53 XLATE_SRC 172.18.0.3:51000 Created=1987884sec HostLocal=1",
            "",
        ] {
            rows.line(line.as_bytes());
        }
        assert_eq!(rows, NatRows { tcp: 1, udp: 1, other: 0, incoming: 1 });
    }
}
