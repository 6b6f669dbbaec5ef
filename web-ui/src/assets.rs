//! The style sheet, the script and the mark, built into the binary.

/// A file that the page asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Its path on the manager listener.
    pub path: &'static str,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// What is in it.
    pub body: &'static str,
}

/// All of them.
pub const ALL: [Asset; 3] = [
    Asset {
        path: "/assets/muster.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("../assets/muster.css"),
    },
    Asset {
        path: "/assets/muster.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("../assets/muster.js"),
    },
    Asset {
        path: "/assets/muster.svg",
        content_type: "image/svg+xml",
        body: include_str!("../assets/muster.svg"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_of_another_host() {
        for asset in ALL {
            let body = asset.body.replace("http://www.w3.org/2000/svg", "");
            assert!(!body.contains("://"), "{}", asset.path);
            assert!(!body.contains("@import"), "{}", asset.path);
        }
    }
}
