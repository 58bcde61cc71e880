//! The lock of `staledp fix` while a repair waits: it is renewed, so that nobody takes it over.

use std::time::Duration;

use clap::Parser as _;
use staledp::base::screen::{Format, Screen};
use staledp::cli::{Cli, Command};
use staledp::fix::{FixOutcome, FixReport, RENEW_LOCK_AFTER};
use staledp::progress::{Output, Progress};

use super::fix::{in_good_order, lease, stale};
use crate::support::api::ApiServer;
use crate::support::world::{Fault, FaultKind};

const POD: &str = "/api/v1/namespaces/kube-system/pods/cilium-swmbt";
/// In place of four minutes.
const SOON: Duration = Duration::from_secs(1);
const SILENT: Screen = Screen {
    format: Format::Json,
    color: false,
    width: None,
    error_width: None,
    progress: false,
    verbose: 0,
    quiet: true,
    headers: true,
    ascii: false,
};

/// Repairs prusik in this process, with a lock that is old after [`SOON`].
fn fix(api: &ApiServer) -> FixReport {
    let kubeconfig = api.kubeconfig();
    let folder = tempfile::tempdir().expect("a folder");
    let save = folder.path().join("evidence").display().to_string();
    let path = kubeconfig.path();
    let words = ["staledp", "fix", "--kubeconfig", &path, "--no-ssh", "--node", "prusik", "--yes", "--save", &save];
    let Command::Fix(args) = Cli::try_parse_from(words).expect("a command line").command else { panic!("it is fix") };
    let mut settings = staledp::settings::fix(*args);
    assert_eq!(settings.renew_lock_after, RENEW_LOCK_AFTER);
    settings.renew_lock_after = SOON;
    let progress = Progress::new(&SILENT, &Output::start().expect("a thread"));
    let (_never, signalled) = tokio::sync::watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let done = runtime.block_on(Box::pin(staledp::fix::run(&settings, &SILENT, &progress, signalled)));
    done.expect("it runs")
}

/// How often the Lease was written before the DELETE, and after it.
fn renewals(api: &ApiServer) -> (usize, usize) {
    let requests = api.requests();
    let deleted = requests.iter().position(|request| request.method == "DELETE").expect("a DELETE");
    let puts = |from: &[crate::support::api::Logged]| from.iter().filter(|request| request.method == "PUT").count();
    (puts(&requests[..deleted]), puts(&requests[deleted..]))
}

#[test]
fn lock_is_renewed_while_the_fate_of_the_pod_is_unknown() {
    let mut world = stale();
    world.fault(Fault::new(POD, FaultKind::HangUp).on("DELETE"));
    let api = ApiServer::start(world);
    let report = fix(&api);
    assert_eq!(report.fix[0].outcome, FixOutcome::Refused, "{}", report.fix[0].says);
    let (before, after) = renewals(&api);
    // Taken, and renewed right before the DELETE; then for 20 s at each look, and released.
    assert_eq!(before, 2);
    assert!((8..=22).contains(&after), "{after} writes of the Lease after the DELETE");
    in_good_order(&api, 1);
}

#[test]
fn lock_is_renewed_while_the_new_pod_starts() {
    let api = ApiServer::start(stale());
    let report = fix(&api);
    assert_eq!(report.fix[0].outcome, FixOutcome::Verified, "{}", report.fix[0].says);
    let (_, after) = renewals(&api);
    // At each look until the pod is ready after 2 s, and released.
    assert!(after >= 3, "{after} writes of the Lease after the DELETE");
    in_good_order(&api, 1);
}

#[test]
fn lock_that_another_run_took_over_does_not_stop_the_wait() {
    let api = ApiServer::start(stale());
    let report = std::thread::scope(|scope| {
        let run = scope.spawn(|| fix(&api));
        api.wait_until(Duration::from_secs(50), |log| log.iter().any(|request| request.method == "DELETE"));
        api.change(|world| {
            let lease = &mut world.writes.leases[0];
            lease["spec"]["holderIdentity"] = "mallory@elsewhere/1".into();
            lease["metadata"]["resourceVersion"] = "99999".into();
        });
        run.join().expect("it ends")
    });
    // There is no second DELETE that the lost lock would have to prevent, and it is another's to release.
    assert_eq!(report.fix[0].outcome, FixOutcome::Verified, "{}", report.fix[0].says);
    assert_eq!(lease(&api).expect("a Lease")["spec"]["holderIdentity"], "mallory@elsewhere/1");
}
