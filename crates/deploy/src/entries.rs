//! The HTTP entries of an application: what a scheduler calls.

use watchbell_app::{App, Kind};

use crate::Refused;

/// One route that runs something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The component's id.
    pub component: String,
    /// `/run/health`: of letters, digits, `-`, `_`, `.` and `/` alone.
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// By id, at least one.
    pub checks: Vec<Entry>,
    /// The alert component's, called after the checks.
    pub sweep: Entry,
}

impl Entries {
    /// # Errors
    /// When a check, or the alert component, has no route that a scheduler can call, and when
    /// there is none of them.
    pub fn of(app: &App) -> Result<Self, Refused> {
        let mut mistakes = Vec::new();
        let mut found = |wanted: &dyn Fn(Kind) -> bool| -> Vec<Entry> {
            let components = app.components.values();
            components
                .filter(|component| component.kind.is_some_and(wanted))
                .filter_map(|component| match route(app, &component.id) {
                    Ok(path) => Some(Entry {
                        component: component.id.clone(),
                        path,
                    }),
                    Err(why) => {
                        mistakes.push(why);
                        None
                    }
                })
                .collect()
        };
        let checks = found(&Kind::is_check);
        let mut sweeps = found(&|kind| kind == Kind::Alert).into_iter();
        let sweep = sweeps.next();
        if !mistakes.is_empty() {
            return Err(Refused(mistakes));
        }
        match (sweep, checks.is_empty()) {
            (Some(sweep), false) => Ok(Self { checks, sweep }),
            (None, _) => Err(Refused::one(
                "got no component of kind alert, want one with an HTTP route".to_owned(),
            )),
            (Some(_), true) => Err(Refused::one(
                "got no check, want one with an HTTP route".to_owned(),
            )),
        }
    }
}

/// The first route of a component that is one path.
fn route(app: &App, id: &str) -> Result<String, String> {
    let routes = app.http.iter().filter(|trigger| trigger.component == id);
    let routes: Vec<&str> = routes.map(|trigger| trigger.route.as_str()).collect();
    if let Some(route) = routes.iter().find(|route| is_plain(route)) {
        return Ok((*route).to_owned());
    }
    let got = match routes.as_slice() {
        [] => "no HTTP route".to_owned(),
        some => format!("the routes {some:?}"),
    };
    Err(format!(
        "component.{id}: got {got}, want a [[trigger.http]] with one path of letters, digits, - _ . and /, \
         such as \"/run/{id}\": a scheduler calls it there"
    ))
}

/// A path that means the same to a router, a URL, a shell and a unit file.
fn is_plain(route: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    route.starts_with('/') && !route.contains("..") && route.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_that_needs_no_quoting_is_called() {
        for (route, want) in [
            ("/run/health", true),
            ("/", true),
            ("/a.b/c_d-e/", true),
            ("run/health", false),
            ("/...", false),
            ("/run/...", false),
            ("/run/:id", false),
            ("/run/*", false),
            ("/run/a b", false),
            ("/run/$(id)", false),
            ("/run/'", false),
            ("/run/a%20b", false),
            ("/run/\n", false),
            ("", false),
        ] {
            assert_eq!(is_plain(route), want, "{route:?}");
        }
    }
}
