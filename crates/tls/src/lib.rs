//! TLS for guests: a client with a pure-Rust provider that completes the handshake
//! whatever certificate it is shown, and the judgement over that certificate.
//!
//! Everything here runs natively too: streams are `Read + Write`, the clock is a
//! parameter. What a caller must not forget: [`handshake()`] trusts nobody. Only
//! [`judge()`] says whether the certificate is good.

mod alert;
mod certificate;
mod der;
mod facts;
mod handshake;
mod judge;
mod outcome;
mod path;
pub mod plain;
mod provider;
mod reasons;
mod roots;
mod witness;

pub use certificate::{Certificate, Key};
pub use facts::facts;
pub use handshake::{Failure, Handshake, Negotiated, Stop, TlsStream, handshake};
pub use judge::{Judgement, Verdict, judge};
pub use outcome::outcome;
pub use provider::{RSA_BITS_MAX, provider};
pub use reasons::{Cause, Reason};
pub use roots::Roots;
pub use rustls::pki_types::CertificateDer;
