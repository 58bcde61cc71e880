//! `host-ping`: does the node itself reach the outside?

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;

use super::{Finding, HostPingData, Status};
use crate::base::answer::{End, Raw, Via};
use crate::base::failure::{Failure, FailureKind};

static COUNTS: LazyLock<Regex> = LazyLock::new(|| {
    // iputils: "2 packets transmitted, 2 received"; busybox: "2 packets transmitted, 2 packets received".
    pattern(r"(\d+) packets transmitted, (\d+) (?:packets )?received")
});
static RTT: LazyLock<Regex> = LazyLock::new(|| {
    // iputils: "rtt min/avg/max/mdev = 11.9/12.1/12.4/0.2 ms"; busybox: "round-trip min/avg/max = 1.0/1.1/1.2 ms".
    pattern(r"min/avg/max(?:/mdev)? = [\d.]+/([\d.]+)/")
});

/// Reads the answer.
#[must_use]
pub fn judge(raw: &Raw, target: IpAddr) -> Finding<HostPingData> {
    let answer = &raw.answer;
    let text = String::from_utf8_lossy(&raw.stdout);
    let counts = COUNTS.captures(&text);
    let count = |at: usize| counts.as_ref().and_then(|c| c[at].parse::<u64>().ok());
    let data = HostPingData {
        via: answer.via,
        target: target.to_string(),
        sent: count(1),
        received: count(2),
        rtt_avg_ms: RTT.captures(&text).and_then(|c| c[1].parse().ok()),
    };
    let from = match answer.via {
        Some(Via::AgentContainer) => "the agent's container, on the host's network,",
        Some(Via::Ssh) | None => "the node",
    };
    let is_ping = answer.argv.first().is_none_or(|program| program.rsplit('/').next() == Some("ping"));
    let found = |status, summary: String| Finding {
        status,
        summary,
        reason: None,
        duration_ms: answer.duration_ms,
        data: data.clone(),
    };
    let unknown = |failure: Failure| Finding {
        status: Status::Unknown,
        summary: failure.message.clone(),
        reason: Some(failure),
        duration_ms: answer.duration_ms,
        data: data.clone(),
    };
    let code = match &answer.end {
        End::Exited(code) => *code,
        End::Failed(failure) => return unknown(failure.clone()),
        End::NotGathered(why) => return unknown(Failure::new(FailureKind::NotFound, why.clone())),
    };
    let complaint = String::from_utf8_lossy(&raw.stdout).into_owned() + &answer.stderr;
    match (is_ping, code, data.sent, data.received) {
        (true, _, Some(sent), Some(0)) if sent > 0 => {
            found(Status::Fail, format!("{from} sent {sent} packets to {target} and got none back"))
        }
        (true, _, Some(sent), Some(received)) if received > 0 => {
            let rtt = data.rtt_avg_ms.map_or(String::new(), |ms| format!(" in {ms:.1} ms on average"));
            let says = format!("{from} got {received} of {sent} packets back from {target}{rtt}");
            found(if received < sent { Status::Warn } else { Status::Pass }, says)
        }
        (_, 0, ..) => found(Status::Pass, format!("{from} reached {target}")),
        _ if complaint.contains("Network is unreachable") || complaint.contains("No route to host") => {
            found(Status::Fail, format!("{from} has no route to {target}"))
        }
        (false, ..) if complaint.contains("refused") => {
            found(Status::Pass, format!("{from} was refused by {target}, which is an answer"))
        }
        (false, 1, ..) => found(Status::Fail, format!("{from} could not connect to {target}")),
        (_, 124 | 137 | 143, ..) => {
            unknown(Failure::new(FailureKind::Timeout, "the command did not end in time and was stopped"))
        }
        (_, 126 | 127, ..) => unknown(Failure::new(FailureKind::NotFound, "the command is not there")),
        _ => unknown(Failure::new(
            FailureKind::Other,
            format!("the command ended with exit code {code} and without counts"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::answer::Answer;

    fn ping(stdout: &str, stderr: &str, code: i32) -> Finding<HostPingData> {
        let mut answer = Answer::not_gathered("");
        answer.argv = ["ping", "-c", "2", "-W", "3", "1.1.1.1"].map(str::to_owned).to_vec();
        answer.end = End::Exited(code);
        answer.stderr = stderr.to_owned();
        answer.via = Some(Via::Ssh);
        judge(&Raw { answer, stdout: stdout.as_bytes().to_vec() }, "1.1.1.1".parse().unwrap())
    }

    #[test]
    fn both_pings_are_read() {
        let iputils = ping(
            "2 packets transmitted, 2 received, 0% packet loss, time 1001ms\nrtt min/avg/max/mdev = 11.902/12.151/12.400/0.249 ms\n",
            "",
            0,
        );
        assert_eq!(iputils.status, Status::Pass);
        assert_eq!((iputils.data.sent, iputils.data.received), (Some(2), Some(2)));
        assert_eq!(iputils.data.rtt_avg_ms, Some(12.151));
        let busybox = ping(
            "2 packets transmitted, 1 packets received, 50% packet loss\nround-trip min/avg/max = 1.0/1.5/2.0 ms\n",
            "",
            0,
        );
        assert_eq!(busybox.status, Status::Warn, "half of it came back");
        assert_eq!(busybox.data.rtt_avg_ms, Some(1.5));
    }

    #[test]
    fn no_answer_no_route_and_no_ping_are_different() {
        assert_eq!(ping("2 packets transmitted, 0 received, 100% packet loss\n", "", 1).status, Status::Fail);
        assert_eq!(ping("", "ping: connect: Network is unreachable\n", 2).status, Status::Fail);
        assert_eq!(ping("", "sh: ping: not found\n", 127).status, Status::Unknown);
        assert_eq!(ping("", "ping: permission denied (are you root?)\n", 1).status, Status::Unknown);
        assert_eq!(ping("", "", 124).status, Status::Unknown);
    }
}
