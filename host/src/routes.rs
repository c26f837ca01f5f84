//! Which component answers a path: Spin's routes, by the router that Spin uses.

use std::borrow::Cow;

use anyhow::anyhow;
use routefinder::Router;
use watchbell_app::{HttpTrigger, route_pattern};

/// Paths that the runtime answers itself.
pub const WELL_KNOWN_PREFIX: &str = "/.well-known/spin/";

pub struct Routes {
    router: Router<Route>,
    /// In the order of the manifest.
    pub listed: Vec<Route>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// As written in the manifest.
    pub raw: String,
    pub component: String,
}

/// A path with its route.
#[derive(Debug, PartialEq, Eq)]
pub struct Match<'a> {
    pub route: Cow<'a, Route>,
    /// What the trailing `/...` stands for.
    pub path_info: String,
    /// What each `:name` stands for.
    pub named: Vec<(String, String)>,
}

impl Match<'static> {
    /// What another component asks for: all paths are the component's, as on Spin.
    pub fn service(component: &str, path: &str) -> Self {
        Self {
            route: Cow::Owned(Route {
                raw: "/...".to_owned(),
                component: component.to_owned(),
            }),
            path_info: path.to_owned(),
            named: Vec::new(),
        }
    }
}

impl Route {
    /// The route without its trailing `/...`.
    pub fn prefix(&self) -> &str {
        self.raw.strip_suffix("/...").unwrap_or(&self.raw)
    }

    fn is_wildcard(&self) -> bool {
        self.raw.ends_with("/...") || self.raw.ends_with("/*")
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_wildcard() {
            let prefix = self.raw.strip_suffix("/*").unwrap_or(self.prefix());
            return write!(f, "{prefix} (wildcard)");
        }
        write!(f, "{}", if self.raw == "/" { "" } else { &self.raw })
    }
}

impl Routes {
    /// Of two triggers with the same route the later one wins, as on Spin.
    pub fn new(triggers: &[HttpTrigger]) -> anyhow::Result<Self> {
        let mut listed: Vec<Route> = Vec::new();
        for trigger in triggers {
            let route = Route {
                raw: trigger.route.clone(),
                component: trigger.component.clone(),
            };
            match listed.iter_mut().find(|r| r.raw == route.raw) {
                Some(same) => {
                    crate::say::warn(&format!(
                        "route {:?} of component {:?} is never used: {:?} has it too",
                        same.raw, same.component, route.component
                    ));
                    *same = route;
                }
                None => listed.push(route),
            }
        }
        let mut router = Router::new();
        for route in &listed {
            router
                .add(route_pattern(&route.raw), route.clone())
                .map_err(|e| {
                    anyhow!(
                        "reading route {:?} of component {:?}: {e}",
                        route.raw,
                        route.component
                    )
                })?;
        }
        Ok(Self { router, listed })
    }

    pub fn find(&self, path: &str) -> Option<Match<'_>> {
        let found = self.router.best_match(path)?;
        let captures = found.captures();
        let path_info =
            captures
                .wildcard()
                .map(|rest| match (rest.is_empty(), path.ends_with('/')) {
                    (true, false) => String::new(),
                    (true, true) => "/".to_owned(),
                    (false, false) => format!("/{rest}"),
                    (false, true) => format!("/{rest}/"),
                });
        let named = captures
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(Match {
            route: Cow::Borrowed(found.handler()),
            path_info: path_info.unwrap_or_default(),
            named,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(of: &[&str]) -> Routes {
        let triggers: Vec<HttpTrigger> = of
            .iter()
            .map(|route| HttpTrigger {
                route: (*route).to_owned(),
                component: format!("c:{route}"),
            })
            .collect();
        Routes::new(&triggers).expect("good routes")
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routes = routes(&[
            "/",
            "/alert",
            "/check/...",
            "/check/health",
            "/user/:id",
            "/user/:id/...",
            "/api/v1/...",
            "run/now/",
            "/files/*",
        ]);
        for (path, want) in [
            ("/", Some("/")),
            ("/alert", Some("/alert")),
            ("/alert/", Some("/alert")),
            ("/alerts", None),
            ("/check", Some("/check/...")),
            ("/check/", Some("/check/...")),
            ("/check/health", Some("/check/health")),
            ("/check/healthy", Some("/check/...")),
            ("/check/health/x", Some("/check/...")),
            ("/user/7", Some("/user/:id")),
            ("/user/7/a/b", Some("/user/:id/...")),
            ("/user", None),
            ("/api/v1/x", Some("/api/v1/...")),
            ("/api/v2/x", None),
            ("/run/now", Some("run/now/")),
            ("/files/a/b", Some("/files/*")),
        ] {
            assert_eq!(
                routes.find(path).map(|m| m.route.raw.clone()).as_deref(),
                want,
                "{path}"
            );
        }
    }

    #[test]
    fn path_info_is_what_the_wildcard_stands_for() {
        let routes = routes(&["/check/...", "/user/:id/..."]);
        for (path, want) in [
            ("/check", ""),
            ("/check/", "/"),
            ("/check/a", "/a"),
            ("/check/a/", "/a/"),
            ("/check/a/b", "/a/b"),
            ("/user/7/x", "/x"),
        ] {
            assert_eq!(
                routes.find(path).map(|m| m.path_info).as_deref(),
                Some(want),
                "{path}"
            );
        }
        let found = routes.find("/user/7/x").expect("a match");
        assert_eq!(found.named, [("id".to_owned(), "7".to_owned())]);
    }

    #[test]
    fn the_later_of_two_equal_routes_wins() {
        let twice = [("/x", "first"), ("/x", "second")].map(|(route, component)| HttpTrigger {
            route: route.to_owned(),
            component: component.to_owned(),
        });
        let routes = Routes::new(&twice).expect("good routes");
        assert_eq!(
            routes
                .find("/x")
                .map(|m| m.route.component.clone())
                .as_deref(),
            Some("second")
        );
        assert_eq!(routes.listed.len(), 1);
    }
}
