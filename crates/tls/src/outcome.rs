//! The outcome of a certificate probe.

use watchbell_core::certificate::{crossed, expiry_detail};
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::{Host, Threshold};
use watchbell_core::time::UnixMs;

use crate::handshake::{Failure, Negotiated};
use crate::judge::{Verdict, judge};
use crate::reasons::{Cause, Reason};
use crate::roots::Roots;

/// What a handshake and the certificate shown in it come to. A bad certificate is
/// told before a failed handshake: it is known for certain, and often its cause.
pub fn outcome(
    shaken: Result<&Negotiated, &Failure>,
    server_name: &Host,
    roots: &Roots,
    thresholds: &[Threshold],
    now: UnixMs,
) -> Outcome {
    let chain = match shaken {
        Ok(negotiated) => &negotiated.chain,
        Err(failure) if failure.negotiated.chain.is_empty() => return failed(failure),
        Err(failure) => &failure.negotiated.chain,
    };
    let judgement = judge(chain, server_name, roots, now.unix_s());
    let mut outcome = match (&judgement.verdict, shaken) {
        (Verdict::Invalid { reason, detail }, shaken) => {
            let outcome = Outcome::failed(Kind::Certificate, detail).reason(reason.as_str());
            match shaken {
                Ok(_) => outcome,
                Err(failure) => outcome.and(&failure.detail),
            }
        }
        (_, Err(failure)) => failed(failure),
        (Verdict::Unsupported { what }, _) => {
            let detail =
                format!("the certificate's chain rests on {what}, which is not supported here");
            Outcome::failed(Kind::Tls, detail).reason(Cause::Unsupported.as_str())
        }
        (Verdict::Valid { warnings }, _) => {
            let mut notes = warnings.clone();
            if let Some(seen) = &judgement.seen
                && crossed(thresholds, seen, now) > 0
            {
                notes.insert(0, expiry_detail(seen, now));
            }
            if notes.is_empty() {
                Outcome::up(&judgement.summary)
            } else {
                Outcome::degraded(Kind::Certificate, notes.join("; "))
                    .reason(Reason::Other.as_str())
            }
        }
    };
    outcome.certificate = judgement.seen;
    outcome
}

fn failed(failure: &Failure) -> Outcome {
    let outcome = Outcome::failed(failure.kind, &failure.detail);
    match failure.reason {
        Some(reason) => outcome.reason(reason),
        None => outcome,
    }
}
