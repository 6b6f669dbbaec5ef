//! Who is let in, and what he may do.

use super::*;

/// A desk with `anna`, an operator, and `vera`, a viewer; and a tool's token, an operator's.
struct Guarded {
    desk: Desk,
    token: String,
}

impl Guarded {
    fn new(more: &str) -> Guarded {
        let (token, hash) = who::token();
        let user = |name: &str, role: &str| {
            let password = password::hash(&format!("{name}'s secret")).unwrap();
            format!(
                "[[manager.user]]\nname = \"{name}\"\nrole = \"{role}\"\npassword = \"{password}\"\n"
            )
        };
        let tool =
            format!("[[manager.token]]\nname = \"ci\"\nrole = \"operator\"\nhash = \"{hash}\"\n");
        let all = [more, &user("anna", "operator"), &user("vera", "viewer"), &tool].concat();
        Guarded { desk: Desk::with(&all), token }
    }

    async fn log_in(&self, name: &str, password: &str) -> Answered {
        let form = format!("name={name}&password={password}&back=%2Fcontexts");
        let post = request(Method::POST, "/login").header("content-type", FORM);
        self.desk.send(post.header("origin", "http://localhost:6667"), form).await
    }

    /// The cookie of somebody who has logged in, and the token of his forms.
    async fn session(&self, name: &str) -> (String, String) {
        let answer = self.log_in(name, &format!("{name}%27s+secret")).await;
        assert_eq!(answer.headers["location"], "/contexts", "{}", answer.body);
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = request(Method::GET, "/").header("cookie", &cookie);
        let page = self.desk.send(page, String::new()).await.body;
        let token = page.split_once("name=\"token\" value=\"").unwrap().1;
        (cookie, token.split('"').next().unwrap().to_owned())
    }

    async fn act(&self, with: http::request::Builder, form: &str) -> StatusCode {
        self.desk.send(with.header("content-type", FORM), form.to_owned()).await.status
    }
}

fn post(target: &str) -> http::request::Builder {
    request(Method::POST, target)
}

#[tokio::test]
async fn without_a_login_only_the_way_in_and_the_health_checks_are_there() {
    let guarded = Guarded::new("");
    let desk = &guarded.desk;
    for target in [
        "/",
        "/nodes/n1",
        "/config",
        "/api/state",
        "/export/nodes.csv",
        "/info",
        "/metrics",
        "/live?of=%2F",
        "/x",
    ] {
        let answer = desk.get(target).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{target}");
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        let browser = desk.get_as(target, "text/html").await;
        assert_eq!(browser.status, StatusCode::SEE_OTHER, "{target}");
        let to = browser.headers["location"].to_str().unwrap();
        assert!(to.starts_with("/login?back=%2F"), "{to}");
    }
    assert_eq!(desk.post("route=n1&stop=*").await.status, StatusCode::UNAUTHORIZED);
    for target in ["/livez", "/readyz", "/login", "/assets/muster.css"] {
        assert_eq!(desk.get(target).await.status, StatusCode::OK, "{target}");
    }
    assert_eq!(desk.states(), "EEEE");
    let open = Guarded::new("[manager]\nmetrics_open = true\n");
    assert_eq!(open.desk.get("/metrics").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_operator_acts_and_a_viewer_looks() {
    let guarded = Guarded::new("");
    let (anna, anna_token) = guarded.session("anna").await;
    let (vera, vera_token) = guarded.session("vera").await;
    let stop = |token: &str| format!("token={token}&route=n1&stop=*");
    let with = |cookie: &str| post("/action").header("cookie", cookie);

    assert_eq!(guarded.act(with(&vera), &stop(&vera_token)).await, StatusCode::FORBIDDEN);
    assert_eq!(guarded.act(with(&anna), &stop(&vera_token)).await, StatusCode::FORBIDDEN);
    let set = format!("token={vera_token}&route=n1&load=1");
    let status = guarded.act(post("/override").header("cookie", &vera), &set).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(guarded.desk.states(), "EEEE");
    assert_eq!(guarded.act(with(&anna), &stop(&anna_token)).await, StatusCode::SEE_OTHER);
    assert_eq!(guarded.desk.states(), "SSEE");

    let page = request(Method::GET, "/").header("cookie", &vera);
    let page = guarded.desk.send(page, String::new()).await.body;
    assert!(page.contains("<bdi>vera</bdi> <small>viewer"), "{page}");
    assert!(!page.contains("Stop Contexts"), "{page}");
    let audit = guarded.desk.state.operators.audit().tail(10);
    let told: Vec<_> =
        audit.iter().map(|e| format!("{} {} {:?}", e.actor, e.verb, e.outcome)).collect();
    for line in ["anna log_in Done", "vera stop Refused", "anna stop Done"] {
        assert!(told.iter().any(|own| own == line), "{line} is missing in {told:?}");
    }
}

#[tokio::test]
async fn a_logout_ends_the_session_for_whoever_has_its_cookie() {
    let guarded = Guarded::new("");
    let (cookie, token) = guarded.session("anna").await;
    let out = post("/logout").header("cookie", &cookie);
    assert_eq!(guarded.act(out, &format!("token={token}")).await, StatusCode::SEE_OTHER);
    let page = request(Method::GET, "/").header("cookie", &cookie);
    assert_eq!(guarded.desk.send(page, String::new()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let guarded = Guarded::new("");
    let answer = guarded.log_in("anna", "anna%27s+secret").await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    let tls = "[manager.tls]\ncertificate = \"/c\"\nkey = \"/k\"\n";
    let answer = Guarded::new(tls).log_in("anna", "anna%27s+secret").await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-muster=") && cookie.ends_with("; Secure"), "{cookie}");
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_name_are_told_alike_and_slowed_down() {
    let guarded = Guarded::new("");
    let (wrong, nobody) =
        (guarded.log_in("anna", "guess").await, guarded.log_in("nobody", "guess").await);
    assert_eq!((wrong.status, nobody.status), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(wrong.body, nobody.body);
    let mut last = wrong;
    for _ in 0..5 {
        last = guarded.log_in("anna", "guess").await;
    }
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.headers.contains_key("retry-after"));
    let right = guarded.log_in("anna", "anna%27s+secret").await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "the right one waits too");
}

#[tokio::test]
async fn tools_show_a_token_or_a_password_with_each_request() {
    let guarded = Guarded::new("");
    let stop = "route=n1&stop=*";
    for (value, form, status) in [
        (format!("Bearer {}", guarded.token), stop, StatusCode::SEE_OTHER),
        ("Bearer 00".to_owned(), stop, StatusCode::UNAUTHORIZED),
        (basic("anna:anna's secret"), "route=n1&enable=*", StatusCode::SEE_OTHER),
        (basic("vera:vera's secret"), stop, StatusCode::FORBIDDEN),
        (basic("anna:x"), stop, StatusCode::UNAUTHORIZED),
        (basic("anna"), stop, StatusCode::UNAUTHORIZED),
        ("Basic !".to_owned(), stop, StatusCode::UNAUTHORIZED),
        ("Digest x".to_owned(), stop, StatusCode::UNAUTHORIZED),
    ] {
        let with = post("/action").header("authorization", &value);
        assert_eq!(guarded.act(with, form).await, status, "{value} {form}");
    }
    assert_eq!(guarded.desk.states(), "EEEE");
    // A browser that remembers a password sends it for any page's form.
    let remembered = post("/action")
        .header("authorization", basic("anna:anna's secret"))
        .header("origin", "http://localhost:6667");
    assert_eq!(guarded.act(remembered, stop).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_verified_certificate_is_a_login_for_those_whom_it_is_for() {
    let tls = "[manager.tls]\ncertificate = \"/c\"\nkey = \"/k\"\nclient_ca = \"/a\"\n";
    let bert =
        "[[manager.user]]\nname = \"bert\"\nrole = \"operator\"\ncertificate = \"CN=bert\"\n";
    for (role, subject, looks, acts) in [
        ("", Some("CN=bert"), StatusCode::OK, StatusCode::SEE_OTHER),
        ("", Some("CN=other"), StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED),
        ("client_role = \"viewer\"\n", Some("CN=other"), StatusCode::OK, StatusCode::FORBIDDEN),
        ("client_role = \"operator\"\n", Some("CN=other"), StatusCode::OK, StatusCode::SEE_OTHER),
        ("client_role = \"operator\"\n", None, StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED),
    ] {
        let desk = Desk::with(&[tls, role, bert].concat());
        let known = who::Subject(subject.map(str::to_owned));
        let get = request(Method::GET, "/").extension(known.clone());
        assert_eq!(desk.send(get, String::new()).await.status, looks, "{role} {subject:?}");
        let form = format!("token={}&route=n1&stop=*", desk.token);
        let post = post("/action").header("content-type", FORM).extension(known);
        assert_eq!(desk.send(post, form).await.status, acts, "{role} {subject:?}");
    }
}

fn basic(pair: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}
