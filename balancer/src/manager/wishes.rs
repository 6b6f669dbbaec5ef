//! Forms that ask something of a cluster of back ends: their fields, and what becomes of a wish.

use std::collections::BTreeMap;

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use muster_web_ui::action::ActionError;
use muster_web_ui::csrf::Csrf;
use muster_web_ui::view::View;

use super::ManagerState;
use super::act::{Refusal, checked, refused, see_other};
use super::who::Visitor;
use crate::audit::{Entry, Kind};
use crate::operate::{OperateError, Role};

/// Most fields of such a form.
const MAX_FIELDS: usize = 8;

/// Most bytes of a value; longer than any name or value that a cluster takes.
const MAX_VALUE: usize = 1_024;

/// The fields of a form by name, without those that are empty.
#[derive(Debug)]
pub(super) struct Fields(BTreeMap<String, String>);

/// What somebody wants.
pub(super) struct Wish {
    /// The word of the audit log.
    pub(super) verb: &'static str,
    /// Of what.
    pub(super) target: String,
    /// Where the page goes on when it is done.
    pub(super) back: View,
}

// === impl Fields ===

impl Fields {
    /// Reads a form and checks that it is ours. Without `csrf` its sender has shown by other means
    /// that it is no foreign page, or it changes nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(form: &[u8], csrf: Option<&Csrf>) -> Result<Fields, Refusal> {
        let mut fields = BTreeMap::new();
        for (at, (name, value)) in form_urlencoded::parse(form).enumerate() {
            if at >= MAX_FIELDS {
                return Err(bad(format!("the form has more than {MAX_FIELDS} fields")));
            }
            if value.len() > MAX_VALUE {
                return Err(bad(format!("{name} has more than {MAX_VALUE} bytes")));
            }
            if !value.is_empty() {
                fields.insert(name.into_owned(), value.into_owned());
            }
        }
        let token = fields.remove("token").unwrap_or_default();
        match csrf.is_some_and(|csrf| !csrf.accepts(&token)) {
            true => Err((StatusCode::FORBIDDEN, ActionError::Forged.to_string())),
            false => Ok(Fields(fields)),
        }
    }

    /// The same of a request that is no foreign page's.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of(
        headers: &HeaderMap,
        form: &[u8],
        visitor: &Visitor,
    ) -> Result<Fields, Refusal> {
        checked(headers)?;
        Fields::read(form, visitor.csrf.as_ref())
    }

    /// A field that may be left out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// That it is not.
    pub(super) fn need(&mut self, name: &str) -> Result<String, Refusal> {
        self.take(name).ok_or_else(|| bad(format!("{name}: it is missing")))
    }
}

/// A form that is wrong.
pub(super) fn bad(why: String) -> Refusal {
    (StatusCode::BAD_REQUEST, why)
}

/// Asks the cluster where whoever wants it may, and writes it down, refused or not.
pub(super) async fn grant(
    state: &ManagerState,
    visitor: &Visitor,
    headers: &HeaderMap,
    wish: Wish,
    asking: impl Future<Output = Result<String, String>>,
) -> Response {
    let actor = &visitor.actor;
    let done = match actor.role {
        Role::Operator => asking.await.map_err(|why| (StatusCode::CONFLICT, why)),
        Role::Viewer => {
            let error = OperateError::NotAllowed(actor.role);
            Err((error.status(), error.to_string()))
        }
    };
    let entry = Entry::new(Kind::Operator, actor.name.clone(), wish.verb, &wish.target);
    let entry = entry.from(actor.from.clone());
    match done {
        Ok(done) => {
            state.operators.audit().record(entry.change("", &done));
            see_other(&wish.back.path())
        }
        Err((status, why)) => {
            state.operators.audit().record(entry.refused(&why));
            refused(headers, (status, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_ours_and_its_fields_are_bounded() {
        let read = |form: &str| Fields::read(form.as_bytes(), None);
        let mut fields = read("token=x&cluster=shop&node=&job=a+b").unwrap();
        assert_eq!(fields.need("cluster").as_deref(), Ok("shop"));
        assert_eq!((fields.take("node"), fields.take("token")), (None, None));
        assert_eq!(fields.need("job").as_deref(), Ok("a b"));
        assert_eq!(fields.need("job").unwrap_err().1, "job: it is missing");
        let why = |form: &str| read(form).unwrap_err();
        assert_eq!(why(&format!("key={}", "x".repeat(1_025))).1, "key has more than 1024 bytes");
        assert_eq!(why(&"a=b&".repeat(9)).0, StatusCode::BAD_REQUEST);
        let csrf = Csrf::new(Default::default());
        let forged = Fields::read(b"cluster=shop&job=report", Some(&csrf)).unwrap_err();
        assert_eq!(forged.0, StatusCode::FORBIDDEN);
        let ours = format!("cluster=shop&token={}", csrf.token());
        assert!(Fields::read(ours.as_bytes(), Some(&csrf)).is_ok());
    }
}
