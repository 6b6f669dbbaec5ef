//! The form that moves a singleton of a cluster to another node.

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
struct Move {
    cluster: String,
    singleton: String,
    /// None is where the policy puts it.
    node: Option<String>,
}

/// Asks the cluster, and writes it down, refused or not.
pub(super) async fn singleton(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let wish = Fields::of(&headers, &form, &visitor).and_then(Move::parse);
    let Move { cluster, singleton, node } = match wish {
        Ok(wish) => wish,
        Err(refusal) => return refused(&headers, refusal),
    };
    let wish = Wish {
        verb: "move",
        target: format!("singleton {singleton} of {cluster}"),
        back: View::Singleton { cluster: cluster.clone(), singleton: singleton.clone() },
    };
    let clusters = state.operators.clusters();
    let asking = clusters.move_singleton(&cluster, &singleton, node);
    grant(&state, &visitor, &headers, wish, asking).await
}

// === impl Move ===

impl Move {
    fn parse(mut fields: Fields) -> Result<Move, Refusal> {
        let (cluster, singleton) = (fields.need("cluster")?, fields.need("singleton")?);
        Ok(Move { cluster, singleton, node: fields.take("node") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_names_cluster_and_singleton_and_the_node_or_none() {
        let read = |form: &str| Fields::read(form.as_bytes(), None).and_then(Move::parse);
        let wish = read("token=x&cluster=shop&singleton=timer&node=two").unwrap();
        let (cluster, singleton) = ("shop".to_owned(), "timer".to_owned());
        assert_eq!(wish, Move { cluster, singleton, node: Some("two".to_owned()) });
        assert_eq!(read("cluster=shop&singleton=timer&node=").unwrap().node, None);
        assert_eq!(read("singleton=timer").unwrap_err().1, "cluster: it is missing");
    }
}
