//! Which answer a path has.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use watchbell_core::history;
use watchbell_core::monitor::Monitor;
use watchbell_core::settings::StatusSettings;
use watchbell_core::store::{Failed, Store};
use watchbell_core::time::UnixMs;

use crate::access::{self, sight};
use crate::feed::feed;
use crate::health::{HEALTH_JSON, broken, health};
use crate::metrics::{Format, metrics};
use crate::page::{self, Site};
use crate::records::{History, Records};
use crate::view::{self, Detail, Sight};
use crate::web::{ATOM, HTML, JSON, Request, Response, SVG, Verb};
use crate::{api, badge};

/// Checks that `/` draws with chart and bars: each costs two reads and four to six KB, and
/// the page shall stay below 50. The others are a line each.
const DRAWN_MAX: usize = 8;

/// Answers one request. A store that fails is an answer too.
pub fn respond(store: &impl Store, settings: &StatusSettings, request: &Request<'_>) -> Response {
    let answered = answer(store, settings, request);
    let mut response = answered.unwrap_or_else(|why| {
        store.log(&why);
        let why = "the key-value store does not answer; see the log";
        match request.path {
            "/health" => Response::new(503, HEALTH_JSON, broken(why).to_string()),
            _ => Response::error(request, 503, why),
        }
    });
    if request.verb == Verb::Head {
        response.body.clear();
    }
    response
}

fn answer(
    store: &impl Store,
    settings: &StatusSettings,
    request: &Request<'_>,
) -> Result<Response, Failed> {
    let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let posts = matches!(path[..], ["session"] | ["session", "end"]);
    match request.verb {
        Verb::Get | Verb::Head => {}
        Verb::Post if posts => {}
        _ => {
            let allow = if posts {
                "GET, HEAD, POST"
            } else {
                "GET, HEAD"
            };
            let why = format!("want {allow}");
            return Ok(Response::error(request, 405, &why).with("allow", allow));
        }
    }
    let file = |content_type: &str, text: &str| {
        Ok(Response::new(200, content_type, text).cached(request, Sight::Public))
    };
    match path[..] {
        ["style.css"] => return file("text/css; charset=utf-8", page::STYLE),
        ["api", "v1", "openapi.json"] => return file(JSON, api::OPENAPI),
        ["script.js"] => return file("text/javascript; charset=utf-8", page::SCRIPT),
        ["health"] => {
            let (status, body) = health(&Records::read(store)?, settings.sweep_interval);
            let response = Response::new(status, HEALTH_JSON, body.to_string());
            return Ok(response.with("cache-control", "no-cache"));
        }
        ["session"] if request.verb == Verb::Post => return Ok(sign_in(store, settings, request)),
        ["session", "end"] if request.verb == Verb::Post => {
            return Ok(go("/").with("set-cookie", access::no_cookie(request.secure)));
        }
        ["session"] => {
            return Ok(form(
                &site(settings, Sight::Public, store.now()),
                200,
                page::SignIn::to("/"),
            ));
        }
        _ => {}
    }
    let Some(sight) = sight(settings, request, store.now()) else {
        return Ok(closed(&site(settings, Sight::Public, store.now()), request));
    };
    let site = site(settings, sight, store.now());
    let html = |text: String| Ok(Response::new(200, HTML, text).cached(request, sight));
    let missing = |what: &str| {
        let text = page::not_found(&site, what);
        Ok(Response::new(404, HTML, text).with("cache-control", "no-store"))
    };
    match path[..] {
        ["api", "v1", ref rest @ ..] => api::answer(store, request, rest, sight),
        ["api", ..] => Ok(Response::error(
            request,
            404,
            "want /api/v1/…; see /api/v1/openapi.json",
        )),
        [""] => html(overview(store, &site)?),
        ["check", id] => {
            let Some(monitor) = Records::one(store, id)? else {
                return match Records::holds(store, id)? {
                    true => missing(&format!("the record of check {id:?}, which cannot be read")),
                    false => missing(&format!("a check {id:?}")),
                };
            };
            let past = History::read(store, &monitor)?;
            let hours = history::hours(store, id)?;
            let detail = view::detail(&monitor, &past, store.now(), sight);
            html(page::check(&site, &detail, &past, &hours))
        }
        ["incident", id] => match view::one(&Records::read(store)?, id, sight) {
            Some(incident) => html(page::incident(&site, &incident)),
            None => missing(&format!("an incident {id:?}")),
        },
        ["metrics"] => {
            let format = Format::negotiated(request.accept);
            let text = metrics(&Records::read(store)?, sight, format);
            let response = Response::new(200, format.content_type(), text);
            Ok(response
                .with("cache-control", "no-store")
                .with("vary", "accept, authorization"))
        }
        ["incidents.atom"] => {
            let records = Records::read(store)?;
            let open = view::incidents(&records, sight);
            let past = view::past(&records, sight);
            let newest = view::newest(&records).into();
            let text = feed(&settings.title, &open, &past, newest);
            Ok(Response::new(200, ATOM, text).cached(request, sight))
        }
        ["badge", ref rest @ ..] => match drawn(store, settings, rest, sight)? {
            Some(svg) => Ok(Response::new(200, SVG, svg).cached(request, sight)),
            None => Ok(Response::error(
                request,
                404,
                "no such badge; see docs/status.md",
            )),
        },
        _ => missing(&format!("{:?}", request.path)),
    }
}

/// The badge at `/badge/…`.
fn drawn(
    store: &impl Store,
    settings: &StatusSettings,
    path: &[&str],
    sight: Sight,
) -> Result<Option<String>, Failed> {
    let status = || Ok::<_, Failed>(view::status(&Records::read(store)?, sight));
    Ok(match path {
        ["state.svg"] => Some(badge::overall(&settings.title, &status()?)),
        ["service", name, "state.svg"] => {
            let status = status()?;
            let service = status.services.iter().find(|s| s.service == *name);
            service.map(badge::service)
        }
        [check, file] => {
            let kind = file.strip_suffix(".svg").and_then(|kind| kind.parse().ok());
            match (kind, Records::one(store, check)?) {
                (Some(kind), Some(monitor)) => {
                    let history = History::read(store, &monitor)?;
                    let detail = view::detail(&monitor, &history, store.now(), sight);
                    Some(badge::badge(kind, &detail))
                }
                _ => None,
            }
        }
        _ => None,
    })
}

fn site(settings: &StatusSettings, sight: Sight, now: UnixMs) -> Site<'_> {
    Site {
        title: &settings.title,
        sight,
        closable: settings.token.is_some(),
        now,
    }
}

fn overview(store: &impl Store, site: &Site<'_>) -> Result<String, Failed> {
    let records = Records::read(store)?;
    let status = view::status(&records, site.sight);
    let past = view::past(&records, site.sight);
    let mut drawn: BTreeMap<String, (Detail, History)> = BTreeMap::new();
    // The gravest first; of what is alike the first by id, so that they stay in their places.
    let mut monitors: Vec<&Monitor> = records.monitors.iter().collect();
    monitors.sort_by_key(|m| Reverse(view::state(m, records.now)));
    for monitor in monitors.into_iter().take(DRAWN_MAX) {
        let history = History::read(store, monitor)?;
        let detail = view::detail(monitor, &history, records.now, site.sight);
        drawn.insert(monitor.definition.check.clone(), (detail, history));
    }
    Ok(page::overview(site, &status, &drawn, &past))
}

/// Nothing is shown without the token.
fn closed(site: &Site<'_>, request: &Request<'_>) -> Response {
    if !site.closable {
        let why = "the status component's variables are mistaken; see its log";
        return Response::error(request, 503, why);
    }
    if request.by_program() || !request.accept.contains("text/html") {
        let why = "want the header authorization: Bearer <status_token>";
        return Response::error(request, 401, why).with("www-authenticate", "Bearer");
    }
    form(site, 401, page::SignIn::to(own_page(request.path)))
}

fn form(site: &Site<'_>, status: u16, asked: page::SignIn<'_>) -> Response {
    if !site.closable {
        let text = page::not_found(
            site,
            "anything to sign in to: no status_token is configured",
        );
        return Response::new(404, HTML, text).with("cache-control", "no-store");
    }
    let text = page::sign_in(site, asked);
    let response = Response::new(status, HTML, text).with("cache-control", "no-store");
    match status {
        // RFC 9110, section 15.5.2.
        401 => response.with("www-authenticate", "Bearer"),
        _ => response,
    }
}

fn sign_in(store: &impl Store, settings: &StatusSettings, request: &Request<'_>) -> Response {
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(request.body);
        fields.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    let to = field("to").unwrap_or_default();
    let to = own_page(&to);
    match (&settings.token, field("token")) {
        (Some(token), Some(given)) if access::is_token(settings, &given) => {
            let cookie = access::cookie(token, request.secure, store.now());
            go(to).with("set-cookie", cookie)
        }
        _ => {
            let again = page::SignIn { wrong: true, to };
            form(&site(settings, Sight::Public, store.now()), 403, again)
        }
    }
}

/// Where somebody who has signed in was going: a page of ours or the first one, never
/// anybody's words.
fn own_page(path: &str) -> &str {
    let id = path
        .strip_prefix("/check/")
        .or(path.strip_prefix("/incident/"));
    let plain = |id: &str| {
        id.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    match id {
        Some(id) if !id.is_empty() && plain(id) => path,
        _ => "/",
    }
}

/// Seen, and to be asked for anew (RFC 9110, section 15.4.4).
fn go(to: &str) -> Response {
    let response = Response::new(303, HTML, "").with("location", to);
    response.with("cache-control", "no-store")
}
