//! Who moves the bytes. Every policy is in `proxy`; an engine is a thin shell around it.

pub(crate) mod pingora;
