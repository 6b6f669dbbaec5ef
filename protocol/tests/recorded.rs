//! What real balancers and real clients were recorded to say, held against this crate.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use muster_protocol::mcmp::{Command, Dump, Info, ParseError, Reply, parse, write};
use serde_json::Value;

const EXCHANGES: &str = include_str!("data/exchanges-1.3.jsonl");
const CLIENTS: [&str; 2] =
    [include_str!("data/client-10.jsonl"), include_str!("data/client-11.jsonl")];

struct Exchange {
    name: String,
    method: String,
    uri: String,
    request: String,
    status_line: String,
    kind: String,
    answer: String,
}

fn exchanges() -> Vec<Exchange> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = EXCHANGES.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let read = |row: Value| {
        let line = text(&row["request_line"]);
        let mut words = line.split(' ').map(str::to_owned);
        Exchange {
            name: text(&row["name"]),
            method: words.next().unwrap(),
            uri: words.next().unwrap(),
            request: text(&row["request_body"]),
            status_line: text(&row["status_line"]),
            kind: text(&row["headers"]["Type"]),
            answer: text(&row["body"]),
        }
    };
    lines.map(read).collect()
}

fn answer_to(number: &str) -> String {
    let found = exchanges().into_iter().find(|exchange| exchange.name.starts_with(number));
    found.unwrap().answer
}

/// What parsing makes of it: the status and the `Type` of a refusal, or 200.
fn verdict(exchange: &Exchange) -> String {
    match parse(&exchange.method, &exchange.uri, exchange.request.as_bytes()) {
        Ok(_) => "200".to_owned(),
        Err(ParseError::Syntax(_)) => "500 SYNTAX".to_owned(),
        Err(error) => error.answer().status.to_string(),
    }
}

/// Where ours reads a message otherwise than the recorded balancer did, and how.
fn ours(name: &str) -> Option<&'static str> {
    match &name[..3] {
        "044" | "045" => Some("500 SYNTAX"), // a load that is none
        "088" | "089" => Some("500 SYNTAX"), // contexts and aliases: both or neither
        "105" | "107" | "108" => Some("500 SYNTAX"), // an empty context, over a field's length
        "122" | "123" | "124" => Some("500 SYNTAX"), // it crashed
        "062" | "064" => Some("501"),        // passed on as an ordinary request
        _ => None,
    }
}

#[test]
fn every_recorded_message_gets_the_recorded_verdict_or_a_named_other_one() {
    let all = exchanges();
    assert_eq!(all.len(), 128);
    for exchange in all {
        // Whether a route is known is not for the parser to say.
        let recorded = match (&exchange.kind[..], exchange.status_line.get(9..12)) {
            ("SYNTAX", _) => "500 SYNTAX".to_owned(),
            ("MEM", _) => "200".to_owned(),
            (_, status) => status.unwrap_or_default().to_owned(),
        };
        let verdict = verdict(&exchange);
        match ours(&exchange.name) {
            Some(ours) => {
                assert_eq!(verdict, ours, "{}", exchange.name);
                assert_ne!(verdict, recorded, "{} is no deviation any more", exchange.name);
            }
            None => assert_eq!(verdict, recorded, "{}", exchange.name),
        }
    }
}

#[test]
fn a_refusal_begins_with_the_words_that_were_recorded() {
    let lines = EXCHANGES.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let refused = lines.filter(|row| row["headers"]["Type"] == "SYNTAX");
    let mut count = 0;
    for (row, exchange) in refused.map(|row| {
        let name = row["name"].as_str().unwrap().to_owned();
        (row, exchanges().into_iter().find(|exchange| exchange.name == name).unwrap())
    }) {
        let error = parse(&exchange.method, &exchange.uri, exchange.request.as_bytes());
        let message = error.unwrap_err().to_string();
        let recorded = row["headers"]["Mess"].as_str().unwrap();
        assert!(message.starts_with(recorded), "{}: {message}", exchange.name);
        count += 1;
    }
    assert_eq!(count, 29);
}

#[test]
fn what_real_clients_send_is_written_byte_for_byte() {
    let mut count = 0;
    for line in CLIENTS.iter().flat_map(|client| client.lines()) {
        let row: Value = serde_json::from_str(line).unwrap();
        if row["dir"] != "req" {
            continue;
        }
        let (head, body) = row["data"].as_str().unwrap().split_once("\r\n\r\n").unwrap();
        let mut words = head.split(' ');
        let (method, uri) = (words.next().unwrap(), words.next().unwrap());
        let message = write(&parse(method, uri, body.as_bytes()).unwrap());
        assert_eq!((message.method, message.uri, &message.body[..]), (method, uri, body));
        count += 1;
    }
    assert_eq!(count, 33);
}

/// A removed node that the real balancer still lists has no port; ours lists none such.
fn live_lines(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains("Port: ,"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn recorded_reports_are_read_and_written_again_byte_for_byte() {
    for number in ["012", "017", "021", "034", "050", "063", "112", "116", "119"] {
        let text = live_lines(&answer_to(number));
        assert_eq!(Info::parse_text(&text).unwrap().to_text(), text, "{number}");
    }
    for number in ["011", "016", "020", "052", "093"] {
        let text = live_lines(&answer_to(number));
        assert_eq!(Dump::parse_text(&text).unwrap().to_text(), text, "{number}");
    }
}

#[test]
fn a_report_with_removed_nodes_can_be_read() {
    let info = Info::parse_text(&answer_to("050")).unwrap();
    assert_eq!((info.nodes.len(), info.vhosts.len(), info.contexts.len()), (4, 6, 8));
    assert_eq!((info.nodes[0].name.as_str(), info.nodes[0].port), ("minimal", 0));
    assert_eq!(Dump::parse_text(&answer_to("052")).unwrap().nodes.len(), 4);
}

#[test]
fn the_info_of_another_make_can_be_read() {
    let undertow = "Node: [1],Name: wf2,Balancer: mycluster,LBGroup: ,Host: 127.0.0.1,Port: 8209,\
        Type: ajp,Flushpackets: Off,Flushwait: 10,Ping: 10,Smax: 40,Ttl: 0,Elected: 0,Read: 0,\
        Transfered: 0,Connected: 1,Load: -1\nVhost: [1:1:-1], Alias: default-host\n\
        Context: [1:1:1], Context: /counter, Status: ENABLED\n";
    let info = Info::parse_text(undertow).unwrap();
    assert_eq!((info.nodes[0].load, info.vhosts[0].id), (-1, -1));
    let error = Info::parse_text("Something: else\nNode: [x],Name: y\n").unwrap_err();
    assert_eq!(error.line, 2);
}

/// The recorded XML without the removed node and without blanks between elements.
fn live_xml(xml: &str) -> String {
    let (head, rest) = xml.split_once("<Node id=\"0\"").unwrap();
    let (_, tail) = rest.split_once("</Node>").unwrap();
    let xml = format!("{head}{tail}");
    let parts = xml.split('>').map(str::trim_start).collect::<Vec<_>>().join(">");
    parts.replace("?><", "?>\n<")
}

#[test]
fn reports_as_xml_have_the_recorded_elements_in_their_order() {
    let mut info = Info::parse_text(&live_lines(&answer_to("050"))).unwrap();
    // Between the two recordings the load of the second node was lost.
    info.nodes[1].load = 0;
    assert_eq!(info.to_xml(), live_xml(&answer_to("051")));
    let dump = Dump::parse_text(&live_lines(&answer_to("052"))).unwrap();
    assert_eq!(dump.to_xml(), live_xml(&answer_to("053")));
}

#[test]
fn a_node_is_reported_as_it_configured_itself() {
    use muster_protocol::mcmp::{DumpBalancer, DumpNode, InfoNode};

    let row = exchanges().into_iter().find(|row| row.name.starts_with("018")).unwrap();
    let Ok(Command::Config(config)) = parse("CONFIG", "/", row.request.as_bytes()) else {
        panic!("018 is a good CONFIG");
    };
    let info = Info::parse_text(&answer_to("021")).unwrap();
    // The recorded balancer shows 0 before the first probe, which reads as standby.
    assert_eq!(InfoNode { load: 0, ..InfoNode::of(2, &config) }, info.nodes[2]);
    let dump = Dump::parse_text(&answer_to("020")).unwrap();
    assert_eq!(DumpNode::of(2, &config), dump.nodes[2]);
    let minimal = parse("CONFIG", "/", b"JVMRoute=minimal").unwrap();
    let Command::Config(minimal) = minimal else { panic!("a good CONFIG") };
    let row = DumpBalancer::of(0, &minimal.balancer, &minimal.settings);
    assert_eq!(row, dump.balancers[0]);
    assert_eq!(Reply::Empty.answer(Default::default()).body, "");
}
