//! Text of `cilium-dbg` into values: text in, values out, nothing else.
