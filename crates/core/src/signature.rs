//! Standard Webhooks signatures (standard-webhooks 1.0, "symmetric").

use base64::Engine as _;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The value of `webhook-signature`: `v1,` and the base64 HMAC-SHA256 over `id.timestamp.body`.
pub fn sign(secret: &[u8], id: &str, timestamp_unix_s: i64, body: &[u8]) -> String {
    // HMAC takes a key of any length; the error cannot happen, and an empty
    // signature is refused by every receiver.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(format!("{id}.{timestamp_unix_s}.").as_bytes());
    mac.update(body);
    format!(
        "v1,{}",
        base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks documentation.
    #[test]
    fn a_signature_is_the_one_receivers_compute() {
        let secret = base64::engine::general_purpose::STANDARD
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .unwrap();
        let got = sign(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(got, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
