//! The HTML of the page: the templates filled with a [`Page`].
//!
//! The template engine escapes every value. The page works without its script and asks nothing
//! of another host. A page of many contexts shows those of one node at a time, so that its size
//! grows with the nodes and not with their contexts.

use askama::Template;

use crate::action::Verb;
use crate::csrf::Csrf;
use crate::page::{ContextState, Node, Page};
use crate::text;

/// Most contexts that a page shows all at once.
pub const CONTEXTS_SHOWN: usize = 200;

/// The page as HTML. `open` names the node whose contexts are shown where there are more than
/// [`CONTEXTS_SHOWN`]; below that all are.
pub fn html(page: &Page, csrf: &Csrf, open: Option<&str>) -> String {
    let shows_all = page.context_count() <= CONTEXTS_SHOWN;
    let template = PageHtml { page, token: csrf.token(), open, shows_all };
    template.render().expect("writing text into a String cannot fail")
}

/// The answer to a form that was refused, as HTML.
pub fn refusal(title: &str, message: &str) -> String {
    let template = RefusalHtml { title, message };
    template.render().expect("writing text into a String cannot fail")
}

#[derive(Template)]
#[template(path = "page.html", whitespace = "minimize")]
struct PageHtml<'a> {
    page: &'a Page,
    token: &'a str,
    open: Option<&'a str>,
    shows_all: bool,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalHtml<'a> {
    title: &'a str,
    message: &'a str,
}

// === impl PageHtml ===

impl PageHtml<'_> {
    fn shows_contexts(&self, node: &Node) -> bool {
        self.shows_all || self.open == Some(&node.route)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::action::{Action, Target};
    use crate::page::samples::{node, page};
    use crate::page::{Context, Load, NodeState, VirtualHost};

    fn csrf() -> Csrf {
        Csrf::new([7; crate::csrf::KEY_BYTES])
    }

    /// The page with everything between tags and in attributes that is not markup of ours taken
    /// out: what is left must not depend on names.
    fn skeleton(html: &str) -> Vec<String> {
        let mut tags = Vec::new();
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            rest = &rest[start..];
            let mut quoted = false;
            let end = rest
                .char_indices()
                .find(|(_, c)| {
                    quoted ^= *c == '"';
                    *c == '>' && !quoted
                })
                .map(|(at, _)| at)
                .expect("every tag is closed");
            // The even parts of a tag stand outside of its quotes: its name and attribute names.
            tags.push(rest[..=end].split('"').step_by(2).collect());
            rest = &rest[end..];
        }
        tags
    }

    fn named(name: &str) -> Page {
        let mut bad = node("n", Some("g"), 1);
        bad.route = name.to_owned();
        bad.domain = Some(name.to_owned());
        bad.balancer = name.to_owned();
        bad.address = name.to_owned();
        bad.virtual_hosts = vec![VirtualHost {
            aliases: vec![name.to_owned()],
            contexts: vec![Context {
                path: name.to_owned(),
                state: ContextState::Enabled,
                requests_in_flight: 0,
            }],
        }];
        let mut page = page(vec![bad]);
        page.product = name.to_owned();
        page.version = name.to_owned();
        page.balancers[0].name = name.to_owned();
        page.balancers[0].cookie = name.to_owned();
        page.balancers[0].path = name.to_owned();
        page
    }

    #[test]
    fn the_page_has_all_nine_items_of_the_figure() {
        let html = html(&page(vec![node("node1", Some("left"), 1)]), &csrf(), None);
        for item in [
            "muster/0.1.0",
            "http://127.0.0.1:8080",
            "<h3><bdi>node1</bdi></h3>",
            "Virtual Host 1",
            r#"title="No new sessions; ongoing sessions stay">Disable</button>"#,
            r#"title="No requests; sessions fail over unless sticky-session-force">Stop</button>"#,
            "Enable Contexts</button>",
            "Disable Contexts</button>",
            "Stop Contexts</button>",
            "<span>LBGroup</span> <bdi>left</bdi>",
            "Load 100",
        ] {
            assert!(html.contains(item), "{item} is missing in {html}");
        }
    }

    #[test]
    fn markup_in_a_name_is_text() {
        let html = html(&named(r#"<script>alert(1)</script>" onx=1 '"#), &csrf(), None);
        assert!(!html.contains("<script>"), "{html}");
        assert!(!html.contains(r#"" onx"#), "{html}");
        assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
    }

    #[test]
    fn a_name_that_turns_the_reading_direction_is_written_out() {
        let html = html(&named("a\u{202e}b"), &csrf(), None);
        assert!(html.contains(r"<h3><bdi>a\u{202e}b</bdi></h3>"), "{html}");
    }

    #[test]
    fn a_long_name_is_cut_and_whole_in_its_title() {
        let name = "x".repeat(10_000);
        let html = html(&named(&name), &csrf(), None);
        assert!(html.contains(&format!("<h3><bdi title=\"{name}\">{}…</bdi></h3>", &name[..64])));
    }

    #[test]
    fn an_empty_page_says_what_to_do() {
        let html = html(&page(Vec::new()), &csrf(), None);
        assert!(html.contains("No node has registered yet"), "{html}");
    }

    #[test]
    fn states_are_words() {
        let mut one = node("a", None, 3);
        one.state = NodeState::Standby;
        one.load = Load::new(0);
        one.virtual_hosts[0].contexts[1].state = ContextState::Disabled;
        one.virtual_hosts[0].contexts[2].state = ContextState::Stopped;
        let html = html(&page(vec![one]), &csrf(), None);
        for word in [">standby<", ">enabled<", ">disabled<", ">stopped<", "used only when no other"]
        {
            assert!(html.contains(word), "{word}");
        }
    }

    #[test]
    fn a_hundred_nodes_of_ten_contexts_stay_under_100_kb() {
        let many = |n| {
            let nodes = (0..n).map(|i| node(&format!("node-{i:03}"), Some("group"), 10));
            html(&page(nodes.collect()), &csrf(), Some("node-042"))
        };
        let html = many(100);
        assert!(html.len() < 100_000, "{} bytes", html.len());
        assert_eq!(html.matches("Virtual Host 1").count(), 1, "only the open node shows contexts");
        assert!(html.contains("href=\"/?node=node-041\""), "the others are a link away");
        assert_eq!(many(20).matches("Virtual Host 1").count(), 20, "few contexts are all shown");
    }

    #[test]
    fn nothing_is_asked_of_another_host() {
        let html = html(&page(vec![node("a", None, 1)]), &csrf(), None);
        for outside in ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_refusal_shows_its_message_as_text() {
        let html = refusal("400 Bad Request", "\"<b>\" is no field");
        assert!(html.contains("&#34;&#60;b&#62;&#34; is no field"), "{html}");
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_the_markup(
            name in prop_oneof![any::<String>(), "[<>\"'&=/ a-z\\PC]{0,40}", "\\PC{65,90}"],
        ) {
            let cut = crate::text::cut(&crate::text::visible(&name)).is_some();
            let plain = if cut { "x".repeat(90) } else { "x".to_owned() };
            prop_assert_eq!(
                skeleton(&html(&named(&name), &csrf(), None)),
                skeleton(&html(&named(&plain), &csrf(), None)),
            );
        }

        /// What a browser sends for the first button of a form is the action that it stands for.
        #[test]
        fn the_forms_carry_the_names_whole(name in "/[^\\p{C}]{0,40}") {
            let html = html(&named(&name), &csrf(), None);
            let form = html.rsplit_once("<form class=host").expect("a form").1;
            let mut fields: Vec<String> = form
                .split("<input type=hidden name=")
                .skip(1)
                .map(|rest| rest.split('>').next().expect("the end of the tag"))
                .map(|pair| pair.replacen(" value=", "=", 1).replace('"', ""))
                .collect();
            let button = form.split("<button name=").nth(1).expect("a button");
            let (verb, rest) = button.split_once(" value=\"").expect("a value");
            let value = rest.split('"').next().expect("the end of the value");
            fields.push(format!("{verb}={value}"));
            let sent: Vec<String> = fields.iter().map(|field| urlencoded(&unescaped(field))).collect();

            let action = Action::parse(sent.join("&").as_bytes(), &csrf()).expect("a good form");
            let (route, aliases) = (name.clone(), vec![name.clone()]);
            let target = Target::Context { route, aliases, path: name };
            prop_assert_eq!(action, Action { verb: Verb::Disable, target });
        }
    }

    fn unescaped(text: &str) -> String {
        [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn urlencoded(field: &str) -> String {
        let (name, value) = field.split_once('=').expect("a field");
        let set = percent_encoding::NON_ALPHANUMERIC;
        format!("{name}={}", percent_encoding::utf8_percent_encode(value, set))
    }
}
