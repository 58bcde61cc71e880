//! A credential that was typed: it can be used, and is never shown.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A credential. Its `Debug` form hides it, so that no log and no panic shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The credential itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_not_shown() {
        let secret: Secret = "hunter2".parse().unwrap();
        assert_eq!((format!("{secret:?}").as_str(), secret.reveal()), ("<redacted>", "hunter2"));
    }
}
