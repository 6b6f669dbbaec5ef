//! The client's side of the answers: lenient, for real balancers differ in the order and the
//! case of keys, and some do not encode values.

use crate::form::decode_text;

/// What a STATUS or PING answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReply {
    /// The node, where the answer names one.
    pub route: Option<String>,
    /// Whether the balancer reached the node.
    pub ok: bool,
    /// Another one than before means that the balancer was started anew.
    pub id: u64,
}

/// Reads the body of a STATUS or PING answer; `None` where it has no state or no id.
///
/// ```
/// use muster_protocol::mcmp::read_status;
/// let reply = read_status("Type=STATUS-RSP&State=OK&JVMRoute=a&id=17").expect("a full answer");
/// assert!(reply.ok);
/// ```
pub fn read_status(body: &str) -> Option<StatusReply> {
    Some(StatusReply {
        route: value(body, "JVMRoute").filter(|route| !route.is_empty()),
        ok: value(body, "State")?.eq_ignore_ascii_case("OK"),
        id: value(body, "id")?.parse().ok()?,
    })
}

/// Requests in flight, from the body of a STOP-APP answer; `None` where it does not say.
pub fn read_stop(body: &str) -> Option<u64> {
    value(body, "Requests")?.parse().ok()
}

fn value(body: &str, key: &str) -> Option<String> {
    let pairs = body.trim().split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(k, _)| k.trim().eq_ignore_ascii_case(key))?;
    let value = value.trim();
    Some(decode_text(value.as_bytes()).unwrap_or_else(|| value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let httpd = read_status("Type=STATUS-RSP&JVMRoute=wf2&State=OK&id=1795309814222\n");
        let undertow = read_status("Type=STATUS-RSP&State=OK&JVMRoute=wf2&id=1795309814222");
        assert_eq!(httpd, undertow);
        let route = Some("wf2".to_owned());
        assert_eq!(httpd, Some(StatusReply { route, ok: true, id: 1795309814222 }));
    }

    #[test]
    fn a_node_without_a_route_is_not_ok() {
        let reply = read_status("Type=STATUS-RSP&JVMRoute=&State=NOTOK&id=7\n").unwrap();
        assert_eq!(reply, StatusReply { route: None, ok: false, id: 7 });
        assert_eq!(read_status("Type=STATUS-RSP"), None);
        assert_eq!(read_status(""), None);
    }

    #[test]
    fn a_stop_says_how_many_are_in_flight() {
        let cut = "Type=STOP-APP-RSP&JvmRoute=node2&Alias=localhos&Context=/c&Requests=2\n";
        assert_eq!(read_stop(cut), Some(2));
        assert_eq!(read_stop("Type=STOP-APP-RSP&Requests=many"), None);
        assert_eq!(read_stop(""), None);
    }
}
