//! `http-check`: one request, its answer judged by the stanza's expectations.

mod probe;

use watchbell_core::diagnosis::Role;
use watchbell_core::monitor::Memory;
use watchbell_core::settings::{Common, HttpSettings, Mistake};
use watchbell_guest::{Check, Deadline, Report};

struct HttpCheck;

impl Check for HttpCheck {
    type Settings = HttpSettings;
    const KIND: &'static str = "http";
    const ROLE: Role = Role::Other;

    fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<HttpSettings, Vec<Mistake>> {
        HttpSettings::read(get)
    }

    fn common(settings: &HttpSettings) -> &Common {
        &settings.common
    }

    fn target(settings: &HttpSettings) -> String {
        settings.shown_url()
    }

    fn probe(settings: &HttpSettings, memory: &Memory, deadline: Deadline) -> Report {
        probe::probe(settings, memory, deadline)
    }
}

watchbell_guest::export!(HttpCheck);
