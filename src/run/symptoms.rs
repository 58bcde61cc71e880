//! `staledp symptoms`, from settings to an exit code.

use std::process::ExitCode;
use std::sync::Arc;

use super::print;
use crate::cli::Format;
use crate::cli::symptoms::SymptomsArgs;
use crate::exit::Error;
use crate::gather::Source;
use crate::gather::cluster::Inventory;
use crate::gather::live;
use crate::gather::reading::Meter;
use crate::gather::saved::{self, Saved};
use crate::report::symptoms::{SymptomsReport, render, report};
use crate::report::{SourceInfo, SourceKind, json, table};
use crate::rules::remedy::quoted;
use crate::settings::{Origin, Screen, SymptomSettings};
use crate::symptoms::look;

/// How long the connection to the cluster believes that a node may take; no node is asked here.
const NODE: std::time::Duration = std::time::Duration::from_secs(60);

/// Looks for symptoms in the whole cluster and prints them.
///
/// # Errors
///
/// Where no cluster answers, or the bundle can't be read.
pub(super) fn run(args: SymptomsArgs, screen: &Screen) -> Result<ExitCode, Error> {
    let settings = SymptomSettings::resolve(args);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::CannotRun(format!("cannot start: {error}")))?;
    let found = runtime.block_on(async {
        tokio::select! {
            found = look(&settings) => found,
            _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
        }
    });
    runtime.shutdown_background();
    let found = found?;
    let text = match screen.format {
        Format::Table | Format::Wide => {
            let wide = screen.format == Format::Wide;
            Ok(render(&found, &table::Style { color: screen.color, width: screen.width, wide }))
        }
        Format::Json => json::symptoms(&found, json::Form::Json),
        Format::Jsonl => json::symptoms(&found, json::Form::Jsonl),
        Format::Yaml => json::symptoms(&found, json::Form::Yaml),
    };
    print(text.map_err(Error::CannotRun)?.as_bytes())
}

async fn look(settings: &SymptomSettings) -> Result<SymptomsReport, Error> {
    match &settings.origin {
        Origin::Path(path) => {
            let bundle = match saved::open(path, &Arc::new(Meter::default())).map_err(Error::CannotRun)? {
                Saved::Bundle(bundle) => bundle,
                Saved::Archive(_) => {
                    let shown = path.display();
                    let why = format!("{shown} is no bundle: of an archive, `diagnose --from` tells the symptoms");
                    return Err(Error::CannotRun(why));
                }
            };
            let about = SourceInfo {
                kind: SourceKind::Bundle,
                context: bundle.context().map(str::to_owned),
                path: Some(path.display().to_string()),
            };
            let inventory = bundle.inventory().await;
            let how = format!("--from {}", quoted(&path.display().to_string()));
            Ok(look_at(&bundle, &inventory, settings, about, &how).await)
        }
        Origin::Cluster(cluster) => {
            let live = live::connect(cluster, &settings.questions, NODE).await?;
            let context = live.context().map(str::to_owned);
            let inventory = live.inventory_for_symptoms().await;
            if let (Err(pods), Err(nodes)) = (&inventory.pods, &inventory.nodes) {
                return Err(Error::CannotRun(format!("cannot list the pods: {pods}; nor the nodes: {nodes}")));
            }
            let mut how: Vec<String> = context.iter().map(|c| format!("--context={}", quoted(c))).collect();
            let file =
                cluster.kubeconfig.as_ref().map(|file| format!("--kubeconfig={}", quoted(&file.display().to_string())));
            how.extend(file);
            how.extend(cluster.as_user.iter().map(|user| format!("--as={}", quoted(user))));
            how.extend(cluster.as_groups.iter().map(|group| format!("--as-group={}", quoted(group))));
            let about = SourceInfo { kind: SourceKind::Cluster, context, path: None };
            Ok(look_at(&live, &inventory, settings, about, &how.join(" ")).await)
        }
    }
}

async fn look_at<S: Source>(
    source: &S,
    inventory: &Inventory,
    settings: &SymptomSettings,
    about: SourceInfo,
    how: &str,
) -> SymptomsReport {
    let found = look::whole(source, inventory, &settings.wish).await;
    let likeliest = found.ranked().first().copied().filter(|node| found.weight(node) > 0).map(quoted);
    let how = if how.is_empty() { String::new() } else { format!("{how} ") };
    let next = likeliest.map(|node| format!("staledp diagnose {how}--node {node}"));
    report(found, about, next, crate::clock::now())
}
