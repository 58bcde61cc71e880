//! Which of a node's names SSH connects to.

use clap::ValueEnum;

/// Which of a node's names SSH connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SshAddress {
    /// The node's name, as `ssh NODE` does
    Name,
    /// Its InternalIP
    InternalIp,
    /// Its ExternalIP
    ExternalIp,
}
