//! Live pages.

use super::*;

/// A stream's events, read one by one.
struct Events(Body, String);

impl Events {
    async fn of(desk: &Desk, target: &str) -> Result<Events, StatusCode> {
        let request = request(Method::GET, target).body(Body::empty()).unwrap();
        let answer = desk.router.clone().oneshot(request).await.unwrap();
        match answer.status() {
            StatusCode::OK => {
                assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
                Ok(Events(answer.into_body(), String::new()))
            }
            status => Err(status),
        }
    }

    /// The next event's name and data; a line without a name is told as it is.
    async fn next(&mut self) -> Option<(String, serde_json::Value)> {
        while !self.1.contains("\n\n") {
            let frame = self.0.frame().await?.unwrap();
            self.1.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        let (event, rest) = self.1.split_once("\n\n").map(|(e, r)| (e.to_owned(), r.to_owned()))?;
        self.1 = rest;
        let (name, data) = event.split_once("\ndata: ").unwrap_or((&event, "null"));
        Some((name.trim_start_matches("event: ").to_owned(), serde_json::from_str(data).unwrap()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_all_parts_and_then_those_that_changed() {
    let desk = Desk::new();
    let mut events = Events::of(&desk, "/live?of=%2F").await.unwrap();
    assert_eq!(events.next().await.unwrap().0, "retry: 3000");
    let (name, all) = events.next().await.unwrap();
    assert_eq!(name, "all");
    let count = all["parts"].as_array().unwrap().len();
    assert!(all["title"].as_str().unwrap().starts_with("Nodes: 0 of 2"), "{all}");

    desk.post("route=n2&alias=localhost&stop=%2Fwiki").await;
    desk.state.lately.lock().unwrap().clear();
    let (name, some) = loop {
        match events.next().await.unwrap() {
            (name, _) if name.starts_with(':') => continue,
            event => break event,
        }
    };
    assert_eq!(name, "some");
    let changed = some["parts"].as_object().unwrap();
    assert!(changed.len() < count, "{some}");
    assert!(changed.values().any(|part| part.as_str().unwrap().contains("stopped")), "{some}");
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded_and_give_their_place_back() {
    let desk = Desk::with("[manager]\nmax_streams = 1\n");
    let one = Events::of(&desk, "/live?of=%2F").await.unwrap();
    let refused = Events::of(&desk, "/live?of=%2Fcontexts").await.err();
    assert_eq!(refused, Some(StatusCode::SERVICE_UNAVAILABLE));
    drop(one);
    assert!(Events::of(&desk, "/live?of=%2Fcontexts").await.is_ok());
    let none = Events::of(&desk, "/live?of=%2Fnodes%2Fn9").await.err();
    assert_eq!(none, Some(StatusCode::NOT_FOUND));
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_gives_a_sign_and_ends_with_the_balancer() {
    let desk = Desk::new();
    // The configuration never changes: nothing to tell but that we are there.
    let mut events = Events::of(&desk, "/live?of=%2Fconfig").await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(events.next().await.unwrap().0);
    }
    assert_eq!(seen[1], "all");
    desk.state.stop.cancel();
    while events.next().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_node_that_goes_is_told_so() {
    let desk = Desk::new();
    let mut events = Events::of(&desk, "/live?of=%2Fnodes%2Fn1").await.unwrap();
    for _ in 0..2 {
        events.next().await.unwrap();
    }
    let gone = muster_protocol::mcmp::parse("REMOVE-APP", "/*", b"JVMRoute=n1").unwrap();
    desk.published.apply(&gone).unwrap();
    desk.state.lately.lock().unwrap().clear();
    let told = loop {
        match events.next().await.unwrap().0 {
            name if name == "some" => continue,
            name => break name,
        }
    };
    assert_eq!(told, "gone");
    assert!(events.next().await.is_none());
}
