//! What `derp-check` reads.

use super::{Endpoint, Mistake, Presence, Reader, common::Common};

/// The variables of a check of a DERP relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerpSettings {
    pub common: Common,
    pub endpoint: Endpoint,
    /// `presence`: `required` (default), `auto`, `off`.
    pub presence: Presence,
    /// `hint`: added to the detail when there is no relay.
    pub hint: String,
}

impl DerpSettings {
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut r = Reader::new(get);
        let settings = Self {
            common: Common::read(&mut r),
            endpoint: Endpoint::read(&mut r),
            presence: Presence::read(&mut r),
            hint: r.text("hint").unwrap_or_default(),
        };
        r.finish(settings)
    }
}
