//! The permissions that commands use, in one table: `staledp rbac` prints it, and the preflight of `fix` checks it.
//!
//! `pods/exec` needs `get` and `create`: the handshake of a WebSocket is a GET, and newer API servers check both. A PUT
//! that creates a Lease is checked for `create` with the name, so that permission can be bound to the one name; a POST has
//! no name yet, and cannot (seen on 1.36).

use std::fmt::Write as _;

use crate::base::program;

/// The name of the Lease of `fix`.
pub const LEASE: &str = "staledp-fix";

/// The name of the Lease of `watch`.
pub const WATCH_LEASE: &str = "staledp-watch";

/// Where a permission holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the whole cluster.
    Cluster,
    /// In the namespace of the Cilium agents.
    CiliumNamespace,
    /// In the namespace that staledp itself runs in.
    OwnNamespace,
}

/// A permission, in the words of a Role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where it holds.
    pub scope: Scope,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, with its subresource behind a slash.
    pub resource: &'static str,
    /// The only name that it holds for.
    pub name: Option<&'static str>,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// What it is for.
    pub why: &'static str,
}

const fn cluster(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Grant {
    Grant { scope: Scope::Cluster, group, resource, name: None, verbs, why }
}

impl Grant {
    /// The same permission, in the namespace of the Cilium agents only.
    const fn in_cilium_namespace(self) -> Self {
        Self { scope: Scope::CiliumNamespace, ..self }
    }
}

/// What `diagnose` uses.
pub const DIAGNOSE: &[Grant] = &[
    cluster("", "nodes", &["list"], "which nodes there are, and their addresses"),
    cluster("", "pods", &["list"], "agents, DNS, and which pod has which address"),
    cluster("", "services", &["list"], "the address of cluster DNS"),
    cluster("discovery.k8s.io", "endpointslices", &["list"], "the ready endpoints of cluster DNS"),
    cluster("", "events", &["list"], "warnings, failed probes, and earlier restarts by staledp"),
    cluster("", "pods/exec", &["get", "create"], "cilium-dbg in the agent, and probes from pods"),
    cluster("", "pods/log", &["get"], "the end of the agent's log"),
];

/// What `fix` uses beside [`DIAGNOSE`].
pub const FIX: &[Grant] = &[
    cluster("", "nodes", &["get"], "the images on the node, and whether it was replaced"),
    cluster("", "pods", &["delete"], "the one restart").in_cilium_namespace(),
    cluster("apps", "daemonsets", &["get"], "whether the agent will be recreated, and as which version")
        .in_cilium_namespace(),
    cluster("apps", "controllerrevisions", &["list"], "which revision is current").in_cilium_namespace(),
    Grant {
        scope: Scope::CiliumNamespace,
        group: "coordination.k8s.io",
        resource: "leases",
        name: Some(LEASE),
        verbs: &["get", "create", "update"],
        why: "the lock: one repair at a time",
    },
    cluster("events.k8s.io", "events", &["create"], "one Event per restart").in_cilium_namespace(),
];

/// What `risk` uses beside [`DIAGNOSE`]. Without it one line is not looked at.
pub const RISK: &[Grant] =
    &[cluster("apps", "controllerrevisions", &["list"], "whether the new pod would be of another revision")
        .in_cilium_namespace()];
/// What `watch` uses beside [`DIAGNOSE`].
pub const WATCH: &[Grant] = &[
    cluster("", "nodes", &["watch"], "the list of nodes and their conditions, kept up to date"),
    cluster("", "pods", &["watch"], "the list of pods, kept up to date"),
    cluster("", "nodes/status", &["patch"], "the one condition on each node"),
    Grant {
        scope: Scope::OwnNamespace,
        group: "coordination.k8s.io",
        resource: "leases",
        name: Some(WATCH_LEASE),
        verbs: &["get", "create", "update"],
        why: "one watch at a time",
    },
    Grant {
        scope: Scope::OwnNamespace,
        ..cluster("events.k8s.io", "events", &["create"], "one Event when a condition turns")
    },
];

/// What `symptoms` uses. Each is optional: what it may not read it reports.
pub const SYMPTOMS: &[Grant] = &[
    cluster("", "nodes", &["list"], "which nodes there are, and whether they are ready"),
    cluster("", "pods", &["list"], "restarts, and which pod is on which node"),
    cluster("", "events", &["list"], "failed probes, and nodes that were not ready"),
    cluster("external-secrets.io", "secretstores", &["list"], "their connection errors"),
    cluster("external-secrets.io", "clustersecretstores", &["list"], "their connection errors"),
    cluster("external-secrets.io", "externalsecrets", &["list"], "their connection errors; Secrets are not read"),
    cluster("argoproj.io", "applications", &["list"], "their DNS and connection errors"),
    cluster("cilium.io", "ciliumlocalredirectpolicies", &["list"], "which traffic is redirected to NodeLocal DNS"),
    cluster("", "pods/log", &["get"], "with --logs: failed DNS lookups"),
    cluster("", "services/proxy", &["get"], "with --prometheus NS/SERVICE: queries through the API server"),
    cluster("", "services", &["list"], "with --prometheus NS/SERVICE: its port, if none is given"),
];

/// The roles of a command as YAML; `grants` go into a ClusterRole and, those of one namespace, into a Role there.
#[must_use]
pub fn yaml(command: &str, grants: &[&[Grant]], cilium_namespace: &str, own_namespace: &str) -> String {
    let name = format!("staledp-{command}");
    let of = |scope: Scope| grants.iter().copied().flatten().filter(move |grant| grant.scope == scope);
    let scopes = [(Scope::CiliumNamespace, cilium_namespace), (Scope::OwnNamespace, own_namespace)];
    let roles = || scopes.into_iter().filter(|(scope, _)| of(*scope).next().is_some());
    let mut text = format!(
        "# The least permissions for `{} {command}`. Bind them to a user:\n\
         #   kubectl create clusterrolebinding {name} --clusterrole={name} --user=USER\n",
        program::name()
    );
    for (_, namespace) in roles() {
        let _ = writeln!(text, "#   kubectl create rolebinding {name} -n {namespace} --role={name} --user=USER");
    }
    if of(Scope::Cluster).any(|grant| grant.resource == "pods/exec") {
        text.push_str(
            "# pods/exec is a strong permission: it allows whatever the container is allowed. It can be narrowed to a Role in\n\
             # Cilium's namespace and in the namespaces of the pods named by --probe-pod.\n",
        );
    }
    text.push_str("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n");
    let _ = writeln!(text, "  name: {name}\nrules:");
    of(Scope::Cluster).for_each(|grant| rule(&mut text, grant));
    for (scope, namespace) in roles() {
        text.push_str("---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n");
        let _ = writeln!(text, "  name: {name}\n  namespace: {namespace}\nrules:");
        of(scope).for_each(|grant| rule(&mut text, grant));
    }
    text
}

fn rule(text: &mut String, grant: &Grant) {
    let group = if grant.group.is_empty() { r#""""# } else { grant.group };
    let _ = writeln!(text, "  # {}", grant.why);
    let _ = writeln!(text, "  - apiGroups: [{group}]\n    resources: [{}]", grant.resource);
    if let Some(name) = grant.name {
        let _ = writeln!(text, "    resourceNames: [{name}]");
    }
    let _ = writeln!(text, "    verbs: [{}]", grant.verbs.join(", "));
}
