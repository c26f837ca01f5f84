//! The two ways in: a cron firing, and an HTTP request with a token.

use wasi::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

use wasi::io::streams::StreamError;
use watchbell_core::json;
use watchbell_core::secret::{bearer, key_in, same};

use crate::check::{Check, Wanted, run};
use crate::{Failed, log, variables};

/// Cron's export, generated once; [`export!`](crate::export!) ties a component to it.
#[doc(hidden)]
pub mod cron {
    #![allow(unsafe_code, clippy::unwrap_used)]
    wit_bindgen::generate!({
        path: "../../wit/cron.wit",
        world: "spin-cron",
        pub_export_macro: true,
        default_bindings_module: "watchbell_guest::entry::cron",
    });
}

/// A cron firing of a check.
pub fn fire<C: Check>() -> Result<(), Failed> {
    logged(run::<C>(Wanted::WhenDue).map(drop))
}

/// A firing that failed says so in the component's own log. Nothing reads the result,
/// and whether the host prints it depends on its version.
pub fn logged(fired: Result<(), Failed>) -> Result<(), Failed> {
    if let Err(why) = fired {
        log::line(&why);
    }
    Ok(())
}

/// The HTTP entry of a check: the same run, answered with its outcome, or, where none is due,
/// with the last one. So whoever calls cannot make it ask more often than its interval says.
pub fn serve<C: Check>(request: &IncomingRequest, out: ResponseOutparam) {
    if scheduled(request) {
        return schedule(out, run::<C>(Wanted::Last).map(drop));
    }
    if let Err((status, why)) = authorise(request, "check_token") {
        return answer(out, status, &error(&why));
    }
    // No stanza has this variable: `watchbell check` sets it for its own run.
    let wanted = match variables::get("trial").as_deref() {
        Some("on") => Wanted::Trial,
        _ => Wanted::Last,
    };
    match run::<C>(wanted) {
        Ok(Some(outcome)) => answer(out, 200, &json::text(&outcome)),
        Ok(None) => answer(out, 503, &error("the first run is under way; ask again")),
        Err(why) => {
            log::line(&why);
            answer(out, 500, &error(&why));
        }
    }
}

/// Whether a scheduler calls that can send no header (Akamai's), with the key of the variable
/// `schedule_key` in its query. A URL is seen by more than a header is, so the key opens less
/// than the token: what is due is done, and nothing is told.
pub fn scheduled(request: &IncomingRequest) -> bool {
    let key = variables::get("schedule_key").unwrap_or_default();
    let target = request.path_with_query().unwrap_or_default();
    let given = target.split_once('?').and_then(|(_, query)| key_in(query));
    let opens = |given: &str| same(given.as_bytes(), key.trim().as_bytes());
    !key.trim().is_empty() && given.is_some_and(opens)
}

/// The answer to it.
pub fn schedule(out: ResponseOutparam, done: Result<(), Failed>) {
    match done {
        Ok(()) => respond(out, 204, &[], b""),
        Err(why) => {
            log::line(&why);
            answer(out, 500, &error("it could not be done; see the log"));
        }
    }
}

/// Lets in who bears the token that this variable holds; with none configured nobody.
pub fn authorise(request: &IncomingRequest, variable: &str) -> Result<(), (u16, String)> {
    if !matches!(request.method(), Method::Get | Method::Post) {
        return Err((405, "want GET or POST".to_owned()));
    }
    let token = variables::get(variable).unwrap_or_default();
    if token.trim().is_empty() {
        let why = format!("this entry is closed: variable {variable} is not set");
        return Err((403, why));
    }
    let values = request.headers().get(&"authorization".to_owned());
    let given = values.first().map(Vec::as_slice).unwrap_or_default();
    if bearer(given).is_some_and(|given| same(given, token.trim().as_bytes())) {
        Ok(())
    } else {
        let why = format!("want the header authorization: Bearer <{variable}>");
        Err((401, why))
    }
}

pub fn is_post(request: &IncomingRequest) -> bool {
    matches!(request.method(), Method::Post)
}

/// The whole body.
///
/// # Errors
/// When it is longer than that, or breaks off.
pub fn body(request: &IncomingRequest, bytes_max: usize) -> Result<Vec<u8>, String> {
    let Ok(body) = request.consume() else {
        return Ok(Vec::new());
    };
    let Ok(stream) = body.stream() else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(chunk) if bytes.len() + chunk.len() > bytes_max => {
                return Err(format!("the body is longer than {bytes_max} bytes"));
            }
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => {
                return Err("the body broke off".to_owned());
            }
        }
    }
}

const READ_BYTES: u64 = 4_096;

/// The body of an answer that refuses.
pub fn error(why: &str) -> String {
    json::text(&serde_json::json!({ "error": why }))
}

/// Sends a whole JSON answer.
pub fn answer(out: ResponseOutparam, status: u16, json: &str) {
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("cache-control", "no-store".to_owned()),
    ];
    if status == 401 {
        headers.push(("www-authenticate", "Bearer".to_owned()));
    }
    respond(out, status, &headers, json.as_bytes());
}

/// Sends a whole answer. What cannot be sent has nobody left to read it.
pub fn respond(out: ResponseOutparam, status: u16, headers: &[(&str, String)], bytes: &[u8]) {
    let fields = Fields::new();
    for (name, value) in headers {
        let _ = fields.append(&(*name).to_owned(), &value.as_bytes().to_vec());
    }
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(status);
    let body = response.body();
    ResponseOutparam::set(out, Ok(response));
    if let Ok(body) = body {
        if let Ok(stream) = body.write() {
            // 4,096 bytes a write are guaranteed.
            for chunk in bytes.chunks(4096) {
                if stream.blocking_write_and_flush(chunk).is_err() {
                    break;
                }
            }
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

/// Exports a type as a component: cron firings and HTTP requests.
/// With one argument it is a [`Check`]; with `cron = …, http = …` two functions; with
/// `http = …` alone it has no cron entry.
#[macro_export]
macro_rules! export {
    ($check:ty) => {
        $crate::export!(
            cron = $crate::entry::fire::<$check>,
            http = |request, out| $crate::entry::serve::<$check>(&request, out)
        );
    };
    (cron = $cron:expr, http = $http:expr) => {
        $crate::export!(http = $http);
        impl $crate::entry::cron::Guest for Exports {
            fn handle_cron_event(
                _: $crate::entry::cron::Metadata,
            ) -> Result<(), $crate::entry::cron::Error> {
                $cron().map_err($crate::entry::cron::Error::Other)
            }
        }
        // The generated glue that the host calls into.
        #[allow(unsafe_code)]
        mod cron_glue {
            use super::Exports;
            $crate::entry::cron::export!(Exports with_types_in $crate::entry::cron);
        }
    };
    (http = $http:expr) => {
        struct Exports;
        impl $crate::__private::wasi::exports::http::incoming_handler::Guest for Exports {
            fn handle(
                request: $crate::__private::wasi::http::types::IncomingRequest,
                out: $crate::__private::wasi::http::types::ResponseOutparam,
            ) {
                ($http)(request, out)
            }
        }
        #[allow(unsafe_code)]
        mod http_glue {
            use super::Exports;
            $crate::__private::wasi::http::proxy::export!(Exports with_types_in $crate::__private::wasi);
        }
    };
}
