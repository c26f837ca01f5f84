//! What Headscale's clients speak: HTTP/1.1 upgrades, the control protocol (Noise), DERP,
//! STUN.
//!
//! Streams are `Read + Write` and bring their own deadline; everything here runs natively
//! too. What a peer sends is bounded before it is kept.

mod buffered;
pub mod control;
pub mod derp;
mod fault;
mod hex;
pub mod http1;
pub mod noise;
mod random;
mod reason;
#[cfg(test)]
mod scripted;
pub mod stun;
pub mod upgrade;

pub use buffered::Buffered;
pub use fault::Fault;
pub use reason::Reason;
