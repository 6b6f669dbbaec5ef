//! Chromium as an operator uses it, driven over WebDriver.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::exchange;

/// Longest wait for something that the page is about to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most starts of a driver until one has a port.
const STARTS: usize = 5;

/// A browser with a fresh profile, closed when dropped.
pub(crate) struct Browser {
    driver: Child,
    address: String,
    session: String,
    _profile: tempfile::TempDir,
}

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scripts {
    Run,
    Off,
}

impl Browser {
    /// Starts one. Needs the programs `chromium` and `chromedriver`.
    pub(crate) fn start(scripts: Scripts) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let (driver, address) =
            (0..STARTS).find_map(|_| start_driver()).expect("chromedriver says its port");
        let mut browser = Browser { driver, address, session: String::new(), _profile: profile };
        let (status, body) = exchange(
            &browser.address,
            "POST",
            "/session",
            JSON,
            &capabilities(browser._profile.path(), scripts).to_string(),
        );
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        browser.session = answer["value"]["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.call("POST", "/url", json!({ "url": url })).unwrap();
    }

    /// Where the browser is.
    pub(crate) fn url(&self) -> String {
        self.call("GET", "/url", Value::Null).unwrap().as_str().unwrap().to_owned()
    }

    /// The text of the first element, as a reader sees it, or why there is none.
    pub(crate) fn text(&self, xpath: &str) -> Result<String, String> {
        let element = self.find(xpath)?;
        let text = self.call("GET", &format!("/element/{element}/text"), Value::Null)?;
        Ok(text.as_str().unwrap().to_owned())
    }

    /// Clicks the first element once it is there.
    pub(crate) fn click(&self, xpath: &str) {
        eventually(&format!("a click on {xpath}"), || {
            let element = self.find(xpath)?;
            self.call("POST", &format!("/element/{element}/click"), json!({}))
        });
    }

    /// Types into the first element once it is there.
    pub(crate) fn type_into(&self, xpath: &str, text: &str) {
        eventually(&format!("typing into {xpath}"), || {
            let element = self.find(xpath)?;
            self.call("POST", &format!("/element/{element}/value"), json!({ "text": text }))
        });
    }

    /// How many elements there are.
    pub(crate) fn count(&self, xpath: &str) -> usize {
        let found = self.call("POST", "/elements", by(xpath)).unwrap();
        found.as_array().unwrap().len()
    }

    /// Runs a script in the page and gives what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", json!({ "script": script, "args": [] })).unwrap()
    }

    /// Makes the window so large (CSS pixels, without the frame of a browser window).
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Makes the page see an operator who prefers `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": feature }));
    }

    /// What the window shows, as the base64 text of a PNG.
    pub(crate) fn screenshot(&self) -> String {
        let shot = self.call("GET", "/screenshot", Value::Null).unwrap();
        shot.as_str().unwrap().to_owned()
    }

    /// The cookies of the page, those too that no script sees.
    pub(crate) fn cookies(&self) -> Vec<Value> {
        self.call("GET", "/cookie", Value::Null).unwrap().as_array().unwrap().clone()
    }

    /// What the page wrote to the console as errors: refused scripts and styles among them.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", json!({ "type": "browser" })).unwrap();
        log.as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["level"] == "SEVERE")
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.call("POST", "/goog/cdp/execute", body).unwrap();
    }

    fn find(&self, xpath: &str) -> Result<String, String> {
        let element = self.call("POST", "/element", by(xpath))?;
        let id = element.as_object().unwrap().values().next().unwrap();
        Ok(id.as_str().unwrap().to_owned())
    }

    fn call(&self, method: &str, path: &str, body: Value) -> Result<Value, String> {
        let target = format!("/session/{}{path}", self.session);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = exchange(&self.address, method, &target, JSON, &body);
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        match status {
            200 => Ok(answer["value"].take()),
            _ => Err(answer["value"]["message"].to_string()),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let target = format!("/session/{}", self.session);
            exchange(&self.address, "DELETE", &target, "", "");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

fn by(xpath: &str) -> Value {
    json!({ "using": "xpath", "value": xpath })
}

fn capabilities(profile: &std::path::Path, scripts: Scripts) -> Value {
    let profile = format!("--user-data-dir={}", profile.display());
    let setting = match scripts {
        Scripts::Run => 1,
        Scripts::Off => 2,
    };
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        // An authority of a test is nobody whom a browser knows.
        "acceptInsecureCerts": true,
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--hide-scrollbars", profile,
            ],
            "prefs": { "profile.managed_default_content_settings.javascript": setting },
        },
    } } })
}

/// The driver chooses a port and says so. `None` when it ends instead: it wants the port that it
/// got for IPv4 for IPv6 too, which a busy machine may have given to somebody else.
fn start_driver() -> Option<(Child, String)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .spawn()
        .expect("chromedriver (Debian: chromium-driver) is installed");
    let output = BufReader::new(driver.stdout.take().expect("a pipe"));
    let mut lines = output.lines().map_while(Result::ok);
    let port = lines.find_map(|line| Some(line.split_once("successfully on port ")?.1.to_owned()));
    let Some(port) = port else {
        let _ = driver.wait();
        return None;
    };
    // Whoever closes the pipe stops the driver at its next line.
    std::thread::spawn(move || lines.for_each(drop));
    Some((driver, format!("127.0.0.1:{}", port.trim_end_matches('.'))))
}

/// Tries until it is so; panics with the last reason when it does not become so.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(reason) if Instant::now() > end => panic!("{what}: {reason}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
