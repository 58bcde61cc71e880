//! One node: gather, check, judge; many nodes: how many at once.
