//! The form that runs, pauses or resumes a job of a cluster.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use muster_web_ui::view::View;

use super::Shared;
use super::act::{Refusal, refused};
use super::who::Visitor;
use super::wishes::{Fields, Wish, bad, grant};
use crate::cluster::wish::JobVerb;

/// What the form asks for.
#[derive(Debug, PartialEq, Eq)]
struct Act {
    cluster: String,
    job: String,
    verb: JobVerb,
}

/// Asks the cluster, and writes it down, refused or not.
pub(super) async fn act(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let act = Fields::of(&headers, &form, &visitor).and_then(Act::parse);
    let Act { cluster, job, verb } = match act {
        Ok(act) => act,
        Err(refusal) => return refused(&headers, refusal),
    };
    let wish = Wish {
        verb: verb.word(),
        target: format!("job {job} of {cluster}"),
        back: View::Job { cluster: cluster.clone(), job: job.clone() },
    };
    let asking = state.operators.clusters().job(&cluster, &job, verb);
    grant(&state, &visitor, &headers, wish, asking).await
}

// === impl Act ===

impl Act {
    fn parse(mut fields: Fields) -> Result<Act, Refusal> {
        let (cluster, job) = (fields.need("cluster")?, fields.need("job")?);
        let word = fields.need("verb")?;
        let verb = JobVerb::ALL.into_iter().find(|verb| verb.word() == word);
        let verb = verb.ok_or_else(|| {
            bad(format!("verb has the bad value {word:?}: run, pause and resume are possible"))
        })?;
        Ok(Act { cluster, job, verb })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_names_cluster_job_and_verb() {
        let read = |form: &str| Fields::read(form.as_bytes(), None).and_then(Act::parse);
        let (cluster, job) = ("shop".to_owned(), "report@one".to_owned());
        let act = read("cluster=shop&job=report%40one&verb=pause").unwrap();
        assert_eq!(act, Act { cluster, job, verb: JobVerb::Pause });
        assert_eq!(read("cluster=shop&verb=run").unwrap_err().1, "job: it is missing");
        let why = read("cluster=shop&job=report&verb=drop").unwrap_err().1;
        assert_eq!(why, "verb has the bad value \"drop\": run, pause and resume are possible");
    }
}
