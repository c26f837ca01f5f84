//! Routes of HTTP triggers, as Spin reads them (spinframework/spin v4.0.2, crates/routes;
//! v3.5.0 has the same), by the router that Spin uses.

use routefinder::{RouteSpec, Segment};

/// Spin's spelling in the router's: a slash in front, none at the end, `/*` for `/...`.
pub fn route_pattern(route: &str) -> String {
    let absolute = if route.starts_with('/') {
        route.to_owned()
    } else {
        format!("/{route}")
    };
    let trimmed = absolute.strip_suffix('/').unwrap_or(&absolute);
    match trimmed.strip_suffix("/...") {
        Some(prefix) => format!("{prefix}/*"),
        None => trimmed.to_owned(),
    }
}

/// `None` for what Spin refuses at start, and for what makes its router panic at the
/// first request that comes so far: a wildcard before the end, and letters that are
/// not ASCII, of which it counts bytes as characters.
pub(crate) fn parse(route: &str) -> Option<RouteSpec> {
    let spec: RouteSpec = route_pattern(route)
        .parse()
        .ok()
        .filter(|_| route.is_ascii())?;
    let (_, before) = spec
        .segments()
        .split_last()
        .unwrap_or((&Segment::Slash, &[]));
    (!before.contains(&Segment::Wildcard)).then_some(spec)
}

/// Whether no request, or none that is meant, has such a path: it holds neither a query
/// nor a fragment, and dots before the end are dots.
pub(crate) fn is_unreachable(route: &str) -> bool {
    let pattern = route_pattern(route);
    pattern.contains(['?', '#']) || pattern.split('/').any(|segment| segment == "...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_what_spin_takes_for_one() {
        for (route, pattern, fits) in [
            ("/", "", true),
            ("", "", true),
            ("/alert", "/alert", true),
            ("/alert/", "/alert", true),
            ("alert", "/alert", true),
            ("/...", "/*", true),
            ("...", "/*", true),
            ("/x/...", "/x/*", true),
            ("/x/.../", "/x/*", true),
            ("/x/*", "/x/*", true),
            ("/user/:id", "/user/:id", true),
            ("/user/:id/...", "/user/:id/*", true),
            ("/x/.../y", "/x/.../y", true),
            ("/x?y", "/x?y", true),
            ("/x/*name", "/x/*name", false),
            ("/x/:", "/x/:", false),
            ("/x/*/y", "/x/*/y", false),
            ("/*/...", "/*/*", false),
            ("/ü/x", "/ü/x", false),
        ] {
            assert_eq!(route_pattern(route), pattern, "{route:?}");
            assert_eq!(parse(route).is_some(), fits, "{route:?}");
        }
    }
}
