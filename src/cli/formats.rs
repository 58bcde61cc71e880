//! Which output formats each command has.

use super::Command;
use crate::base::error::Error;
use crate::base::screen::Format;
use crate::base::screen::Format::{Html, Json, Jsonl, Junit, Name, Prometheus, Table, Wide, Yaml};

impl Command {
    /// Checks that a command that works on one cluster got at most one.
    ///
    /// # Errors
    ///
    /// A usage error.
    pub fn check_contexts(&self) -> Result<(), Error> {
        let cluster = match self {
            Self::Fix(args) => &args.cluster,
            Self::Capture(args) => &args.cluster,
            Self::Symptoms(args) => &args.cluster,
            Self::Risk(args) => &args.cluster,
            Self::Report(args) => &args.cluster,
            Self::Watch(args) => &args.cluster,
            Self::Gate(args) => &args.cluster,
            _ => return Ok(()),
        };
        if cluster.context.len() > 1 {
            return Err(Error::usage("several --context: only diagnose looks at several clusters in one run"));
        }
        Ok(())
    }

    /// Checks that the command has this output format.
    ///
    /// # Errors
    ///
    /// A usage error that names the formats it has.
    pub fn check_format(&self, format: Format) -> Result<(), Error> {
        let (name, formats): (_, &[Format]) = match self {
            // What they print has one form, or they print nothing.
            Self::Completions { .. }
            | Self::Man(_)
            | Self::Schema { .. }
            | Self::Capture(_)
            | Self::Watch(_)
            | Self::Manifests(_) => return Ok(()),
            Self::Diagnose(_) => ("diagnose", &[Table, Wide, Json, Jsonl, Yaml, Name, Html, Junit, Prometheus]),
            Self::Merge { .. } => ("merge", &[Table, Wide, Json, Jsonl, Yaml, Name, Html, Junit, Prometheus]),
            Self::Symptoms(_) => ("symptoms", &[Table, Wide, Json, Jsonl, Yaml, Name]),
            Self::Gate(_) => ("gate", &[Table, Wide, Json, Jsonl, Yaml, Name]),
            Self::Risk(_) => ("risk", &[Table, Wide, Json, Jsonl, Yaml]),
            // An issue in Markdown.
            Self::Report(_) => ("report", &[Table, Wide]),
            Self::Diff { .. } => ("diff", &[Table, Wide, Json, Yaml]),
            Self::Explain { .. } => ("explain", &[Table, Wide, Json, Yaml]),
            Self::Rbac(_) => ("rbac", &[Table, Wide, Json, Yaml]),
            Self::Fix(_) => ("fix", &[Table, Wide, Json, Jsonl, Yaml]),
            Self::Config(_) => ("config view", &[Table, Wide, Json, Jsonl, Yaml]),
            Self::Version => ("version", &[Table, Wide, Json, Jsonl, Yaml]),
        };
        if formats.contains(&format) {
            return Ok(());
        }
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        let failed = format!("{name} has no {} output", format.name());
        Err(Error::usage(failed).with_hint(format!("use -o {}", names.join(", "))))
    }
}
