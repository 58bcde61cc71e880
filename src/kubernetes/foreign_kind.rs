//! Kinds of objects that a cluster may or may not have installed: custom resources of other projects.

/// A kind of object that need not be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignKind {
    /// The API group.
    pub group: &'static str,
    /// The resource, in the plural.
    pub resource: &'static str,
    /// The kind.
    pub kind: &'static str,
}
