//! `staledp manifests WHAT`: ready YAML for a cluster.

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::{ManifestName, ManifestsArgs};
use crate::manifests::{Blanks, Manifest, manifest};

/// Prints the manifest.
pub(super) async fn run(args: ManifestsArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let ManifestsArgs {
        what,
        image,
        namespace,
        cilium_namespace,
        condition_type: condition,
        api_server,
        shards,
        service_monitor: monitor,
    } = args;
    let what = match what {
        ManifestName::Watch => Manifest::Watch { monitor },
        ManifestName::Cronjob => Manifest::CronJob,
        ManifestName::Job => Manifest::Job { shards },
        ManifestName::Alerts => Manifest::Alerts,
        ManifestName::Dashboard => Manifest::Dashboard,
        ManifestName::ReadinessRule => Manifest::ReadinessRule,
        ManifestName::Medik8s => Manifest::Medik8s,
    };
    let blanks = Blanks { image, namespace, cilium_namespace, condition, api_server };
    terminal.print(manifest(what, &blanks)).await?;
    Ok(Exit::Healthy)
}
