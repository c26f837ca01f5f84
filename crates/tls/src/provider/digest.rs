//! SHA-256 and SHA-384, plain and as HMAC.

use hmac::Mac;
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::{Hmac, Key, Tag};
use sha2::Digest;

macro_rules! digest {
    ($hash:ident, $hmac:ident, $bytes:literal, $algorithm:expr) => {
        pub struct $hash;

        impl Hash for $hash {
            fn start(&self) -> Box<dyn Context> {
                Box::new(Running(sha2::$hash::new()))
            }

            fn hash(&self, data: &[u8]) -> Output {
                Output::new(&sha2::$hash::digest(data))
            }

            fn output_len(&self) -> usize {
                $bytes
            }

            fn algorithm(&self) -> HashAlgorithm {
                $algorithm
            }
        }

        impl Context for Running<sha2::$hash> {
            fn fork_finish(&self) -> Output {
                Output::new(&self.0.clone().finalize())
            }

            fn fork(&self) -> Box<dyn Context> {
                Box::new(Running(self.0.clone()))
            }

            fn finish(self: Box<Self>) -> Output {
                Output::new(&self.0.finalize())
            }

            fn update(&mut self, data: &[u8]) {
                Digest::update(&mut self.0, data);
            }
        }

        pub struct $hmac;

        impl Hmac for $hmac {
            fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
                Box::new(Keyed(keyed::<hmac::Hmac<sha2::$hash>>(key)))
            }

            fn hash_output_len(&self) -> usize {
                $bytes
            }
        }

        impl Key for Keyed<hmac::Hmac<sha2::$hash>> {
            fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
                let mut mac = self.0.clone();
                mac.update(first);
                middle.iter().for_each(|part| mac.update(part));
                mac.update(last);
                Tag::new(&mac.finalize().into_bytes())
            }

            fn tag_len(&self) -> usize {
                $bytes
            }
        }
    };
}

struct Running<D>(D);
struct Keyed<M>(M);

digest!(Sha256, HmacSha256, 32, HashAlgorithm::SHA256);
digest!(Sha384, HmacSha384, 48, HashAlgorithm::SHA384);

fn keyed<M: Mac + hmac::digest::KeyInit>(key: &[u8]) -> M {
    match <M as hmac::digest::KeyInit>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of every length"),
    }
}
