//! How results are shown: the format, the colours, and the widths of standard output and standard error.

use clap::ValueEnum;

/// The width that is assumed of a terminal that does not report its own, in columns.
pub const DEFAULT_WIDTH: u16 = 80;

/// The output formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Table for people
    Table,
    /// Table with every pod and source listed
    Wide,
    /// One JSON document
    Json,
    /// One JSON object per node as it finishes; the summary last
    Jsonl,
    /// One YAML document
    Yaml,
    /// `node/NAME`, one per line, of each node that is not healthy (`symptoms`: that has symptoms; `gate`: that is worse or
    /// cannot be told)
    Name,
    /// One self-contained page, with a matrix of nodes and ways, drawings and a timeline
    Html,
    /// JUnit XML, a test case a node, for CI systems
    Junit,
    /// Metrics in Prometheus' text format, for the node exporter's textfile collector
    Prometheus,
}

impl Format {
    /// Its name, as `-o` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Wide => "wide",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Yaml => "yaml",
            Self::Name => "name",
            Self::Html => "html",
            Self::Junit => "junit",
            Self::Prometheus => "prometheus",
        }
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How to show results, with the environment and the terminal taken into account.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct Screen {
    /// The format of standard output.
    pub format: Format,
    /// Whether tables have header rows.
    pub headers: bool,
    /// Whether text for people is kept to ASCII.
    pub ascii: bool,
    /// Whether standard output takes colours.
    pub color: bool,
    /// The width of standard output in columns; none where it is not a terminal.
    pub width: Option<u16>,
    /// The width of standard error in columns; none where it is not a terminal.
    pub error_width: Option<u16>,
    /// Whether standard error shows progress.
    pub progress: bool,
    /// How much is logged to standard error: 0, 1 (`-v`), 2 (`-vv`).
    pub verbose: u8,
    /// Whether standard error shows errors only.
    pub quiet: bool,
}
