//! The form that has a queue's dead letters delivered again.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use muster_web_ui::view::View;

use super::Shared;
use super::act::{Refusal, refused};
use super::who::Visitor;
use super::wishes::{Fields, Wish, grant};

/// What the form asks for.
#[derive(Debug, PartialEq, Eq)]
struct Requeue {
    cluster: String,
    queue: String,
}

/// Asks the cluster, and writes it down, refused or not.
pub(super) async fn requeue(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let requeue = Fields::of(&headers, &form, &visitor).and_then(Requeue::parse);
    let Requeue { cluster, queue } = match requeue {
        Ok(requeue) => requeue,
        Err(refusal) => return refused(&headers, refusal),
    };
    let wish = Wish {
        verb: "requeue",
        target: format!("queue {queue} of {cluster}"),
        back: View::Queue { cluster: cluster.clone(), queue: queue.clone() },
    };
    let asking = state.operators.clusters().requeue(&cluster, &queue);
    grant(&state, &visitor, &headers, wish, asking).await
}

// === impl Requeue ===

impl Requeue {
    fn parse(mut fields: Fields) -> Result<Requeue, Refusal> {
        Ok(Requeue { cluster: fields.need("cluster")?, queue: fields.need("queue")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_names_cluster_and_queue() {
        let read = |form: &str| Fields::read(form.as_bytes(), None).and_then(Requeue::parse);
        let requeue = read("cluster=shop&queue=%2Fqueue%2Fmsg").unwrap();
        let (cluster, queue) = ("shop".to_owned(), "/queue/msg".to_owned());
        assert_eq!(requeue, Requeue { cluster, queue });
        assert_eq!(read("cluster=shop").unwrap_err().1, "queue: it is missing");
    }
}
