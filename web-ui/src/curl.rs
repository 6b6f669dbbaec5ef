//! The curl command for a button, to be taken into a script.

use crate::action::Action;

/// What a command needs beside the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// `https` or `http`, host and port: `https://manager.example:6667`.
    pub origin: String,
    /// How the sender says who he is.
    pub login: Login,
    /// Whether the listener asks for a certificate.
    pub certificate: bool,
}

/// How a tool says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// Not at all: the listener is open.
    None,
    /// A bearer token.
    Token,
    /// Name and password, which curl asks for.
    Password,
}

/// The command. It holds nothing secret: the token is to stand in the environment, and a password
/// is asked for. What it sends is encoded to letters, digits and `-._~%=&*`.
///
/// ```
/// use muster_web_ui::action::{Action, Target, Verb};
/// use muster_web_ui::curl::{Login, Reach, command};
/// let reach = Reach {
///     origin: "http://127.0.0.1:6667".to_owned(),
///     login: Login::None,
///     certificate: false,
/// };
/// assert_eq!(
///     command(&Action::new(Verb::Stop, Target::Node("n1".to_owned())), &reach),
///     "curl --fail-with-body -H 'X-Muster-Client: curl' \\\n  \
///      --data 'route=n1&stop=%2A' 'http://127.0.0.1:6667/action'",
/// );
/// ```
pub fn command(action: &Action, reach: &Reach) -> String {
    let mut command = "curl --fail-with-body -H 'X-Muster-Client: curl'".to_owned();
    command.push_str(match reach.login {
        Login::None => "",
        Login::Token => " -H \"Authorization: Bearer $MUSTER_TOKEN\"",
        Login::Password => " --user \"$USER\"",
    });
    if reach.certificate {
        command.push_str(" --cert own.pem --key own.key");
    }
    if reach.origin.starts_with("https://") {
        command.push_str(" --cacert ca.pem");
    }
    let quoted = |text: String| format!("'{}'", text.replace('\'', r"'\''"));
    let url = quoted(format!("{}/action", reach.origin));
    command.push_str(&format!(" \\\n  --data {} {url}", quoted(action.query())));
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Target, Verb};

    #[test]
    fn a_command_has_what_the_listener_asks_for_and_no_secret() {
        let target = Target::Context {
            route: "a'b; rm".to_owned(),
            aliases: vec!["h".to_owned()],
            path: "/x".to_owned(),
        };
        let reach = Reach {
            origin: "https://m.example:6667".to_owned(),
            login: Login::Token,
            certificate: true,
        };
        let command = command(&Action::new(Verb::Disable, target), &reach);
        assert!(command.contains("Bearer $MUSTER_TOKEN"), "{command}");
        assert!(command.contains("--cert own.pem --key own.key --cacert ca.pem"), "{command}");
        assert!(command.contains("'route=a%27b%3B%20rm&alias=h&disable=%2Fx'"), "{command}");
    }
}
