//! `status`: what Watchbell shows, over HTTP. Read-only, and reaches nothing.

use wasi::http::types::{IncomingRequest, Method, ResponseOutparam, Scheme};
use watchbell_core::settings::StatusSettings;
use watchbell_guest::store;
use watchbell_guest::{entry, log, variables};
use watchbell_status::{Request, Response, Verb, respond};

/// A token in a form.
const BODY_BYTES_MAX: usize = 4 << 10;

fn serve(request: &IncomingRequest, out: ResponseOutparam) {
    let response = answer(request);
    entry::respond(out, response.status, &response.headers, &response.body);
}

fn answer(request: &IncomingRequest) -> Response {
    // A list may come as several lines, cookies too (RFC 9113, section 8.2.3).
    let list = |name: &str, between: &str| {
        let values = request.headers().get(&name.to_owned());
        let texts = values.into_iter().filter_map(|v| String::from_utf8(v).ok());
        texts.collect::<Vec<_>>().join(between)
    };
    let header = |name: &str| list(name, ", ");
    let target = request.path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let verb = match request.method() {
        Method::Get => Verb::Get,
        Method::Head => Verb::Head,
        Method::Post => Verb::Post,
        _ => Verb::Other,
    };
    let body = match verb {
        Verb::Post => entry::body(request, BODY_BYTES_MAX),
        _ => Ok(Vec::new()),
    };
    let asked = Request {
        verb,
        path,
        query,
        authorization: &header("authorization"),
        cookie: &list("cookie", "; "),
        accept: &header("accept"),
        if_none_match: &header("if-none-match"),
        // Behind a proxy only it knows.
        secure: matches!(request.scheme(), Some(Scheme::Https))
            || header("x-forwarded-proto").eq_ignore_ascii_case("https"),
        body: body.as_deref().unwrap_or_default(),
    };
    match (store::open_all(), body.as_ref().err()) {
        (_, Some(why)) => Response::error(&asked, 400, why),
        (Err(why), _) => {
            log::line(&why);
            Response::error(
                &asked,
                503,
                "the key-value store cannot be opened; see the log",
            )
        }
        (Ok(records), _) => respond(&records, &settings(), &asked),
    }
}

/// Mistaken variables show nothing to anybody: what was meant to be private stays so.
fn settings() -> StatusSettings {
    let (settings, failed) = variables::read(|get| StatusSettings::read(get));
    let mistakes = match (failed, settings) {
        (None, Ok(settings)) => return settings,
        (failed, settings) => failed
            .into_iter()
            .chain(settings.err().into_iter().flatten()),
    };
    for mistake in mistakes {
        log::line(&mistake.to_string());
    }
    StatusSettings::closed()
}

watchbell_guest::export!(http = |request, out| serve(&request, out));
