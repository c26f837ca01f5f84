//! `control-check`: opens the control protocol as a Tailscale client does.

mod probe;

use watchbell_core::diagnosis::Role;
use watchbell_core::monitor::Memory;
use watchbell_core::settings::{Common, ControlSettings, Mistake};
use watchbell_guest::{Check, Deadline, Report};

struct ControlCheck;

impl Check for ControlCheck {
    type Settings = ControlSettings;
    const KIND: &'static str = "control";
    const ROLE: Role = Role::Control;

    fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<ControlSettings, Vec<Mistake>> {
        ControlSettings::read(get)
    }

    fn common(settings: &ControlSettings) -> &Common {
        &settings.common
    }

    fn target(settings: &ControlSettings) -> String {
        settings.endpoint.to_string()
    }

    fn probe(settings: &ControlSettings, memory: &Memory, deadline: Deadline) -> Report {
        probe::probe(settings, memory, deadline)
    }
}

watchbell_guest::export!(ControlCheck);
