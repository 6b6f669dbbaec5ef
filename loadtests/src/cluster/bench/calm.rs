//! Three members on a machine that is busy with other things: nobody may be taken for dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cluster::{Herd, Member, Plan, now};

/// Threads that do nothing, as fast as they can. Dropping it ends them.
struct Busy(Arc<AtomicBool>);

/// Keeps the machine busy with so many threads for so long. How many views members told meanwhile in
/// which somebody is missing.
///
/// # Errors
/// When the members do not come together, or are not together in the end.
pub async fn run(lasts: Duration, threads: usize) -> anyhow::Result<usize> {
    let herd = Herd::gather(Plan { count: 3, ..Plan::default() }).await?;
    let began = now();
    let busy = Busy::start(threads);
    tokio::time::sleep(lasts).await;
    drop(busy);
    herd.await_together().await?;
    let names = herd.names();
    let views = herd.members.iter().flat_map(Member::views);
    Ok(views.filter(|view| view.at >= began && !view.is_of(&names)).count())
}

impl Busy {
    fn start(threads: usize) -> Busy {
        let is_over = Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let is_over = is_over.clone();
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Busy(is_over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
