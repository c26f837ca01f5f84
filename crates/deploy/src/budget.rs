//! What an application asks of its target, held against what the target allows.

use std::fmt;

use serde::Serialize;
use serde::ser::SerializeStruct;
use watchbell_app::{Demand, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub target: Target,
    pub demand: Demand,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limits, demand) = (self.target.limits(), self.demand);
        let of = |max: Option<String>| max.map(|m| format!(" of {m}")).unwrap_or_default();
        let requests_max = limits.outbound_requests_per_hour_max.map(|m| m.to_string());
        let rings = match demand.rings_are_requests {
            true => "rings and deliveries",
            false => "deliveries",
        };
        writeln!(
            f,
            "{}{} outbound requests an hour, {} at worst; {rings} of alerts come on top",
            demand.requests_per_hour,
            of(requests_max),
            demand.requests_per_hour_worst,
        )?;
        write!(
            f,
            "{} routes, {}{} keys, {} key-value writes an hour",
            demand.routes,
            demand.keys,
            of(limits.keys_max.map(|m| m.to_string())),
            demand.writes_per_hour,
        )
    }
}

impl Serialize for Budget {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let limits = self.target.limits();
        let mut object = serializer.serialize_struct("Budget", 4)?;
        object.serialize_field("target", self.target.name())?;
        object.serialize_field("demand", &self.demand)?;
        object.serialize_field(
            "requests_per_hour_max",
            &limits.outbound_requests_per_hour_max,
        )?;
        object.serialize_field("keys_max", &limits.keys_max)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_said_against_the_limits_that_there_are() {
        let demand = Demand {
            requests_per_hour: 132,
            requests_per_hour_worst: 240,
            rings_are_requests: true,
            routes: 11,
            keys: 46,
            writes_per_hour: 900,
            writes_at_once: 26,
        };
        for (target, want) in [
            (
                Target::FermyonCloud,
                "132 of 500 outbound requests an hour, 240 at worst; rings and deliveries of alerts come on top\n\
                 11 routes, 46 of 1024 keys, 900 key-value writes an hour",
            ),
            (
                Target::Spin,
                "132 outbound requests an hour, 240 at worst; rings and deliveries of alerts come on top\n\
                 11 routes, 46 keys, 900 key-value writes an hour",
            ),
        ] {
            assert_eq!(Budget { target, demand }.to_string(), want, "{target}");
        }
    }
}
