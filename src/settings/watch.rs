//! The settings of `staledp watch`, resolved from its arguments.

use super::{Look, cluster_settings};
use crate::base::shard::spread;
use crate::base::symptom_options::SymptomOptions;
use crate::cli::WatchArgs;
use crate::diagnose::DiagnoseSettings;
use crate::fix::process;
use crate::watch::WatchSettings;

/// Where a pod finds the name of its namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The namespace outside a pod.
const USUAL_NAMESPACE: &str = "staledp";

/// Resolves what was typed.
#[must_use]
pub fn watch(args: WatchArgs) -> WatchSettings {
    let WatchArgs {
        every,
        confirm_after,
        execs_per_minute,
        listen,
        condition_type,
        namespace,
        uninstall,
        cluster,
        look,
    } = args;
    let Look { ssh, compress, diagnose } = Look::resolve(look);
    let own = || std::fs::read_to_string(OWN_NAMESPACE).ok().map(|name| name.trim().to_owned());
    let namespace =
        namespace.or_else(own).filter(|name| !name.is_empty()).unwrap_or_else(|| USUAL_NAMESPACE.to_owned());
    // In containers every process has the number 1, and on the host's network every pod has the name of its node.
    let process = process::this().unwrap_or_default();
    WatchSettings {
        look: DiagnoseSettings {
            symptoms: SymptomOptions { lists_only: true, ..SymptomOptions::default() },
            ..diagnose
        },
        cluster: cluster_settings(cluster, ssh, compress),
        every,
        confirm_after,
        execs_per_minute,
        listen,
        condition: condition_type,
        namespace,
        identity: format!("{}/{}-{:08x}", process::host(), std::process::id(), spread(&process) & 0xffff_ffff),
        uninstall,
    }
}
