//! Stores of sessions: what every one of them promises, in memory, in PostgreSQL and in Redis, and
//! what sessions are with a real one beside them.

#[cfg(feature = "system")]
mod real;
mod suite;

#[tokio::test]
async fn the_store_in_memory_keeps_what_a_store_promises() {
    suite::check(&muster_agent::session::MemoryStore::new()).await;
}
