//! `stun-check`: asks a relay's STUN server where it sees us come from.

mod probe;

use watchbell_core::diagnosis::Role;
use watchbell_core::monitor::Memory;
use watchbell_core::settings::{Common, Mistake, StunSettings};
use watchbell_guest::{Check, Deadline, Report};

struct StunCheck;

impl Check for StunCheck {
    type Settings = StunSettings;
    const KIND: &'static str = "stun";
    const ROLE: Role = Role::Stun;

    fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<StunSettings, Vec<Mistake>> {
        StunSettings::read(get)
    }

    fn common(settings: &StunSettings) -> &Common {
        &settings.common
    }

    fn target(settings: &StunSettings) -> String {
        format!("{}:{}", settings.host, settings.port)
    }

    fn probe(settings: &StunSettings, memory: &Memory, deadline: Deadline) -> Report {
        probe::probe(settings, memory, deadline)
    }
}

watchbell_guest::export!(StunCheck);
