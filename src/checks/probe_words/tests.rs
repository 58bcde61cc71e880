//! Every tool's words, in every wording that is known.

use proptest::prelude::*;

use super::*;
use crate::base::answer::Answer;

const V4: Families = Families { v4: true, v6: false };
const V6: Families = Families { v4: false, v6: true };
const UNKNOWN: Families = Families { v4: false, v6: false };

fn raw(argv: &[&str], code: i32, stdout: &str, stderr: &str) -> Raw {
    let mut answer = Answer::not_gathered("");
    answer.argv = argv.iter().map(|a| (*a).to_owned()).collect();
    answer.end = End::Exited(code);
    answer.stderr = stderr.to_owned();
    Raw { answer, stdout: stdout.as_bytes().to_vec() }
}

/// A fetch of a name over TLS.
fn by_name(program: &str, code: i32, stderr: &str) -> Outcome {
    fetched(&raw(&[program, "https://pages.example.org"], code, "", stderr), V4)
}

/// A fetch of an address in plain HTTP.
fn by_address(program: &str, code: i32, stdout: &str, stderr: &str, own: Families) -> Outcome {
    fetched(&raw(&[program, "http://192.0.2.7"], code, stdout, stderr), own)
}

fn nslookup(code: i32, stdout: &str) -> Lookup {
    read_lookup(&raw(&["nslookup", "db.shop.svc.cluster.local"], code, stdout, ""))
}

#[test]
fn an_answer_of_any_kind_is_ok() {
    for (program, code, stderr) in [
        ("wget", 0, ""),
        ("wget", 8, "ERROR 404: Not Found."),
        ("wget", 8, ""),
        ("wget", 5, "cannot verify the certificate"),
        ("wget", 1, "wget: server returned error: HTTP/1.1 403 Forbidden"),
        ("wget", 1, "wget: server returned error: HTTP/1.1 503 Service Unavailable"),
        ("wget", 1, "wget: can't connect to remote host (192.0.2.7): Connection refused"),
        ("wget", 1, "wget: error getting response: Connection reset by peer"),
        ("wget", 1, "wget: error getting response"),
        ("wget", 1, "wget: connection closed prematurely"),
        ("curl", 60, "curl: (60) SSL certificate problem: unable to get local issuer certificate"),
        ("curl", 7, "curl: (7) Failed to connect to pages.example.org port 443: Connection refused"),
        ("curl", 35, "curl: (35) OpenSSL SSL_connect: Connection reset by peer"),
        ("curl", 52, "curl: (52) Empty reply from server"),
        ("curl", 56, "curl: (56) Recv failure: Connection reset by peer"),
        ("bash", 1, "bash: connect: Connection refused"),
    ] {
        assert_eq!(by_name(program, code, stderr), Outcome::Ok, "{program} {code} {stderr}");
    }
}

#[test]
fn whoever_is_sent_from_an_address_to_a_name_had_an_answer() {
    let argv = ["wget", "-q", "-O", "/dev/null", "--timeout=5", "-t", "1", "http://1.1.1.1"];
    for said in [
        "wget: bad address 'one.one.one.one'",
        "wget: unable to resolve host address 'one.one.one.one'",
        "Resolving one.one.one.one... failed: Temporary failure in name resolution.",
    ] {
        assert_eq!(fetched(&raw(&argv, 1, "", said), V4), Outcome::Ok, "{said}");
    }
    assert_eq!(fetched(&raw(&argv, 1, "", "wget: bad address '1.1.1.1'"), V4), Outcome::Failed);
    assert_eq!(fetched(&raw(&argv, 1, "", "wget: bad address 'proxy.corp'"), V4), Outcome::Unsupported);
}

#[test]
fn a_tool_that_cannot_ask_so_did_not_ask() {
    for (program, code, stderr) in [
        (
            "wget",
            1,
            "wget: unrecognized option: timeout=5\nBusyBox v1.35.0 multi-call binary.\n -T SEC  Network read timeout is SEC seconds",
        ),
        ("wget", 2, "wget: unrecognized option '--timeout=5'"),
        ("wget", 1, "wget: not an http or ftp url: https://pages.example.org"),
        ("wget", 127, "sh: wget: not found"),
        ("wget", 139, "Segmentation fault (core dumped)"),
        ("curl", 134, "Aborted"),
        ("curl", 1, "curl: (1) Protocol \"https\" not supported or disabled in libcurl"),
        ("curl", 2, "curl: option --max-tyme: is unknown"),
        ("curl", 6, "curl: (6) getaddrinfo() thread failed to start"),
        ("curl", 27, "curl: (27) Out of memory"),
        ("wget", 1, "wget: can't fork: Resource temporarily unavailable"),
        ("bash", 1, "bash: line 1: /dev/tcp/pages.example.org/443: No such file or directory"),
    ] {
        assert_eq!(by_name(program, code, stderr), Outcome::Unsupported, "{program} {code} {stderr}");
    }
}

#[test]
fn a_proxy_is_not_the_path() {
    for (code, stderr) in [
        (5, "curl: (5) Could not resolve proxy: squid.corp"),
        (97, "curl: (97) SOCKS5 connection to squid.corp failed"),
        (56, "curl: (56) Received HTTP code 403 from proxy after CONNECT"),
        (56, "curl: (56) CONNECT tunnel failed, response 407"),
        (7, "curl: (7) Failed to connect to squid.corp port 3128 after 3 ms: Connection refused"),
    ] {
        assert_eq!(by_name("curl", code, stderr), Outcome::Unsupported, "{code} {stderr}");
    }
}

#[test]
fn a_gateways_error_in_plain_text_is_not_the_far_ends_answer() {
    for (program, code, stdout, stderr) in [
        ("wget", 1, "", "wget: server returned error: HTTP/1.1 503 Service Unavailable"),
        ("wget", 1, "", "wget: server returned error: HTTP/1.0 502 Bad Gateway"),
        ("wget", 8, "", "2026-03-04 05:06:07 ERROR 504: Gateway Time-out."),
        ("curl", 0, "503\n", ""),
        ("curl", 22, "", "upstream connect error or disconnect/reset before headers"),
        ("curl", 0, "HTTP/1.1 404 Not Found\r\nserver: envoy\r\n", ""),
    ] {
        assert_eq!(by_address(program, code, stdout, stderr, V4), Outcome::Unsupported, "{program} {stdout} {stderr}");
    }
    assert_eq!(by_address("curl", 0, "301\n", "", V4), Outcome::Ok);
    assert_eq!(by_address("wget", 1, "", "wget: server returned error: HTTP/1.1 500 Oops", V4), Outcome::Ok);
    let inside_tls = raw(&["curl", "https://pages.example.org"], 0, "503\n", "");
    assert_eq!(fetched(&inside_tls, V4), Outcome::Ok, "only the far end can speak within TLS");
}

#[test]
fn no_route_at_once_counts_only_where_the_pod_has_the_family() {
    for (program, code, stderr) in [
        ("wget", 1, "wget: can't connect to remote host: Network is unreachable"),
        ("wget", 1, "wget: can't connect to remote host (192.0.2.7): Network unreachable"),
        ("wget", 1, "wget: socket(AF_INET,1,0): Address family not supported by protocol"),
        ("curl", 7, "curl: (7) Couldn't connect to server: Network is unreachable"),
        ("curl", 7, "curl: (7) Failed to connect to 192.0.2.7 port 80: Cannot assign requested address"),
    ] {
        assert_eq!(by_address(program, code, "", stderr, V4), Outcome::Failed, "{stderr}");
        assert_eq!(by_address(program, code, "", stderr, V6), Outcome::Unsupported, "{stderr}");
        assert_eq!(by_address(program, code, "", stderr, UNKNOWN), Outcome::Unsupported, "{stderr}");
        assert_eq!(by_name(program, code, &stderr.replace("192.0.2.7", "pages.example.org")), Outcome::Unsupported);
    }
    let bash = raw(
        &["bash", "-c", "x", "bash", "192.0.2.7", "80"],
        1,
        "",
        "bash: connect: Network is unreachable\nbash: line 1: /dev/tcp/192.0.2.7/80: Network is unreachable\n",
    );
    assert_eq!((fetched(&bash, V4), fetched(&bash, V6)), (Outcome::Failed, Outcome::Unsupported));
}

#[test]
fn silence_and_unknown_names_are_not_answers() {
    for (program, code, stderr, outcome) in [
        ("wget", 1, "wget: bad address 'pages.example.org'", Outcome::Failed),
        ("wget", 1, "wget: download timed out", Outcome::Timeout),
        ("wget", 4, "failed: Connection timed out.", Outcome::Timeout),
        ("wget", 4, "", Outcome::Failed),
        ("wget", 4, "wget: unable to resolve host address 'pages.example.org'", Outcome::Failed),
        ("wget", 1, "wget: can't connect to remote host (192.0.2.7): Host is unreachable", Outcome::Failed),
        ("wget", 1, "wget: TLS handshake timed out", Outcome::Timeout),
        ("curl", 6, "curl: (6) Could not resolve host: pages.example.org", Outcome::Failed),
        ("curl", 7, "curl: (7) Failed to connect to pages.example.org port 443: No route to host", Outcome::Failed),
        ("curl", 28, "curl: (28) Connection timed out after 5001 milliseconds", Outcome::Timeout),
        ("curl", 28, "curl: (28) SSL connection timeout", Outcome::Timeout),
        ("curl", 56, "curl: (56) Recv failure: Connection timed out", Outcome::Timeout),
        ("curl", 35, "curl: (35) OpenSSL SSL_connect: Connection timed out", Outcome::Timeout),
        ("bash", 124, "", Outcome::Timeout),
        ("bash", 1, "bash: pages.example.org: Temporary failure in name resolution", Outcome::Failed),
    ] {
        assert_eq!(by_name(program, code, stderr), outcome, "{program} {code} {stderr}");
    }
}

#[test]
fn a_silent_wget_that_waited_its_whole_limit_timed_out() {
    let mut silent = raw(&["wget", "-q", "http://192.0.2.7"], 4, "", "");
    silent.answer.duration_ms = Some(5_041);
    assert_eq!(fetched(&silent, V4), Outcome::Timeout);
    silent.answer.duration_ms = Some(41);
    assert_eq!(fetched(&silent, V4), Outcome::Failed);
}

#[test]
fn an_address_of_one_family_is_a_find_whatever_the_other_says() {
    let head = "Server:\t\t169.254.25.10\nAddress:\t169.254.25.10:53\n\n";
    let found = "Name:\tdb.shop.svc.cluster.local\nAddress: 10.43.7.8\n\n";
    for complaint in [
        "** server can't find db.shop.svc.cluster.local: SERVFAIL\n",
        "** server can't find db.shop.svc.cluster.local: NXDOMAIN\n",
        "*** Can't find db.shop.svc.cluster.local: No answer\n",
        ";; connection timed out; no servers could be reached\n",
    ] {
        assert_eq!(nslookup(1, &format!("{head}{found}{complaint}")), Lookup::Found, "{complaint}");
        assert_eq!(nslookup(1, &format!("{head}{complaint}{found}")), Lookup::Found, "{complaint}");
    }
    let old =
        "Server:    10.43.0.10\nAddress 1: 10.43.0.10 dns.example\n\nName:      db\nAddress 1: 10.43.7.8 db.example\n";
    assert_eq!(nslookup(0, old), Lookup::Found);
    assert_eq!(nslookup(0, &format!(";; Got recursion not available from 10.43.0.10\n{head}{found}")), Lookup::Found);
    assert_eq!(read_lookup(&raw(&["getent", "hosts", "db"], 0, "10.43.7.8  db.shop\n", "")), Lookup::Found);
}

#[test]
fn lookups_that_fail_are_told_apart() {
    let head = "Server:\t\t10.43.0.10\nAddress:\t10.43.0.10#53\n\n";
    for (code, says, lookup) in [
        (1, "** server can't find db: NXDOMAIN\n", Lookup::NoSuchName),
        (0, "** server can't find db: NXDOMAIN\n", Lookup::NoSuchName),
        (0, "*** Can't find db: No answer\n", Lookup::NoSuchName),
        (1, "** server can't find db: SERVFAIL\n", Lookup::ServerFailed),
        (1, "** server can't find db: REFUSED\n", Lookup::ServerFailed),
        (1, ";; connection timed out; no servers could be reached\n", Lookup::Silent),
        (0, ";; connection timed out; no servers could be reached\n", Lookup::Silent),
        (1, ";; communications error to 10.43.0.10#53: timed out\n", Lookup::Silent),
        (1, "nslookup: write to '10.43.0.10': Connection refused\n", Lookup::Refused),
        (1, "connection refused; no servers could be reached\n", Lookup::Refused),
        (1, "nslookup: can't resolve 'db'\n", Lookup::Unclear),
        (124, "", Lookup::Silent),
        (127, "sh: nslookup: not found\n", Lookup::NotAsked),
        (139, "Segmentation fault\n", Lookup::NotAsked),
    ] {
        assert_eq!(nslookup(code, &format!("{head}{says}")), lookup, "{code} {says}");
    }
    assert_eq!(read_lookup(&raw(&["getent", "hosts", "db"], 2, "", "")), Lookup::Unclear);
    assert_eq!(asked_server(&raw(&["nslookup"], 0, head, "")), "10.43.0.10".parse().ok());
    assert_eq!(asked_server(&raw(&["nslookup"], 0, "Server:\t\tfd00:25::10\n", "")), "fd00:25::10".parse().ok());
}

#[test]
fn a_name_that_does_not_exist_is_neither_a_working_lookup_nor_a_dead_way() {
    let lookup = nslookup(1, "** server can't find db: NXDOMAIN\n");
    assert_eq!((lookup.outcome(), lookup.works(), lookup.was_answered()), (Outcome::Failed, None, Some(true)));
    let silent = nslookup(124, "");
    assert_eq!((silent.outcome(), silent.works(), silent.was_answered()), (Outcome::Timeout, Some(false), Some(false)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_words_make_it_panic(
        program in "(wget|curl|bash|nslookup|getent|[a-z]{0,4})",
        url in "\\PC{0,40}",
        code in -1_i32..256,
        stdout in any::<Vec<u8>>(),
        stderr in "\\PC{0,200}",
    ) {
        let mut raw = raw(&[&program, &url], code, "", &stderr);
        raw.stdout = stdout;
        let _ = (fetched(&raw, V4), read_lookup(&raw), asked_server(&raw));
    }

    #[test]
    fn a_family_that_the_pod_lacks_is_never_a_failure(own in any::<bool>(), code in 1_i32..8) {
        let own = Families { v4: false, v6: own };
        let outcome = by_address("curl", code, "", "connect: Network is unreachable", own);
        prop_assert_eq!(outcome, Outcome::Unsupported);
    }
}

#[test]
fn signal_that_came_at_once_did_not_end_a_wait() {
    let ended = |code: i32, took: u64| {
        let mut raw = raw(&["curl", "https://pages.example.org"], code, "", "");
        raw.answer.duration_ms = Some(took);
        (fetched(&raw, V4), read_lookup(&raw))
    };
    for code in [137, 143] {
        assert_eq!(ended(code, 40), (Outcome::Unsupported, Lookup::NotAsked));
        assert_eq!(ended(code, 6_000), (Outcome::Timeout, Lookup::Silent));
    }
}

#[test]
fn dig_that_prints_no_address_found_none() {
    let dig = |stdout: &str| read_lookup(&raw(&["dig", "+short", "db.shop.svc.cluster.local"], 0, stdout, ""));
    assert_eq!(dig("10.43.7.1\n"), Lookup::Found);
    assert_eq!(dig("\n"), Lookup::Unclear);
}
