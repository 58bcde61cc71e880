//! `host-ping`: does the node itself reach the outside?

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;

use super::{Finding, HostPingData, Status};
use crate::base::answer::{End, Raw, Via};
use crate::base::failure::{Failure, FailureKind};
use crate::base::net::Families;

static LOSS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d+(?:[.,]\d+)?)\s*[%٪％]"));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d+"));
static RTT: LazyLock<Regex> = LazyLock::new(|| {
    // iputils: "rtt min/avg/max/mdev = 11.9/12.1/12.4/0.2 ms"; BusyBox: "round-trip min/avg/max = 1.0/1.1/1.2 ms"; BSD and
    // macOS: "round-trip min/avg/max/stddev = …". Other languages put a comma where English has a point.
    pattern(r"=\s*\d+(?:[.,]\d+)?/(\d+(?:[.,]\d+)?)/\d+(?:[.,]\d+)?(?:/\d+(?:[.,]\d+)?)?\s*(?:ms|мс|$)")
});

/// Packets sent and received, by the one line that names both and the loss: "N … , M …, P% …" in any language, in which
/// the loss has to fit the two.
fn counts(text: &str) -> Option<(u64, u64)> {
    text.lines().find_map(|line| {
        let loss = LOSS.captures(line)?;
        let before = line.get(..loss.get(0)?.start())?;
        let mut numbers = NUMBER.find_iter(before).map(|number| number.as_str().parse::<u64>());
        let (sent, received) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let loss: f64 = loss[1].replace(',', ".").parse().ok()?;
        let percent =
            f64::from(u32::try_from(sent.checked_sub(received)?).ok()?) / f64::from(u32::try_from(sent).ok()?);
        (sent > 0 && (100.0 * percent - loss).abs() <= 1.0).then_some((sent, received))
    })
}

/// Reads the answer. `own` are the families of the node's addresses, as far as they are known.
#[must_use]
pub fn judge(raw: &Raw, target: IpAddr, own: Families) -> Finding<HostPingData> {
    let answer = &raw.answer;
    let text = String::from_utf8_lossy(&raw.stdout);
    let counts = counts(&text);
    let data = HostPingData {
        via: answer.via,
        target: target.to_string(),
        sent: counts.map(|(sent, _)| sent),
        received: counts.map(|(_, received)| received),
        rtt_avg_ms: RTT.captures(&text).and_then(|c| c[1].replace(',', ".").parse().ok()),
    };
    let from = match answer.via {
        Some(Via::AgentContainer) => "the agent's container, on the host's network,",
        Some(Via::Ssh) | None => "the node",
    };
    let is_ping = answer.argv.is_empty() || answer.argv.iter().any(|word| is_program(word, "ping"));
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
        _ if has_no_route(&complaint) && own.has_family_of(target) => {
            found(Status::Fail, format!("{from} has no route to {target}"))
        }
        // Without an address of that family there is no route either, and nothing is wrong.
        _ if has_no_route(&complaint) => unknown(Failure::new(
            FailureKind::Other,
            format!(
                "{from} has no route to {target}, and no {} address of this node is known: set --ping-target to an \
                 address that the node can reach",
                if target.is_ipv4() { "IPv4" } else { "IPv6" }
            ),
        )),
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

fn is_program(word: &str, name: &str) -> bool {
    word.rsplit('/').next() == Some(name)
}

/// What the node's own routes say at once, before any packet leaves.
fn has_no_route(complaint: &str) -> bool {
    let lower = complaint.to_lowercase();
    ["network is unreachable", "network unreachable", "no route to host", "cannot assign requested address"]
        .iter()
        .any(|words| lower.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::answer::Answer;

    const V4: Families = Families { v4: true, v6: false };

    fn pinged(stdout: &str, stderr: &str, code: i32, own: Families) -> Finding<HostPingData> {
        let mut answer = Answer::not_gathered("");
        answer.argv = ["ping", "-c", "2", "-W", "3", "1.1.1.1"].map(str::to_owned).to_vec();
        answer.end = End::Exited(code);
        answer.stderr = stderr.to_owned();
        answer.via = Some(Via::Ssh);
        judge(&Raw { answer, stdout: stdout.as_bytes().to_vec() }, "1.1.1.1".parse().unwrap(), own)
    }

    fn ping(stdout: &str, stderr: &str, code: i32) -> Finding<HostPingData> {
        pinged(stdout, stderr, code, V4)
    }

    #[test]
    fn every_ping_is_read_in_every_language() {
        for (text, sent, received, rtt) in [
            (
                "2 packets transmitted, 2 received, 0% packet loss, time 1001ms\nrtt min/avg/max/mdev = 11.902/12.151/12.400/0.249 ms\n",
                2,
                2,
                Some(12.151),
            ),
            (
                "2 packets transmitted, 1 packets received, 50% packet loss\nround-trip min/avg/max = 1.0/1.5/2.0 ms\n",
                2,
                1,
                Some(1.5),
            ),
            (
                "2 packets transmitted, 2 packets received, 0.0% packet loss\nround-trip min/avg/max/stddev = 4.1/4.2/4.3/0.1 ms\n",
                2,
                2,
                Some(4.2),
            ),
            ("2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1024ms\n", 2, 0, None),
            ("3 packets transmitted, 2 received, 33.3333% packet loss, time 2003ms\n", 3, 2, None),
            (
                "2 Pakete übertragen, 2 empfangen, 0 % Paketverlust, Zeit 1001 ms\nrtt min/avg/max/mdev = 8,120/8,260/8,400/0,140 ms\n",
                2,
                2,
                Some(8.26),
            ),
            ("2 Pakete übertragen, 0 empfangen, 100% packet loss, time 1031ms\n", 2, 0, None),
            ("2 paquets transmis, 2 reçus, 0% perte de paquets, temps 1002 ms\n", 2, 2, None),
            ("2 paquetes transmitidos, 1 recibidos, 50% paquetes perdidos\n", 2, 1, None),
            ("已发送 2 个包， 已接收 2 个包, 0% 包丢失, 耗时 1001 毫秒\n", 2, 2, None),
            ("送信パケット数 2, 受信パケット数 0, パケット損失 100%, 時間 1010ミリ秒\n", 2, 0, None),
            (
                "2 пакетов передано, 2 принято, 0% потеряно, время 1001мс\nrtt min/avg/max/mdev = 3,1/3,2/3,3/0,1 мс\n",
                2,
                2,
                Some(3.2),
            ),
        ] {
            let found = ping(text, "", i32::from(received == 0));
            assert_eq!((found.data.sent, found.data.received), (Some(sent), Some(received)), "{text}");
            assert_eq!(found.data.rtt_avg_ms, rtt, "{text}");
            let status = match received {
                0 => Status::Fail,
                n if n < sent => Status::Warn,
                _ => Status::Pass,
            };
            assert_eq!(found.status, status, "{text}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_the_loss_are_not_counts() {
        for text in ["7 disks, 3 are 90% full\n", "0 packets transmitted, 0 received, 0% packet loss\n", "load 2, 1%\n"]
        {
            assert_eq!(ping(text, "", 1).status, Status::Unknown, "{text}");
        }
    }

    #[test]
    fn no_answer_no_route_and_no_ping_are_different() {
        assert_eq!(ping("2 packets transmitted, 0 received, 100% packet loss\n", "", 1).status, Status::Fail);
        assert_eq!(ping("", "ping: connect: Network is unreachable\n", 2).status, Status::Fail);
        assert_eq!(ping("", "sh: ping: not found\n", 127).status, Status::Unknown);
        assert_eq!(ping("", "ping: permission denied (are you root?)\n", 1).status, Status::Unknown);
        assert_eq!(ping("", "", 124).status, Status::Unknown);
    }

    #[test]
    fn no_route_says_nothing_about_a_node_without_that_family() {
        for own in [Families { v4: false, v6: true }, Families::default()] {
            let found = pinged("", "ping: connect: Network is unreachable\n", 2, own);
            assert_eq!(found.status, Status::Unknown);
            assert!(found.summary.contains("--ping-target"), "{}", found.summary);
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_words_make_it_panic(stdout in "\\PC{0,200}", stderr in "\\PC{0,60}", code in -1_i32..256) {
            let _ = ping(&stdout, &stderr, code);
        }

        #[test]
        fn counts_of_any_size_are_read(sent in 1_u64..100_000, received in 0_u64..100_000) {
            let received = received.min(sent);
            let loss = 100 - 100 * received / sent;
            let text = format!("{sent} Pakete übertragen, {received} empfangen, {loss}% Verlust");
            proptest::prop_assert_eq!(counts(&text), Some((sent, received)));
        }
    }
}
