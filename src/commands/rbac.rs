//! `staledp rbac COMMAND`: the least rights that a command needs, as YAML.

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::{RbacArgs, RbacFor};
use crate::rights;

/// Prints the roles.
pub(super) async fn run(args: RbacArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let RbacArgs { command, cilium_namespace, namespace } = args;
    let (name, grants): (_, &[_]) = match command {
        RbacFor::Diagnose => ("diagnose", &[rights::DIAGNOSE]),
        RbacFor::Symptoms => ("symptoms", &[rights::SYMPTOMS]),
        RbacFor::Fix => ("fix", &[rights::DIAGNOSE, rights::FIX]),
        RbacFor::Watch => ("watch", &[rights::DIAGNOSE, rights::WATCH]),
    };
    terminal.print(rights::yaml(name, grants, &cilium_namespace, &namespace)).await?;
    Ok(Exit::Healthy)
}
