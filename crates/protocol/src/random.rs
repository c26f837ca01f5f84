//! Fresh bytes for keys, nonces and transaction ids.

use watchbell_core::outcome::Kind;

use crate::fault::Fault;

pub fn bytes<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Fault::new(
            Kind::Internal,
            None,
            "the host gives no randomness",
        )),
    }
}
