//! What `stun-check` reads.

use super::tcp::{Family, Host, Resolver, read_target};
use super::{Mistake, Presence, Reader, common::Common};

/// The variables of a STUN check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StunSettings {
    pub common: Common,
    /// `host`, `port` (UDP), `dns_resolver`, `family`: whom to ask.
    pub host: Host,
    pub port: u16,
    pub resolvers: Vec<Resolver>,
    pub family: Family,
    /// `presence`: `required` (default), `auto`, `off`.
    pub presence: Presence,
    /// `hint`: added to the detail when nothing answers.
    pub hint: String,
}

impl StunSettings {
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut r = Reader::new(get);
        let common = Common::read(&mut r);
        let (host, port, resolvers, family) = read_target(&mut r);
        let settings = Self {
            common,
            host,
            port,
            resolvers,
            family,
            presence: Presence::read(&mut r),
            hint: r.text("hint").unwrap_or_default(),
        };
        r.finish(settings)
    }
}
