//! Messages to listeners: a frame to each other member, whoever listens there.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::MemberId;
use tokio_util::sync::CancellationToken;

use super::frame::{decode_news, encode_news};
use crate::channel::{Lane, service};
use crate::engine::local::Listeners;
use crate::engine::topics::{Subscription, Topics};
use crate::node::{FrameHandler, Node};

/// Messages to listeners.
pub(super) struct News {
    node: Node,
    listeners: Listeners,
    closed: CancellationToken,
}

// === impl News ===

impl News {
    pub(super) fn start(node: &Node, closed: CancellationToken) -> Arc<Self> {
        let news = Self { node: node.clone(), listeners: Listeners::default(), closed };
        let news = Arc::new(news);
        node.serve(service::TOPICS, Arc::new(Ear(Arc::downgrade(&news))));
        news
    }

    pub(super) fn close(&self) {
        self.listeners.close();
    }
}

#[async_trait]
impl Topics for News {
    async fn publish(&self, topic: &str, message: Bytes) {
        if self.closed.is_cancelled() {
            return;
        }
        let Some(frame) = encode_news(topic, &message) else {
            return tracing::warn!(bytes = topic.len(), "a topic's name is too long: not sent");
        };
        let (me, others) = {
            let state = self.node.state();
            let state = state.borrow();
            let members = state.view.iter().flat_map(|view| &view.members).map(|member| member.id);
            (state.me, members.filter(|id| *id != state.me).collect::<Vec<_>>())
        };
        self.listeners.deliver(me, topic, &message);
        for member in others {
            // At most once: who is not linked or too far behind misses it.
            let sent = self.node.send(member.node, service::TOPICS, 0, Lane::Calls, &frame);
            if let Err(why) = sent {
                tracing::debug!(%member, %why, "a message to listeners was not sent");
            }
        }
    }

    async fn subscribe(&self, topic: &str) -> Subscription {
        let subscription = self.listeners.subscribe(topic);
        if self.closed.is_cancelled() {
            self.listeners.close();
        }
        subscription
    }
}

/// Hears frames; it does not keep the engine alive.
struct Ear(Weak<News>);

impl FrameHandler for Ear {
    fn frame(&self, from: MemberId, _: u64, payload: Bytes) {
        if let (Some(news), Some((topic, message))) = (self.0.upgrade(), decode_news(&payload)) {
            news.listeners.deliver(from, topic, &message);
        }
    }
}
