//! A shard of the nodes, for runs that share a fleet.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::error::Error;

/// A shard of the nodes: the `index`-th of `of`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// Which one, from 0.
    pub index: u32,
    /// Of how many; at least 1.
    pub of: u32,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            Some((_, of)) if of > 0 => Err(Error::usage(format!("shards count from 0: 0/{of} to {}/{of}", of - 1))),
            _ => Err(Error::usage("not a shard: write I/N, such as 0/4 for the first of four")),
        }
    }
}

impl Shard {
    /// Whether a node is in this shard: decided by its name alone, so that it stays there whatever other nodes come and go.
    #[must_use]
    pub fn holds(self, node: &str) -> bool {
        spread(node) % u64::from(self.of) == u64::from(self.index)
    }
}

/// A number that is the same for a name on every machine and in every version of this program: FNV-1a, then the
/// finalizer of MurmurHash3, since names of nodes differ in their last letters only.
#[must_use]
pub fn spread(name: &str) -> u64 {
    let mut hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}
