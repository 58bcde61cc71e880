//! This program's name and version.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tool {
    /// `staledp`.
    pub name: Cow<'static, str>,
    /// Its version.
    pub version: Cow<'static, str>,
}

impl Tool {
    /// This program.
    pub const THIS: Self = Self { name: Cow::Borrowed("staledp"), version: Cow::Borrowed(env!("CARGO_PKG_VERSION")) };
}
