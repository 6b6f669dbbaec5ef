//! The rules of the balancer.
