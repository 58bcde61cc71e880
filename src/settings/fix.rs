//! The settings of `staledp fix`, resolved from its arguments.

use std::io::IsTerminal as _;

use super::{Look, cluster_settings};
use crate::cli::FixArgs;
use crate::diagnose::DiagnoseSettings;
use crate::fix::{FixSettings, RENEW_LOCK_AFTER, process};

/// Resolves what was typed.
#[must_use]
pub fn fix(args: FixArgs) -> FixSettings {
    let FixArgs {
        nodes: positional,
        node,
        yes,
        dry_run,
        force,
        accept_risk,
        nodes_at_risk_ok,
        neighbours,
        wait,
        verify,
        watch,
        save,
        cluster,
        look,
    } = args;
    let Look { ssh, compress, diagnose } = Look::resolve(look);
    let cluster = cluster_settings(cluster, ssh, compress);
    let mut nodes: Vec<String> = Vec::new();
    for node in positional.into_iter().chain(node) {
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    let user = ["USER", "LOGNAME"].iter().find_map(|key| std::env::var(key).ok().filter(|name| !name.is_empty()));
    let user = user.unwrap_or_else(|| "unknown user".to_owned());
    FixSettings {
        look: DiagnoseSettings { named: true, ..diagnose },
        nodes,
        cluster,
        yes,
        terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        dry_run,
        force,
        accept_risk,
        nodes_at_risk_ok,
        neighbours: usize::from(neighbours),
        wait,
        verify,
        watch,
        save,
        renew_lock_after: RENEW_LOCK_AFTER,
        who: format!("{user}@{}/{}", process::host(), std::process::id()),
        process: process::this(),
    }
}
