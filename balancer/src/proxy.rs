//! What any engine does with a request, apart from moving its bytes.

pub(crate) mod edge;
pub(crate) mod exchange;
pub mod headers;
pub(crate) mod policy;
mod queue;
pub(crate) mod refuse;
pub(crate) mod strip;

pub(crate) use edge::Edge;
pub(crate) use exchange::{Ending, Exchange};
pub(crate) use policy::Policy;
pub(crate) use refuse::Refused;
