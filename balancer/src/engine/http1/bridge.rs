//! Our end of the bridge: a request that Pingora speaks over a pipe goes to one node.
//!
//! Nothing is decided here but what concerns the node's connection: the other engine has gated and
//! chosen, counts and logs, and tries again or refuses where the pipe ends without an answer; it is
//! told why. A pipe carries one exchange; the connection behind it is the worker's, and goes back to its pool.

use std::rc::Rc;

use muster_http1::{Class, RequestHead};
use muster_routing::retry::{Failure, Verdict, judge};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::{Client, Next};
use super::connect::{Connected, NotConnected, connect};
use super::relay::{Ended, Failed, Relay, Relayed};
use super::request::Asker;
use super::stream::{Bridged, Stream};
use super::{Worker, answer};
use crate::engine::bridge::{BridgeConnect, Cause, Order};
use crate::proxy::exchange::Target;
use crate::proxy::headers::{self, Said, Seen};
use crate::proxy::{Exchange, Refused};
use crate::text::push_line;

/// Bytes that the pipe holds each way.
const PIPE: usize = 64 * 1024;

/// What becomes of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The whole answer is in it.
    Told,
    /// It ends without an answer, for this reason.
    Broken(Cause),
    /// It ends as it is, and the other engine sees that.
    Ended,
}

/// Serves the orders of this thread, for as long as its connections are served.
pub(crate) async fn run(mut worker: Rc<Worker>, mut orders: mpsc::Receiver<Order>) {
    // When this ends, what is on the bridge ends too.
    let mut crossings = JoinSet::new();
    while let Some(order) = orders.recv().await {
        while crossings.try_join_next().is_some() {}
        worker = worker.renewed().unwrap_or(worker);
        let worker = worker.clone();
        crossings.spawn_local(async move { cross(&worker, order).await });
    }
}

/// One request over the bridge.
async fn cross(worker: &Worker, order: Order) {
    let Order { wish, reply } = order;
    let BridgeConnect { target, within, is_fresh, caller, tls, broken } = wish;
    let timer = worker.clock.timer();
    let connected = match connect(worker, &timer, &target, is_fresh, within).await {
        Ok(connected) => connected,
        Err(NotConnected::Refused(error) | NotConnected::Ours(error)) => {
            // Who gave up meanwhile need not hear it.
            let _ = reply.send(Err(error));
            return;
        }
    };
    let (near, far) = tokio::io::duplex(PIPE);
    if reply.send(Ok(far)).is_err() {
        return;
    }
    let stream = Stream::Bridge(Box::new(Bridged { pipe: near, tls }));
    let mut client = Client::new(stream, caller, worker);
    let outcome = match client.next(worker).await {
        Next::Head(head) => serve(&mut client, *head, target, connected, worker).await,
        Next::Bad(bad) => Outcome::Broken(Cause::Refused(Refused::Malformed(bad))),
        Next::Over => Outcome::Ended,
    };
    match outcome {
        // The other engine may have to write all of the request before it reads the answer's end.
        Outcome::Told => answer::linger(client, worker, true).await,
        // Before the pipe ends, which is when it is looked for.
        Outcome::Broken(cause) => broken.leave(cause),
        Outcome::Ended => {}
    }
}

async fn serve(
    client: &mut Client,
    mut head: RequestHead,
    target: Target,
    mut connected: Connected,
    worker: &Worker,
) -> Outcome {
    // So that the other engine keeps nothing of a pipe.
    head.keep_alive = false;
    let asker = asker(client, &head, worker);
    let mut exchange = Exchange { target: Some(target), ..Exchange::new() };
    loop {
        let relay = match Relay::new(client, &head, &asker, worker, &exchange, connected) {
            Ok(relay) => relay,
            Err(refused) => return Outcome::Broken(Cause::Refused(refused)),
        };
        let failed = match relay.run().await {
            Ok(Relayed { ended: Ended::Done(_), .. }) => return Outcome::Told,
            Ok(Relayed { ended: Ended::Refused(refused), .. }) => {
                return Outcome::Broken(Cause::Refused(refused));
            }
            Ok(Relayed { ended: Ended::Cut, .. }) => return Outcome::Ended,
            Err(failed) => failed,
        };
        if !is_race(&failed, head.method.text(client.data()), &exchange) {
            return Outcome::Broken(Cause::Failed(failed.failure));
        }
        exchange.raced = true;
        let Some(target) = &exchange.target else { return Outcome::Ended };
        let within = worker.edge.policy.connect_within(&target.node.config);
        connected = match connect(worker, &client.timer, target, true, within).await {
            Ok(connected) => connected,
            Err(_) => return Outcome::Broken(Cause::Failed(Failure::Connect)),
        };
    }
}

/// Whether the node may just have closed a connection of the pool, which the other engine knows
/// nothing of: then the same node is asked once more on a new one.
fn is_race(failed: &Failed, method: &str, exchange: &Exchange) -> bool {
    let attempt = exchange.attempt(method, failed.replayable);
    attempt.is_some_and(|attempt| judge(&attempt, failed.failure) == Verdict::Afresh)
}

/// Who asks: the other engine has written what nodes are told of it into the head.
fn asker(client: &Client, head: &RequestHead, worker: &Worker) -> Asker {
    let data = client.data();
    let peer = client.address.ip();
    let (mut said, mut lines) = (Said::default(), Vec::new());
    for line in head.headers(data).filter(|line| line.class == Class::Forwarding) {
        said.note(line.name, line.value);
        push_line(line.name, line.value, &mut lines);
    }
    let seen = Seen { peer: Some(peer), is_tls: client.is_tls, host: None };
    // Where the peer is trusted these lines name the same client as those that it sent.
    let told = headers::told(seen, &said, &worker.edge.policy.trusted);
    Asker::new(told.client.unwrap_or(peer), told.is_tls(), lines)
}
