//! The form that changes a setting of a cluster, and the question before it.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use muster_protocol::cluster::settings::{SettingWish, UnsetWish};
use muster_web_ui::page::Window;
use muster_web_ui::render::{self, Change};
use muster_web_ui::view::{View, encoded};

use super::act::{Refusal, refused, see_other};
use super::who::Visitor;
use super::wishes::{Fields, Wish, bad, grant};
use super::{Shared, wants_html};

/// What the form asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    change: Change,
    /// Only where the settings still have this version.
    if_version: Option<u64>,
    /// Whether whoever asks has read what it does.
    is_confirmed: bool,
}

/// Asks the cluster, and writes it down, refused or not. A browser whose user has not read what it
/// does is led there first; a tool is taken at its word.
pub(super) async fn change(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let asked = Fields::of(&headers, &form, &visitor).and_then(Asked::parse);
    let Asked { change, if_version, is_confirmed } = match asked {
        Ok(asked) => asked,
        Err(refusal) => return refused(&headers, refusal),
    };
    if wants_html(&headers) && !is_confirmed {
        return see_other(&question(&change));
    }
    let Change { cluster, key, value } = change;
    let wish = Wish {
        verb: if value.is_some() { "set" } else { "unset" },
        target: format!("setting {key} of {cluster}"),
        back: View::Settings,
    };
    let (clusters, by) = (state.operators.clusters(), visitor.actor.name.to_string());
    let asking = async {
        match value {
            Some(value) => {
                clusters.set(&cluster, &key, &SettingWish { value, by, if_version }).await
            }
            None => clusters.unset(&cluster, &key, &UnsetWish { by, if_version }).await,
        }
    };
    grant(&state, &visitor, &headers, wish, asking).await
}

/// What a change would do, with the button that does it. Reads only.
pub(super) async fn confirm(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let asked = match Fields::read(query.as_bytes(), None).and_then(Asked::parse) {
        Ok(asked) => asked,
        Err(refusal) => return refused(&headers, refusal),
    };
    let page = state.page(Window::default());
    match render::change(&page, &state.viewer(&visitor, &headers), &asked.change) {
        Some(html) => Html(html).into_response(),
        None => {
            let why = format!("there is no cluster {:?} with settings", asked.change.cluster);
            refused(&headers, (StatusCode::NOT_FOUND, why))
        }
    }
}

fn question(change: &Change) -> String {
    let Change { cluster, key, value } = change;
    let what = match value {
        Some(value) => format!("value={}", encoded(value)),
        None => "unset=yes".to_owned(),
    };
    format!("/settings/confirm?cluster={}&key={}&{what}", encoded(cluster), encoded(key))
}

// === impl Asked ===

impl Asked {
    fn parse(mut fields: Fields) -> Result<Asked, Refusal> {
        let (cluster, key) = (fields.need("cluster")?, fields.need("key")?);
        let value = match fields.take("unset").is_some_and(|word| word == "yes") {
            true => None,
            false => Some(fields.need("value")?),
        };
        let version = |text: String| {
            let told = |_| bad(format!("version has the bad value {text:?}: it is no number"));
            text.parse().map_err(told)
        };
        Ok(Asked {
            change: Change { cluster, key: key.trim().to_owned(), value },
            if_version: fields.take("version").map(version).transpose()?,
            is_confirmed: fields.take("confirmed").is_some_and(|word| word == "yes"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Asked, Refusal> {
        Fields::read(form.as_bytes(), None).and_then(Asked::parse)
    }

    #[test]
    fn a_form_names_cluster_key_and_value_or_that_it_is_unset() {
        let asked = read("cluster=shop&key=+a.b+&value=5&version=7&confirmed=yes").unwrap();
        let (cluster, key, value) = ("shop".to_owned(), "a.b".to_owned(), Some("5".to_owned()));
        let change = Change { cluster, key, value };
        assert_eq!(asked, Asked { change, if_version: Some(7), is_confirmed: true });
        let unset = read("cluster=shop&key=a.b&unset=yes").unwrap();
        assert_eq!((unset.change.value, unset.is_confirmed), (None, false));
        for (form, why) in [
            ("key=a&value=1", "cluster: it is missing"),
            ("cluster=shop&value=1", "key: it is missing"),
            ("cluster=shop&key=a", "value: it is missing"),
            (
                "cluster=shop&key=a&value=1&version=x",
                "version has the bad value \"x\": it is no number",
            ),
        ] {
            assert_eq!(read(form).unwrap_err(), bad(why.to_owned()), "{form}");
        }
    }

    #[test]
    fn the_question_asks_for_what_the_form_asked_for() {
        for form in ["cluster=a%26b&key=x.y&value=1+2%25", "cluster=a&key=x.y&unset=yes"] {
            let asked = read(form).unwrap();
            let question = question(&asked.change);
            let (path, query) = question.split_once('?').unwrap();
            assert_eq!((path, read(query).unwrap()), ("/settings/confirm", asked));
        }
    }
}
