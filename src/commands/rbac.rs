//! `staledp rbac COMMAND`: the least rights that a command needs, as YAML.

use serde_json::Value;

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::screen::Format;
use crate::cli::{RbacArgs, RbacFor};
use crate::report::json;
use crate::rights;

/// Prints the roles.
pub(super) async fn run(args: RbacArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let RbacArgs { command, cilium_namespace, namespace } = args;
    let (name, grants): (_, &[_]) = match command {
        RbacFor::Diagnose => ("diagnose", &[rights::DIAGNOSE]),
        RbacFor::Symptoms => ("symptoms", &[rights::SYMPTOMS]),
        RbacFor::Gate => ("gate", &[rights::DIAGNOSE]),
        RbacFor::Risk => ("risk", &[rights::DIAGNOSE, rights::RISK]),
        RbacFor::Fix => ("fix", &[rights::DIAGNOSE, rights::FIX]),
        RbacFor::Watch => ("watch", &[rights::DIAGNOSE, rights::WATCH]),
    };
    let yaml = rights::yaml(name, grants, &cilium_namespace, &namespace);
    let text = match terminal.screen.format {
        Format::Json => json::json(&list(&yaml)?)?,
        _ => yaml,
    };
    terminal.print(text).await?;
    Ok(Exit::Healthy)
}

/// The roles as one Kubernetes list, as `kubectl get -o json` writes several objects.
fn list(yaml: &str) -> Result<Value, Error> {
    let roles = yaml.split("\n---\n").map(serde_saphyr::from_str::<Value>).collect::<Result<Vec<_>, _>>();
    let roles = roles.map_err(|error| Error::bug("cannot read the roles").because(error))?;
    Ok(serde_json::json!({"apiVersion": "v1", "kind": "List", "items": roles}))
}
