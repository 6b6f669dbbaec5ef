//! How links come about: somebody is dialled, or dials.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use muster_cluster::{MemberId, NodeId, Refusal};
use muster_grid::{Event, Wire};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::inner::Flush;
use super::read;
use super::shared::Shared;
use crate::channel::book::Dialled;
use crate::channel::conn::Conn;
use crate::channel::greet::NoLink;
use crate::channel::hello::{Hello, Lane, Refused, taken};
use crate::channel::outgoing::Outgoing;
use crate::channel::service;
use crate::channel::stream::Stream;

/// How long a peer's machine may be silent before the kernel asks it, and how often it asks.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// After an error of the listener, so that a process without file descriptors does not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection whose first words are said.
pub(crate) struct Met {
    pub(crate) stream: Stream,
    pub(crate) hello: Hello,
    /// The version in which both write.
    pub(crate) version: u8,
    pub(crate) lane: Lane,
    /// The life that this node said it was.
    pub(crate) said: MemberId,
    /// Whether this node dialled it.
    pub(crate) is_dialled: bool,
}

/// Accepts until the node stops.
pub(crate) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, from)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(permit) = shared.greeting.clone().try_acquire_owned() else {
            shared.not_linked(&from.ip().to_string(), "too many connections say nothing");
            continue;
        };
        let task = shared.clone();
        shared.tasks.spawn(async move {
            accepted_one(&task, stream, from).await;
            drop(permit);
        });
    }
}

async fn accepted_one(shared: &Arc<Shared>, stream: TcpStream, from: SocketAddr) {
    let wait = shared.settings.limits.greeting;
    let met = tokio::select! {
        () = shared.stop.cancelled() => return,
        met = timeout(wait, accept(shared, stream)) => met,
    };
    match met.unwrap_or(Err(NoLink::Late)) {
        Ok(met) => shared.link(met),
        Err(why) => no_link(shared, &from.ip().to_string(), why),
    }
}

async fn accept(shared: &Arc<Shared>, stream: TcpStream) -> Result<Met, NoLink> {
    prepare(&stream, shared.settings.limits.stalled)?;
    let ours = shared.hello(Lane::Calls);
    let said = ours.id();
    let asking = shared.clone();
    let objection = move |theirs: Hello| -> Pin<Box<dyn Future<Output = _> + Send>> {
        let shared = asking.clone();
        Box::pin(async move { in_the_way(&shared, &theirs).await })
    };
    let accepted = Stream::accepted(stream, &shared.security, ours, &objection);
    let (stream, (hello, version)) = accepted.await?;
    let lane = hello.lane;
    Ok(Met { stream, hello, version, lane, said, is_dialled: false })
}

/// Dials, and exchanges the first words.
///
/// # Errors
/// See [`NoLink`].
pub(crate) async fn dial(shared: &Arc<Shared>, address: &str, lane: Lane) -> Result<Met, NoLink> {
    let ours = shared.hello(lane);
    let said = ours.id();
    let stream = TcpStream::connect(address).await?;
    prepare(&stream, shared.settings.limits.stalled)?;
    let (stream, (hello, version)) = Stream::dialled(stream, &shared.security, ours).await?;
    Ok(Met { stream, hello, version, lane, said, is_dialled: true })
}

/// Dials whom the book says, until the node stops.
pub(crate) async fn keep_dialling(shared: Arc<Shared>) {
    loop {
        let due = shared.book.lock().due(shared.now(), |node, lane| shared.links.has(node, lane));
        for (address, lane) in due {
            let task = shared.clone();
            shared.tasks.spawn(async move {
                let dialled = dial_one(&task, &address, lane).await;
                task.book.lock().done(&address, dialled, task.now());
                task.dial.notify_one();
            });
        }
        // Whatever is due later is looked at again soon enough.
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.dial.notified() => {}
            () = sleep(PAUSE) => {}
        }
    }
}

async fn dial_one(shared: &Arc<Shared>, address: &str, lane: Lane) -> Dialled {
    let wait = shared.settings.limits.greeting;
    let met = tokio::select! {
        () = shared.stop.cancelled() => return Dialled::Failed,
        met = timeout(wait, dial(shared, address, lane)) => met,
    };
    match met.unwrap_or(Err(NoLink::Late)) {
        Ok(met) => {
            if let Some(why) = in_the_way(shared, &met.hello).await {
                no_link(shared, address, NoLink::Refuse(why));
                return Dialled::Failed;
            }
            let node = met.hello.id().node;
            shared.link(met);
            Dialled::Linked(node)
        }
        Err(NoLink::Oneself) => Dialled::Oneself,
        Err(why) => {
            no_link(shared, address, why);
            Dialled::Failed
        }
    }
}

/// Why a process is not linked that has the id of another one which is linked and alive: found out
/// by asking that one.
async fn in_the_way(shared: &Arc<Shared>, hello: &Hello) -> Option<Refused> {
    let limits = &shared.settings.limits;
    let Some(other) = shared.links.hello(NodeId(hello.node)) else {
        let is_full = shared.links.len() >= limits.most_peers;
        return is_full.then_some(Refused::Full);
    };
    if other.boot == hello.boot {
        return None;
    }
    let answer = timeout(limits.redial, dial(shared, &other.address, Lane::Calls)).await;
    match answer {
        Ok(Ok(met)) if met.hello.boot == other.boot => Some(taken(&other)),
        _ => None,
    }
}

/// Small frames go at once, and a machine that is gone is noticed.
fn prepare(stream: &TcpStream, stalled: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(stalled))?;
    let _ = stalled;
    Ok(())
}

fn no_link(shared: &Arc<Shared>, about: &str, why: NoLink) {
    match why {
        // Bytes that are no TLS, a certificate that is not good.
        NoLink::Io(ref error) if error.kind() == ErrorKind::InvalidData => {
            shared.not_linked(about, &why.to_string());
        }
        NoLink::Io(_) | NoLink::Late | NoLink::Oneself => {
            debug!(peer = about, %why, "no link");
        }
        NoLink::BadHello(_) | NoLink::Refuse(_) => shared.not_linked(about, &why.to_string()),
        NoLink::Refused(ref refused) | NoLink::WeAreTheCopy(ref refused) => {
            shared.not_linked(about, &why.to_string());
            if let Refused::IdTaken { node, .. } = refused {
                shared.is_a_copy(NodeId(*node));
            }
        }
    }
}

impl Shared {
    /// The connection carries frames from now on.
    pub(crate) fn link(self: &Arc<Self>, met: Met) {
        let limits = &self.settings.limits;
        let Met { stream, hello, version, lane, said, is_dialled } = met;
        let (source, sink) = stream.into_halves();
        let out = Outgoing::new(sink, limits.most_queued, limits.most_frame);
        let is_preferred = (said.node < hello.id().node) == is_dialled;
        let process = (hello.id(), hello.boot);
        let conn = Arc::new(Conn::new(lane, process, version, is_preferred, out));
        debug!(peer = %hello.id(), name = hello.name, ?lane, is_dialled, version, "linked");
        let node = conn.peer;
        {
            let mut book = self.book.lock();
            book.found(&hello.address, Some(node), self.now());
        }
        self.with(Flush::Now, |inner, now| {
            let is_first = lane == Lane::Calls && !self.links.has(node, lane);
            self.links.add(&conn, hello);
            let me = self.state.borrow().me;
            if me != said {
                // Renewed between the first words and now.
                let incarnation = me.incarnation.to_le_bytes();
                let sent = conn.out.append(service::LINK, service::LINK_RENEWED, |buffer| {
                    buffer.extend_from_slice(&incarnation);
                });
                if let Ok((true, _)) = sent {
                    inner.out.dirty.push(conn.clone());
                }
            }
            if lane == Lane::Calls {
                inner.out.dirty.extend(self.links.introduce(&conn));
            }
            let hint = muster_cluster::Event::Hint(node);
            inner.core.handle(Event::Cluster(hint), now);
            if is_first {
                inner.core.handle(Event::Linked(node), now);
            }
        });
        let stalled = limits.stalled;
        let writing = conn.clone();
        self.tasks.spawn(async move { writing.out.run(stalled).await });
        self.tasks.spawn(read::run(self.clone(), conn, source));
        if self.stop.is_cancelled() {
            self.links.close();
        }
    }

    /// Another process has this node's id and stays.
    fn is_a_copy(self: &Arc<Self>, node: NodeId) {
        self.with(Flush::Now, |inner, now| {
            let id = inner.core.membership().me();
            if id.node != node {
                return;
            }
            // In the words of the member that would have refused it.
            let from = MemberId { node: NodeId(node.0 ^ 1), incarnation: 1 };
            let message = muster_cluster::Message::Refused { id, why: Refusal::IdTaken(node) };
            inner.core.handle(Event::Wire { from, wire: Wire::Cluster(Box::new(message)) }, now);
        });
    }
}
