//! Ready YAML for a cluster: what `staledp manifests` prints. Each file here is a template whose `{name}` is replaced; the
//! rights come from the same table as `staledp rbac`.

use crate::rights;

/// What can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// The watch: namespace, service account, rights, Deployment, Service; with a ServiceMonitor where wished.
    Watch {
        /// Whether there is a ServiceMonitor.
        monitor: bool,
    },
    /// A CronJob that diagnoses all nodes.
    CronJob,
    /// An Indexed Job whose pods share the nodes.
    Job {
        /// How many.
        shards: u32,
    },
    /// Alerts, as a PrometheusRule.
    Alerts,
    /// A dashboard for Grafana, as JSON.
    Dashboard,
    /// A rule of the Node Readiness Controller.
    ReadinessRule,
    /// A NodeHealthCheck of Medik8s.
    Medik8s,
}

/// What the templates leave open.
#[derive(Clone, Debug)]
pub struct Blanks {
    /// The image of staledp.
    pub image: String,
    /// The namespace that it runs in.
    pub namespace: String,
    /// The namespace of the Cilium agents.
    pub cilium_namespace: String,
    /// The type of the condition on nodes.
    pub condition: String,
    /// The API server's real address: host and port.
    pub api_server: Option<(String, u16)>,
}

/// The text of a manifest.
#[must_use]
pub fn manifest(what: Manifest, blanks: &Blanks) -> String {
    let text = match what {
        Manifest::Watch { monitor } => {
            let monitor = if monitor { include_str!("service-monitor.yaml") } else { "" };
            let text = format!("{}{monitor}", include_str!("watch.yaml"));
            text.replace("{rights}", &rights_of("watch", &[rights::DIAGNOSE, rights::WATCH], blanks))
                .replace("{environment}", &environment(blanks, 10))
        }
        Manifest::CronJob => reader(include_str!("cronjob.yaml"), blanks, 14),
        Manifest::Job { shards } => reader(include_str!("job.yaml"), blanks, 10)
            .replace("{shards}", &shards.to_string())
            .replace("{last}", &shards.saturating_sub(1).to_string()),
        Manifest::Alerts => include_str!("alerts.yaml").to_owned(),
        Manifest::Dashboard => include_str!("dashboard.json").to_owned(),
        Manifest::ReadinessRule => include_str!("readiness-rule.yaml").to_owned(),
        Manifest::Medik8s => include_str!("medik8s.yaml").to_owned(),
    };
    text.replace("{namespace}", &blanks.namespace)
        .replace("{image}", &blanks.image)
        .replace("{condition}", &blanks.condition)
}

/// What runs `diagnose` needs its rights, and nothing else.
fn reader(work: &str, blanks: &Blanks, indent: usize) -> String {
    let text = format!("{}{work}", include_str!("reader.yaml"));
    text.replace("{rights}", &rights_of("diagnose", &[rights::DIAGNOSE], blanks))
        .replace("{environment}", &environment(blanks, indent))
}

/// The roles without the comments about binding them: the bindings stand beside them.
fn rights_of(command: &str, grants: &[&[rights::Grant]], blanks: &Blanks) -> String {
    let text = rights::yaml(command, grants, &blanks.cilium_namespace, &blanks.namespace);
    let at = text.find("apiVersion:").unwrap_or_default();
    text.get(at..).unwrap_or_default().to_owned()
}

/// Where the API server is, in the place of the Service that every pod is told of.
fn environment(blanks: &Blanks, indent: usize) -> String {
    let Some((host, port)) = &blanks.api_server else { return String::new() };
    let space = " ".repeat(indent);
    format!(
        "{space}env:\n{space}  - name: KUBERNETES_SERVICE_HOST\n{space}    value: \"{host}\"\n\
         {space}  - name: KUBERNETES_SERVICE_PORT\n{space}    value: \"{port}\"\n"
    )
}
