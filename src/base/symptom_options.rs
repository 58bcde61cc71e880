//! Which symptoms are read beyond those that the cluster's lists and events show.

use super::prometheus::Prometheus;

/// Which symptoms are read beyond those that the cluster's lists and events show.
#[derive(Clone, Debug, Default)]
pub struct SymptomOptions {
    /// Whether the cluster's lists are enough: then not one request is sent for symptoms.
    pub lists_only: bool,
    /// Whether container logs are read.
    pub logs: bool,
    /// The Prometheus that is asked about buffers; none: not asked.
    pub prometheus: Option<Prometheus>,
    /// Additional PromQL queries.
    pub queries: Vec<String>,
    /// Whether the objects of other projects are read even where no symptom would be shown from them, so that they are
    /// saved.
    pub keep: bool,
}
