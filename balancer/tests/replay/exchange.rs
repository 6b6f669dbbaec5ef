//! The recorded exchanges.

use serde_json::Value;

const RECORDED: &str = include_str!("../../../protocol/tests/data/exchanges-1.3.jsonl");

/// One exchange.
pub(crate) struct Exchange {
    /// Its number, such as `050`.
    pub(crate) number: String,
    pub(crate) request: Request,
    pub(crate) answer: Answer,
}

/// What was sent.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What came back.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    /// `None` where the server died.
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

// === impl Request ===

impl Request {
    /// The method in capitals.
    pub(crate) fn method(&self) -> String {
        self.line.split(' ').next().unwrap_or_default().to_ascii_uppercase()
    }

    pub(crate) fn wants_xml(&self) -> bool {
        self.headers.iter().any(|(name, value)| name == "Accept" && value == "text/xml")
    }

    /// The same, as text.
    pub(crate) fn without_accept(&self) -> Request {
        let mut request = self.clone();
        request.headers.retain(|(name, _)| name != "Accept");
        request
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// All exchanges in their order.
pub(crate) fn recorded() -> Vec<Exchange> {
    RECORDED.lines().map(|line| read(&serde_json::from_str(line).unwrap())).collect()
}

fn read(row: &Value) -> Exchange {
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let headers = |key: &str| {
        let all = row[key].as_object().unwrap().iter();
        all.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    };
    let mut request = Request {
        line: text("request_line"),
        headers: headers("request_headers"),
        body: text("request_body"),
    };
    lengthen(&mut request);
    let status = text("status_line").get(9..12).and_then(|status| status.parse().ok());
    let answer = Answer { status, headers: headers("headers"), body: text("body") };
    Exchange { number: text("name")[..3].to_owned(), request, answer }
}

/// Long bodies were cut when they were recorded: the last character stands for the rest.
fn lengthen(request: &mut Request) {
    let length = request.headers.iter().find(|(name, _)| name == "Content-Length");
    let length = length.map_or(0, |(_, length)| length.parse::<usize>().unwrap());
    let missing = length.saturating_sub(request.body.len());
    let last = request.body.chars().last().unwrap_or('x');
    request.body.extend(std::iter::repeat_n(last, missing));
}

#[test]
fn a_body_that_was_cut_gets_its_length_again() {
    let all = recorded();
    assert_eq!(all.len(), 128);
    let cut = all.iter().find(|exchange| exchange.number == "127").unwrap();
    assert_eq!(cut.request.body.len(), 20_019);
}
