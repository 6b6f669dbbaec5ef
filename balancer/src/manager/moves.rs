//! The form that moves a singleton of a cluster to another node.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use muster_web_ui::csrf::Csrf;
use muster_web_ui::view::View;

use super::Shared;
use super::act::{Refusal, checked, refused, see_other};
use super::who::Visitor;
use crate::audit::{Entry, Kind};
use crate::operate::{OperateError, Role};

/// Most fields of the form, and bytes of a name.
const MAX_FIELDS: usize = 4;
const MAX_NAME: usize = 256;

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
    let wish = checked(&headers).and_then(|()| Move::parse(&form, visitor.csrf.as_ref()));
    let Move { cluster, singleton, node } = match wish {
        Ok(wish) => wish,
        Err(refusal) => return refused(&headers, refusal),
    };
    let actor = &visitor.actor;
    let moved = match actor.role {
        Role::Operator => {
            let clusters = state.operators.clusters();
            let moved = clusters.move_singleton(&cluster, &singleton, node.clone()).await;
            moved.map_err(|why| (StatusCode::CONFLICT, why))
        }
        Role::Viewer => {
            let error = OperateError::NotAllowed(actor.role);
            Err((error.status(), error.to_string()))
        }
    };
    let target = format!("singleton {singleton} of {cluster}");
    let entry = Entry::new(Kind::Operator, actor.name.clone(), "move", &target);
    let entry = entry.from(actor.from.clone());
    match moved {
        Ok(done) => {
            state.operators.audit().record(entry.change("", &done));
            see_other(&View::Singleton { cluster, singleton }.path())
        }
        Err((status, why)) => {
            state.operators.audit().record(entry.refused(&why));
            refused(&headers, (status, why))
        }
    }
}

// === impl Move ===

impl Move {
    fn parse(form: &[u8], csrf: Option<&Csrf>) -> Result<Move, Refusal> {
        let mut fields = BTreeMap::new();
        for (at, (name, value)) in form_urlencoded::parse(form).enumerate() {
            if at >= MAX_FIELDS {
                return Err(bad(format!("the form has more than {MAX_FIELDS} fields")));
            }
            if name != "token" && value.len() > MAX_NAME {
                return Err(bad(format!("{name} has more than {MAX_NAME} bytes")));
            }
            fields.insert(name.into_owned(), value.into_owned());
        }
        let token = fields.remove("token").unwrap_or_default();
        if csrf.is_some_and(|csrf| !csrf.accepts(&token)) {
            let why = muster_web_ui::action::ActionError::Forged.to_string();
            return Err((StatusCode::FORBIDDEN, why));
        }
        let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_empty());
        let (cluster, singleton, node) = (take("cluster"), take("singleton"), take("node"));
        let missing = |name: &str| bad(format!("{name}: it is missing"));
        let cluster = cluster.ok_or_else(|| missing("cluster"))?;
        let singleton = singleton.ok_or_else(|| missing("singleton"))?;
        Ok(Move { cluster, singleton, node })
    }
}

fn bad(why: String) -> Refusal {
    (StatusCode::BAD_REQUEST, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_names_cluster_and_singleton_and_the_node_or_none() {
        let read = |form: &str| Move::parse(form.as_bytes(), None);
        let wish = read("token=x&cluster=shop&singleton=timer&node=two").unwrap();
        let (cluster, singleton) = ("shop".to_owned(), "timer".to_owned());
        assert_eq!(wish, Move { cluster, singleton, node: Some("two".to_owned()) });
        assert_eq!(read("cluster=shop&singleton=timer&node=").unwrap().node, None);
        let why = |form: &str| read(form).unwrap_err();
        assert_eq!(why("singleton=timer").1, "cluster: it is missing");
        assert_eq!(why(&format!("cluster={}", "x".repeat(257))).0, StatusCode::BAD_REQUEST);
        let csrf = Csrf::new(Default::default());
        let forged = Move::parse(b"cluster=shop&singleton=timer", Some(&csrf)).unwrap_err();
        assert_eq!(forged.0, StatusCode::FORBIDDEN);
    }
}
