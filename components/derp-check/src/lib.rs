//! `derp-check`: lets a DERP relay carry a packet from one client to another, and back.

mod probe;

use watchbell_core::diagnosis::Role;
use watchbell_core::monitor::Memory;
use watchbell_core::settings::{Common, DerpSettings, Mistake};
use watchbell_guest::{Check, Deadline, Report};

struct DerpCheck;

impl Check for DerpCheck {
    type Settings = DerpSettings;
    const KIND: &'static str = "derp";
    const ROLE: Role = Role::Derp;

    fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<DerpSettings, Vec<Mistake>> {
        DerpSettings::read(get)
    }

    fn common(settings: &DerpSettings) -> &Common {
        &settings.common
    }

    fn target(settings: &DerpSettings) -> String {
        settings.endpoint.to_string()
    }

    fn probe(settings: &DerpSettings, memory: &Memory, deadline: Deadline) -> Report {
        probe::probe(settings, memory, deadline)
    }
}

watchbell_guest::export!(DerpCheck);
