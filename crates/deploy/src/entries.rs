//! The HTTP entries of an application: what a scheduler calls.

use toml_edit::{DocumentMut, Item, TableLike};
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

/// What an application has, whatever it was read from.
struct Parts<'a> {
    components: Vec<(&'a str, Kind)>,
    /// Routes, and whose they are.
    routes: Vec<(&'a str, &'a str)>,
}

impl Entries {
    /// # Errors
    /// When a check, or the alert component, has no route that a scheduler can call, and when
    /// there is none of them.
    pub fn of(app: &App) -> Result<Self, Refused> {
        let components = app.components.values();
        let routes = app.http.iter();
        Self::among(&Parts {
            components: components
                .filter_map(|c| Some((c.id.as_str(), c.kind?)))
                .collect(),
            routes: routes
                .map(|t| (t.route.as_str(), t.component.as_str()))
                .collect(),
        })
    }

    /// As [`of`](Self::of), from the text of a valid manifest: no variable needs a value.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn read(manifest: &str) -> Result<Self, Refused> {
        let document: DocumentMut = manifest
            .parse()
            // Its own text shows the line, and on it what may be a secret.
            .map_err(|error: toml_edit::TomlError| Refused::one(error.message().to_owned()))?;
        let components = document.get("component").and_then(Item::as_table_like);
        let mut components: Vec<(&str, Kind)> = components
            .into_iter()
            .flat_map(|all| all.iter())
            .filter_map(|(id, c)| Some((id, Kind::of_source(text(c.as_table_like()?, "source")?)?)))
            .collect();
        components.sort_unstable_by_key(|(id, _)| *id);
        let triggers = document.get("trigger").and_then(|all| all.get("http"));
        let tables = triggers.and_then(Item::as_array_of_tables).into_iter();
        let tables = tables.flatten().map(|t| t as &dyn TableLike);
        let inline = triggers.and_then(Item::as_array).into_iter().flatten();
        let inline = inline.filter_map(|t| Some(t.as_inline_table()? as &dyn TableLike));
        let routes = tables.chain(inline);
        Self::among(&Parts {
            components,
            routes: routes
                .filter_map(|t| Some((text(t, "route")?, text(t, "component")?)))
                .collect(),
        })
    }

    fn among(parts: &Parts<'_>) -> Result<Self, Refused> {
        let mut mistakes = Vec::new();
        let mut found = |wanted: &dyn Fn(Kind) -> bool| -> Vec<Entry> {
            let components = parts.components.iter();
            components
                .filter(|(_, kind)| wanted(*kind))
                .filter_map(|(id, _)| match route(parts, id) {
                    Ok(path) => Some(Entry {
                        component: (*id).to_owned(),
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

fn text<'a>(table: &'a dyn TableLike, key: &str) -> Option<&'a str> {
    table.get(key)?.as_str()
}

/// The first route of a component that is one path.
fn route(parts: &Parts<'_>, id: &str) -> Result<String, String> {
    let routes = parts.routes.iter().filter(|(_, whose)| *whose == id);
    let routes: Vec<&str> = routes.map(|(route, _)| *route).collect();
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
