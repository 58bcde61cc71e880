//! Judging an archive in the process of the test.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use clap::Parser as _;

use staledp::base::source_kind::SourceKind;
use staledp::cli::{Cli, Command, DiagnoseArgs};
use staledp::diagnose::{Observer, diagnose};
use staledp::gather::Source;
use staledp::gather::reading::Meter;
use staledp::gather::saved;
use staledp::gather::saved::Saved;
use staledp::report::{Report, SourceInfo};
use staledp::settings::Settings;

/// Nobody watches.
struct Nobody;

impl Observer for Nobody {
    fn step(&self, _node: &str, _step: &str) {}
    fn done(&self, _node: &str) {}
}

/// The report on what lies there, or why there is none, and how many bytes of the file were read for that.
pub(crate) fn judge(path: &Path) -> (Result<Report, String>, u64) {
    let words = ["staledp", "diagnose", "--timeout", "10s", "--from"].map(OsStr::new);
    let cli = Cli::try_parse_from(words.into_iter().chain([path.as_os_str()])).expect("arguments");
    let Command::Diagnose(args) = cli.command else { panic!("it is `diagnose`") };
    let DiagnoseArgs { nodes: _, cluster, target, symptoms, save } = *args;
    let settings = Settings::resolve(cluster, target, symptoms, save).diagnose;
    let meter = Arc::new(Meter::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let about = SourceInfo::saved(SourceKind::Bundle, None, None);
    let report = runtime.block_on(async {
        Ok(match saved::open(path, &meter).await.map_err(|error| error.to_string())? {
            Saved::Bundle(bundle) => {
                let inventory = bundle.inventory().await;
                let mut nodes: Vec<String> = bundle.nodes(&inventory).into_iter().collect();
                bundle.in_order(&mut nodes);
                diagnose(&bundle, &inventory, &nodes, &settings, about, &Nobody).await
            }
            Saved::Archive(archive) => {
                let inventory = archive.inventory().await;
                let nodes: Vec<String> = archive.nodes(&inventory).into_iter().collect();
                diagnose(&archive, &inventory, &nodes, &settings, about, &Nobody).await
            }
        })
    });
    (report, meter.done())
}
