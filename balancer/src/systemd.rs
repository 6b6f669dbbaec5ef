//! What systemd is told: that the balancer is there, reads its configuration again, ends, is
//! another process now, and that it really works. Without systemd nobody is told.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::side::{Ground, Tasks};
use crate::worker::{Order, Orders};

/// It serves.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] says that it has.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// From now on that process is the balancer.
pub(crate) fn main_process(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}

/// Tells the watchdog that the balancer works, twice in its interval, where systemd wants to know.
pub(crate) fn watch(ground: &Ground, tasks: &mut Tasks) {
    if let Some(interval) = sd_notify::watchdog_enabled() {
        let workers = ground.workers.clone();
        tasks.spawn(|stop| watch_workers(workers, interval / 2, stop));
    }
}

/// This task speaks for the threads beside the traffic by running at all; workers are asked.
async fn watch_workers(workers: Vec<Orders>, every: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        match tokio::time::timeout(every, all_answer(&workers)).await {
            Ok(true) => tell(&[NotifyState::Watchdog]),
            Ok(false) => tracing::error!("a worker has ended: the watchdog is not told"),
            Err(_) => tracing::error!(?every, "a worker hangs: the watchdog is not told"),
        }
    }
}

async fn all_answer(workers: &[Orders]) -> bool {
    for worker in workers {
        let (reply, answered) = oneshot::channel();
        if worker.send(Order::Answer(reply)).is_err() || answered.await.is_err() {
            return false;
        }
    }
    true
}
