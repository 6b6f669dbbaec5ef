//! After a close: one redial says whether the process is gone.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use muster_cluster::{Event, MemberId};
use tokio::time::{sleep, timeout};

use super::inner::Flush;
use super::join::{self, Met};
use super::shared::Shared;
use crate::channel::greet::NoLink;
use crate::channel::hello::Lane;

/// Between two tries, when a connection was reset: its process was ending just then.
const PAUSE: Duration = Duration::from_millis(5);

impl Shared {
    /// Dials a life once more, and tells the core what came of it.
    pub(crate) fn redial(self: &Arc<Self>, id: MemberId) {
        let shared = self.clone();
        self.tasks.spawn(async move {
            let wait = shared.settings.limits.redial;
            let event = tokio::select! {
                () = shared.stop.cancelled() => return,
                event = timeout(wait, redialled(&shared, id)) => event,
            };
            let event = event.unwrap_or(Event::RedialUnanswered(id));
            shared.with(Flush::Now, |inner, now| {
                let is_gone = matches!(event, Event::RedialRefused(_));
                inner.core.handle(muster_grid::Event::Cluster(event), now);
                if is_gone {
                    // The next view is proposed by a beat: this one does not wait for it.
                    inner.core.handle(muster_grid::Event::Cluster(Event::Tick), now);
                }
            });
        });
    }

    fn address(&self, id: MemberId) -> Option<String> {
        let state = self.state.borrow();
        let member = state.view.as_ref().and_then(|view| view.member(id.node));
        let address = member.map(|member| member.address.to_string()).filter(|a| !a.is_empty());
        address.or_else(|| self.book.lock().address(id.node))
    }
}

async fn redialled(shared: &Arc<Shared>, id: MemberId) -> Event {
    let Some(address) = shared.address(id) else { return Event::RedialUnanswered(id) };
    loop {
        match join::dial(shared, &address, Lane::Calls).await {
            Ok(met) => return answered(shared, id, met),
            // It asked to be told apart from its copy: somebody lives there.
            Err(NoLink::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                return Event::RedialRefused(id);
            }
            Err(NoLink::Io(error)) if is_ending(error.kind()) => sleep(PAUSE).await,
            Err(_) => return Event::RedialUnanswered(id),
        }
    }
}

fn answered(shared: &Arc<Shared>, id: MemberId, met: Met) -> Event {
    let life = met.hello.id();
    if life.node != id.node {
        // Another process took the address. What became of the first one is not known.
        return Event::RedialUnanswered(id);
    }
    if !shared.links.has(life.node, Lane::Calls) {
        shared.link(met);
    }
    // Another life of the node: this one has ended.
    if life == id { Event::RedialReached(id) } else { Event::RedialRefused(id) }
}

fn is_ending(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe)
}
