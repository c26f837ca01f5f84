//! `tcp-check`: resolves, connects, and, when asked, sends and expects.

mod probe;

use watchbell_core::diagnosis::Role;
use watchbell_core::monitor::Memory;
use watchbell_core::settings::{Common, Mistake, TcpSettings};
use watchbell_guest::{Check, Deadline, Report};

struct TcpCheck;

impl Check for TcpCheck {
    type Settings = TcpSettings;
    const KIND: &'static str = "tcp";
    const ROLE: Role = Role::Port;

    fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<TcpSettings, Vec<Mistake>> {
        TcpSettings::read(get)
    }

    fn common(settings: &TcpSettings) -> &Common {
        &settings.common
    }

    fn target(settings: &TcpSettings) -> String {
        format!("{}:{}", settings.host, settings.port)
    }

    fn probe(settings: &TcpSettings, _memory: &Memory, deadline: Deadline) -> Report {
        probe::probe(settings, deadline)
    }
}

watchbell_guest::export!(TcpCheck);
