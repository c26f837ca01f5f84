//! `certificate-check`: shakes hands over TLS and judges the certificate shown.

mod probe;

use watchbell_core::diagnosis::Role;
use watchbell_core::monitor::Memory;
use watchbell_core::settings::{CertificateSettings, Common, Mistake, Threshold};
use watchbell_guest::{Check, Deadline, Report};

struct CertificateCheck;

impl Check for CertificateCheck {
    type Settings = CertificateSettings;
    const KIND: &'static str = "certificate";
    const ROLE: Role = Role::Certificate;

    fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<CertificateSettings, Vec<Mistake>> {
        CertificateSettings::read(get)
    }

    fn common(settings: &CertificateSettings) -> &Common {
        &settings.common
    }

    fn target(settings: &CertificateSettings) -> String {
        settings.endpoint.to_string()
    }

    fn thresholds(settings: &CertificateSettings) -> &[Threshold] {
        &settings.thresholds
    }

    fn probe(settings: &CertificateSettings, _memory: &Memory, deadline: Deadline) -> Report {
        probe::probe(settings, deadline)
    }
}

watchbell_guest::export!(CertificateCheck);
