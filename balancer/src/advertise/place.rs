//! What is told where: from the listeners' addresses and the configuration, as values.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::advertise::{Advertise, Send};

/// One address that is told, and the interface that it is told on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where messages are taken; a wildcard stands for the interface's own address.
    address: SocketAddr,
    /// The interface's address; `None` for the one on the way to the group.
    pub(crate) interface: Option<Ipv4Addr>,
}

// === impl Place ===

impl Place {
    /// What nodes are told when it is sent on this interface.
    pub(crate) fn told(&self, interface: Ipv4Addr) -> SocketAddr {
        match self.address.ip().is_unspecified() {
            true => SocketAddr::from((interface, self.address.port())),
            false => self.address,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)
    }
}

/// What is advertised of these listeners, and the listeners that cannot be, for want of an IPv4
/// interface.
pub(crate) fn places(
    config: &Advertise,
    listeners: &[SocketAddr],
) -> (Vec<Place>, Vec<SocketAddr>) {
    let (mut places, mut left_out) = (Vec::new(), Vec::new());
    for &listener in listeners {
        let interface = match (config.interface, listener.ip()) {
            (Some(interface), _) => Some(interface),
            (None, IpAddr::V4(ip)) => (!ip.is_unspecified()).then_some(ip),
            (None, IpAddr::V6(_)) => {
                if config.send == Send::Always {
                    left_out.push(listener);
                }
                continue;
            }
        };
        let is_wanted = match config.send {
            Send::Never => false,
            Send::Always => true,
            Send::Loopback => interface.is_some_and(|interface| interface.is_loopback()),
        };
        let address = config.address.unwrap_or(listener);
        if is_wanted && places.iter().all(|place: &Place| place.address != address) {
            places.push(Place { address, interface });
        }
    }
    (places, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &Advertise, listeners: &[&str]) -> Vec<String> {
        let listeners: Vec<SocketAddr> =
            listeners.iter().map(|text| text.parse().unwrap()).collect();
        let (places, left_out) = places(config, &listeners);
        let route = Ipv4Addr::new(10, 9, 9, 9);
        let on = |place: &Place| {
            let interface = place.interface.unwrap_or(route);
            format!("{} on {interface}", place.told(interface))
        };
        let left_out = left_out.iter().map(|address| format!("not {address}"));
        places.iter().map(on).chain(left_out).collect()
    }

    fn sending(send: Send) -> Advertise {
        Advertise { send, ..Advertise::default() }
    }

    #[test]
    fn loopback_is_told_to_this_machine_and_no_other_listener_to_anybody() {
        let listeners = ["127.0.0.1:6666", "10.0.0.7:6666", "0.0.0.0:6667", "[::1]:6666"];
        let config = Advertise::default();
        assert_eq!(told(&config, &listeners), ["127.0.0.1:6666 on 127.0.0.1"]);
        assert!(told(&sending(Send::Never), &listeners).is_empty());
    }

    #[test]
    fn each_listener_is_told_on_its_own_interface() {
        let config = sending(Send::Always);
        assert_eq!(
            told(&config, &["127.0.0.1:6666", "10.0.0.7:6666", "0.0.0.0:6667", "[::1]:6666"]),
            [
                "127.0.0.1:6666 on 127.0.0.1",
                "10.0.0.7:6666 on 10.0.0.7",
                "10.9.9.9:6667 on 10.9.9.9",
                "not [::1]:6666"
            ]
        );
    }

    #[test]
    fn an_interface_and_an_address_can_be_chosen() {
        let interface = Some(Ipv4Addr::new(10, 0, 0, 8));
        let config = Advertise { interface, ..sending(Send::Always) };
        assert_eq!(
            told(&config, &["[2001:db8::1]:6666", "0.0.0.0:6667"]),
            ["[2001:db8::1]:6666 on 10.0.0.8", "10.0.0.8:6667 on 10.0.0.8"]
        );
        assert!(
            told(&Advertise { interface, ..Advertise::default() }, &["127.0.0.1:1"]).is_empty()
        );
        let address = Some("192.0.2.1:7777".parse().unwrap());
        let config = Advertise { address, ..sending(Send::Always) };
        assert_eq!(
            told(&config, &["10.0.0.7:6666", "10.0.1.7:6666"]),
            ["192.0.2.1:7777 on 10.0.0.7"]
        );
    }
}
