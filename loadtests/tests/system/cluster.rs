//! Clusters of real members under real faults; what their clients saw is judged by lincheck.

mod cuts;
mod hurts;
mod jobs;
mod judged;
mod kills;
mod queues;
mod singletons;
