//! `staledp symptoms`, from settings to an exit code.

use std::process::ExitCode;

use super::{Work, begin, end, look, print, to_its_end};
use crate::cli::Format;
use crate::cli::symptoms::SymptomsArgs;
use crate::diagnose::supplement;
use crate::exit::Error;
use crate::gather::Source;
use crate::gather::live;
use crate::kubernetes::objects::Inventory;
use crate::report::symptoms::{NotAsked, SymptomsReport, render, report};
use crate::report::{SourceInfo, SourceKind, json, table};
use crate::rules::remedy::quoted;
use crate::settings::{ClusterSettings, Origin, Screen, Settings};

/// Looks for symptoms in the whole cluster and prints them.
///
/// # Errors
///
/// Where no cluster answers, or what was saved can't be read.
pub(super) fn run(args: SymptomsArgs, screen: &Screen) -> Result<ExitCode, Error> {
    let settings = Settings::of_symptoms(args);
    let tell = Tell { screen };
    let found = to_its_end(screen, async |_| match &settings.origin {
        Origin::Path(_) => look(&settings, &tell).await,
        Origin::Cluster(cluster) => tell.live(cluster, &settings).await,
    })?;
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

/// `symptoms`.
struct Tell<'a> {
    screen: &'a Screen,
}

impl Tell<'_> {
    async fn live(&self, cluster: &ClusterSettings, settings: &Settings) -> Result<SymptomsReport, Error> {
        let live = live::connect(cluster, &settings.questions, settings.timeout).await?;
        let inventory = live.inventory_for_symptoms().await;
        if let (Err(pods), Err(nodes)) = (inventory.pods.some(), inventory.nodes.some()) {
            return Err(Error::CannotRun(format!("cannot list the pods: {pods}; nor the nodes: {nodes}")));
        }
        let about = SourceInfo { kind: SourceKind::Cluster, context: live.context().map(str::to_owned), path: None };
        self.on(&live, &inventory, &[], settings, about).await
    }
}

impl Work for Tell<'_> {
    type Done = SymptomsReport;
    const NEEDS_NODES: bool = false;

    async fn on<S: Source>(
        &self,
        source: &S,
        inventory: &Inventory,
        _nodes: &[String],
        settings: &Settings,
        about: SourceInfo,
    ) -> Result<SymptomsReport, Error> {
        let Some(save) = &settings.save else { return Ok(tell(source, inventory, settings, about).await) };
        let saving = begin(source, settings, save, inventory, self.screen)?;
        let report = tell(&saving, inventory, settings, about).await;
        end(saving, self.screen);
        Ok(report)
    }
}

async fn tell<S: Source>(source: &S, inventory: &Inventory, settings: &Settings, about: SourceInfo) -> SymptomsReport {
    let wish = &settings.symptoms;
    let found = supplement::read_symptoms(source, inventory, wish, None, settings.timeout).await;
    let likeliest = found.ranked().first().copied().filter(|node| found.weight(node) > 0).map(quoted);
    let next = likeliest.map(|node| {
        let mut words = vec!["staledp diagnose".to_owned()];
        words.extend(how(&settings.origin, about.context.as_deref()));
        words.push(format!("--node {node}"));
        words.join(" ")
    });
    let is_open = |asked: bool| !asked && !source.is_saved();
    let not_asked = [(NotAsked::LOGS, wish.logs), (NotAsked::BUFFERS, wish.prometheus.is_some())];
    let not_asked = not_asked.into_iter().filter(|(_, asked)| is_open(*asked)).map(|(what, _)| what).collect();
    report(found, about, next, not_asked, crate::base::clock::now())
}

/// The options that lead to the same evidence again.
fn how(origin: &Origin, context: Option<&str>) -> Vec<String> {
    let option = |name: &str, value: &str| format!("--{name}={}", quoted(value));
    match origin {
        Origin::Path(path) => vec![format!("--from {}", quoted(&path.display().to_string()))],
        Origin::Cluster(cluster) => {
            let mut how: Vec<String> = context.iter().map(|context| option("context", context)).collect();
            how.extend(cluster.kubeconfig.iter().map(|file| option("kubeconfig", &file.display().to_string())));
            how.extend(cluster.as_user.iter().map(|user| option("as", user)));
            how.extend(cluster.as_groups.iter().map(|group| option("as-group", group)));
            how
        }
    }
}
