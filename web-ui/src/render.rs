//! The HTML of the page: the templates filled with the model.
//!
//! The template engine escapes every value. The page works without its script and asks nothing
//! of another host. A page of many nodes shows them short, each with a link to a page of its own,
//! so that its size grows with the nodes and not with their contexts.
//!
//! What changes by itself stands between marks ([`MARK`]), one for each part that may change
//! alone: whoever looks at a live page is sent the parts that are new ([`parts`]).

mod charts;
mod rows;
mod tabs;
#[cfg(test)]
mod tests;

pub use tabs::{Change, change};

use std::borrow::Borrow;

use askama::Template;

use crate::action::{Form, Verb};
use crate::attention::{Attention, attention};
use crate::curl::{Reach, command};
use crate::effect::{Consequence, effect};
use crate::page::{ContextState, Event, Level, Node, NodeState, Page, Window};
use crate::text;
use crate::view::{Look, Only, View};
use charts::{Tile, tiles};
use rows::{Cut, Groups, Realm, contexts_of, events_of, nodes_of, realms};

/// Most contexts that a page of nodes shows with their verbs.
pub const CONTEXTS_SHOWN: usize = 120;

/// Most nodes that it shows with all their facts.
pub const NODES_SHOWN: usize = 24;

/// Most nodes of a context that are named.
const PLACES_SHOWN: usize = 12;

/// Most members of a cluster that are shown.
pub const MEMBERS_SHOWN: usize = 100;

/// What stands between two parts of a live page.
pub const MARK: &str = "<!--|-->";

/// Who looks, and what he may do.
#[derive(Debug, Clone)]
pub struct Viewer<'a> {
    /// His name; empty where the page is open to all who reach it.
    pub name: &'a str,
    /// The word of his role.
    pub role: &'a str,
    /// Whether verbs are his.
    pub can_act: bool,
    /// Whether he can log out.
    pub can_leave: bool,
    /// Whether nodes can be drained.
    pub can_drain: bool,
    /// The token of his forms.
    pub token: &'a str,
    /// The colours that he chose.
    pub theme: Theme,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the browser says.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// What is the same in all views: see `base.html`.
struct Frame<'a> {
    page: &'a Page,
    viewer: &'a Viewer<'a>,
    view: &'a View,
    look: &'a Look,
    /// The address of this view, to come back to.
    here: String,
    attention: Vec<Attention>,
}

/// The view as HTML; `None` for a node that is not there. [`View::Events`] and [`View::Config`]
/// have more to show than the model: see [`events`] and [`config`].
pub fn view(page: &Page, viewer: &Viewer<'_>, view: &View, look: &Look) -> Option<String> {
    let frame = Frame::new(page, viewer, view, look);
    Some(match view {
        View::Nodes => {
            let (groups, cut) = nodes_of(page, look);
            let shown: usize = groups.iter().map(|(_, nodes)| nodes.len()).sum();
            let contexts: usize =
                groups.iter().flat_map(|(_, nodes)| nodes).map(|node| node.context_count()).sum();
            let is_short = contexts > CONTEXTS_SHOWN || shown > NODES_SHOWN;
            written(&NodesHtml {
                tiles: tiles(&page.pace, Some(page)),
                groups,
                cut,
                is_short,
                frame,
            })
        }
        View::Node(route) => {
            let node = page.node(route)?;
            written(&NodeHtml { tiles: tiles(&node.pace, None), node, frame })
        }
        View::Contexts => {
            let (contexts, cut) = contexts_of(page, look);
            written(&ContextsHtml { contexts, cut, frame })
        }
        View::Topology => written(&TopologyHtml { realms: realms(page), frame }),
        View::Caches
        | View::Cache { .. }
        | View::Sessions
        | View::Deployment { .. }
        | View::Singletons
        | View::Singleton { .. }
        | View::Jobs
        | View::Job { .. }
        | View::Queues
        | View::Queue { .. }
        | View::Settings => return tabs::view(frame),
        View::Events => return Some(events(page, viewer, look, &[])),
        View::Config => return Some(config(page, viewer, "")),
    })
}

/// The events, the latest first: those of the balancer with those that clusters tell.
pub fn events(page: &Page, viewer: &Viewer<'_>, look: &Look, own: &[Event]) -> String {
    let events = events_of(page, look, own);
    written(&EventsHtml { events, frame: Frame::new(page, viewer, &View::Events, look) })
}

/// The configuration in effect; whoever hands it in has masked its secrets.
pub fn config(page: &Page, viewer: &Viewer<'_>, toml: &str) -> String {
    let look = Look::default();
    written(&ConfigHtml { toml, frame: Frame::new(page, viewer, &View::Config, &look) })
}

/// What a verb would do, with the button that does it.
pub fn confirm(page: &Page, viewer: &Viewer<'_>, form: &Form, reach: &Reach) -> String {
    let effect = effect(page, &form.action);
    let look = Look::default();
    written(&ConfirmHtml {
        form,
        title: title(form),
        consequences: effect.consequences(form.action.verb),
        curl: command(&form.action, reach),
        frame: Frame::new(page, viewer, &View::Nodes, &look),
    })
}

/// The curl commands for what an action is for: of its own verb and the others.
pub fn curl(page: &Page, viewer: &Viewer<'_>, form: &Form, reach: &Reach) -> String {
    let of = |verb: Verb| {
        let action = crate::action::Action::new(verb, form.action.target.clone());
        (verb, command(&action, reach))
    };
    let look = Look::default();
    written(&CurlHtml {
        subject: subject(form),
        commands: Verb::ALL.into_iter().map(of).collect(),
        login: reach.login,
        back: &form.back,
        frame: Frame::new(page, viewer, &View::Nodes, &look),
    })
}

/// The login, with what was wrong the last time.
pub fn login(product: &str, back: &str, wrong: &str, theme: Theme) -> String {
    written(&LoginHtml { product, back, wrong, theme })
}

/// The answer to what was refused, as HTML.
pub fn refusal(title: &str, message: &str) -> String {
    written(&RefusalHtml { title, message })
}

/// The parts of a page that change alone; the first and the last never do.
pub fn parts(html: &str) -> Vec<&str> {
    html.split(MARK).collect()
}

fn written(template: &impl Template) -> String {
    template.render().expect("writing text into a String cannot fail")
}

fn title(form: &Form) -> String {
    let verb = form.action.verb;
    match &form.action.target {
        crate::action::Target::Group(_) => {
            format!("{} all nodes of {}?", verb.label(), subject(form))
        }
        _ => format!("{} {}?", verb.label(), subject(form)),
    }
}

fn subject(form: &Form) -> String {
    use crate::action::Target;
    match &form.action.target {
        Target::Context { route, path, .. } => {
            format!("{} on {}", text::plain(path), text::plain(route))
        }
        Target::Node(route) => format!("node {}", text::plain(route)),
        Target::Group(Some(domain)) => format!("LBGroup {}", text::plain(domain)),
        Target::Group(None) => "the default LBGroup".to_owned(),
    }
}

// === the templates ===

#[derive(Template)]
#[template(path = "nodes.html", whitespace = "minimize")]
struct NodesHtml<'a> {
    frame: Frame<'a>,
    tiles: Vec<Tile>,
    groups: Groups<'a, &'a Node>,
    cut: Cut,
    is_short: bool,
}

#[derive(Template)]
#[template(path = "one.html", whitespace = "minimize")]
struct NodeHtml<'a> {
    frame: Frame<'a>,
    tiles: Vec<Tile>,
    node: &'a Node,
}

#[derive(Template)]
#[template(path = "contexts.html", whitespace = "minimize")]
struct ContextsHtml<'a> {
    frame: Frame<'a>,
    contexts: Vec<crate::page::Coverage<'a>>,
    cut: Cut,
}

#[derive(Template)]
#[template(path = "topology.html", whitespace = "minimize")]
struct TopologyHtml<'a> {
    frame: Frame<'a>,
    realms: Vec<Realm<'a>>,
}

#[derive(Template)]
#[template(path = "events.html", whitespace = "minimize")]
struct EventsHtml<'a> {
    frame: Frame<'a>,
    events: Vec<&'a Event>,
}

#[derive(Template)]
#[template(path = "config.html")]
struct ConfigHtml<'a> {
    frame: Frame<'a>,
    toml: &'a str,
}

#[derive(Template)]
#[template(path = "confirm.html", whitespace = "minimize")]
struct ConfirmHtml<'a> {
    frame: Frame<'a>,
    form: &'a Form,
    title: String,
    consequences: Vec<Consequence>,
    curl: String,
}

#[derive(Template)]
#[template(path = "curl.html")]
struct CurlHtml<'a> {
    frame: Frame<'a>,
    subject: String,
    commands: Vec<(Verb, String)>,
    login: crate::curl::Login,
    back: &'a str,
}

#[derive(Template)]
#[template(path = "login.html", whitespace = "minimize")]
struct LoginHtml<'a> {
    product: &'a str,
    back: &'a str,
    wrong: &'a str,
    theme: Theme,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalHtml<'a> {
    title: &'a str,
    message: &'a str,
}

// === impl Frame ===

impl<'a> Frame<'a> {
    fn new(page: &'a Page, viewer: &'a Viewer<'a>, view: &'a View, look: &'a Look) -> Frame<'a> {
        let here = format!("{}{}", view.path(), look.query());
        Frame { page, viewer, view, look, here, attention: attention(page) }
    }

    /// The address of the same view, seen otherwise.
    fn seen(&self, look: impl Borrow<Look>) -> String {
        format!("{}{}", self.view.path(), look.borrow().query())
    }

    fn is_nodes(&self) -> bool {
        *self.view == View::Nodes
    }

    /// The gravest that the sentences have; `note` where all is well.
    fn gravest(&self) -> Level {
        self.attention.iter().map(|one| one.level).min().unwrap_or(Level::Info)
    }

    fn release(&self) -> String {
        text::plain(&self.page.release())
    }

    fn title(&self) -> String {
        let nodes = self.page.nodes().count();
        format!("{}: {} of {nodes} nodes up", self.view.label(), self.page.nodes_up())
    }

    /// The states that nodes are in, with their counts, the worst first.
    fn states(&self) -> Vec<(Only, usize)> {
        let count = |state| (Only::State(state), self.page.nodes_in(state));
        NodeState::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
    }

    fn chooses(&self, only: &Only) -> bool {
        self.look.only == *only
    }

    /// Where a form comes back to, unless it is the first view.
    fn back(&self) -> Option<&str> {
        (self.here != "/").then_some(self.here.as_str())
    }
}

// === impl ConfirmHtml ===

impl ConfirmHtml<'_> {
    /// What stands in the form beside its button and its deadline.
    fn hidden(&self) -> Vec<(&'static str, String)> {
        let own = self.form.action.verb.word();
        let mut fields = self.form.action.fields();
        fields.retain(|(name, _)| *name != own && *name != "deadline");
        fields
    }

    /// The value of its button.
    fn value(&self) -> String {
        let own = self.form.action.verb.word();
        let found = self.form.action.fields().into_iter().find(|(name, _)| *name == own);
        found.map(|(_, value)| value).unwrap_or_default()
    }
}

// === impl Theme ===

impl Theme {
    /// All of them.
    pub const ALL: [Theme; 3] = [Theme::System, Theme::Light, Theme::Dark];

    /// The word of the cookie.
    pub fn word(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// The theme of a word; any other word is the browser's wish.
    pub fn from_word(word: &str) -> Theme {
        Theme::ALL.into_iter().find(|theme| theme.word() == word).unwrap_or_default()
    }

    /// The one that a press of the button leads to.
    fn next(self) -> Theme {
        match self {
            Theme::System => Theme::Dark,
            Theme::Dark => Theme::Light,
            Theme::Light => Theme::System,
        }
    }
}

// === impl ContextState ===

impl ContextState {
    /// The verbs that would change something.
    pub(crate) fn verbs(self) -> [Verb; 2] {
        match self {
            ContextState::Enabled => [Verb::Disable, Verb::Stop],
            ContextState::Disabled => [Verb::Enable, Verb::Stop],
            ContextState::Stopped => [Verb::Enable, Verb::Disable],
        }
    }
}
