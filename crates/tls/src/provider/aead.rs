//! AES-GCM and ChaCha20-Poly1305 as TLS 1.2 (RFC 5288, RFC 7905) and TLS 1.3
//! (RFC 8446, section 5.2) use them.

use std::marker::PhantomData;

use aes_gcm::aead::{AeadInPlace, KeyInit};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter,
    MessageEncrypter, NONCE_LEN, Nonce, OutboundOpaqueMessage, OutboundPlainMessage,
    PrefixedPayload, Tls12AeadAlgorithm, Tls13AeadAlgorithm, UnsupportedOperationError,
    make_tls12_aad, make_tls13_aad,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

pub static AES_128_GCM: Algorithm<aes_gcm::Aes128Gcm, EXPLICIT> = Algorithm::new(16);
pub static AES_256_GCM: Algorithm<aes_gcm::Aes256Gcm, EXPLICIT> = Algorithm::new(32);
pub static CHACHA20_POLY1305: Algorithm<chacha20poly1305::ChaCha20Poly1305, 0> = Algorithm::new(32);

/// In TLS 1.2, AES-GCM sends the last 8 bytes of its nonce in front of each record.
const EXPLICIT: usize = 8;
const TAG: usize = 16;

/// `EXPLICIT` bytes of a TLS 1.2 nonce travel in the record; the rest is fixed.
pub struct Algorithm<A, const EXPLICIT: usize> {
    key_bytes: usize,
    cipher: PhantomData<fn() -> A>,
}

/// What both directions of both versions hold.
struct Cipher<A, const EXPLICIT: usize> {
    aead: A,
    iv: Iv,
}

struct Tls12<A, const EXPLICIT: usize>(Cipher<A, EXPLICIT>);
struct Tls13<A, const EXPLICIT: usize>(Cipher<A, EXPLICIT>);

pub trait Primitive: AeadInPlace + KeyInit + Send + Sync + 'static {}
impl<A: AeadInPlace + KeyInit + Send + Sync + 'static> Primitive for A {}

impl<A, const EXPLICIT: usize> Algorithm<A, EXPLICIT> {
    const fn new(key_bytes: usize) -> Self {
        Self {
            key_bytes,
            cipher: PhantomData,
        }
    }
}

impl<A: Primitive, const EXPLICIT: usize> Algorithm<A, EXPLICIT> {
    fn cipher(key: &AeadKey, iv: Iv) -> Cipher<A, EXPLICIT> {
        match A::new_from_slice(key.as_ref()) {
            Ok(aead) => Cipher { aead, iv },
            Err(_) => unreachable!("rustls cuts keys to the length asked for"),
        }
    }

    /// The implicit part of the nonce, and the explicit one when writing.
    fn iv(fixed: &[u8], explicit: &[u8]) -> Iv {
        let mut iv = [0; NONCE_LEN];
        let bytes = fixed.iter().chain(explicit);
        iv.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Iv::from(iv)
    }
}

impl<A: Primitive, const EXPLICIT: usize> Tls13AeadAlgorithm for Algorithm<A, EXPLICIT> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Tls13(Self::cipher(&key, iv)))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Tls13(Self::cipher(&key, iv)))
    }

    fn key_len(&self) -> usize {
        self.key_bytes
    }

    fn extract_keys(
        &self,
        _: AeadKey,
        _: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl<A: Primitive, const EXPLICIT: usize> Tls12AeadAlgorithm for Algorithm<A, EXPLICIT> {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        Box::new(Tls12(Self::cipher(&key, Self::iv(iv, extra))))
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Tls12(Self::cipher(&key, Self::iv(iv, &[]))))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        KeyBlockShape {
            enc_key_len: self.key_bytes,
            fixed_iv_len: NONCE_LEN - EXPLICIT,
            explicit_nonce_len: EXPLICIT,
        }
    }

    fn extract_keys(
        &self,
        _: AeadKey,
        _: &[u8],
        _: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl<A: Primitive, const EXPLICIT: usize> Cipher<A, EXPLICIT> {
    /// Encrypts what follows the first `skip` bytes and appends the tag.
    fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        payload: &mut PrefixedPayload,
        skip: usize,
    ) -> Result<(), Error> {
        let text = payload
            .as_mut()
            .get_mut(skip..)
            .ok_or(Error::EncryptError)?;
        let tag = self
            .aead
            .encrypt_in_place_detached(nonce[..].into(), aad, text)
            .map_err(|_| Error::EncryptError)?;
        payload.extend_from_slice(&tag);
        Ok(())
    }

    /// Decrypts in place and gives the length of the plain text.
    fn open(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], sealed: &mut [u8]) -> Result<usize, Error> {
        let plain = sealed.len().checked_sub(TAG).ok_or(Error::DecryptError)?;
        let (text, tag) = sealed.split_at_mut(plain);
        self.aead
            .decrypt_in_place_detached(nonce[..].into(), aad, text, (&*tag).into())
            .map_err(|_| Error::DecryptError)?;
        Ok(plain)
    }
}

impl<A: Primitive, const EXPLICIT: usize> MessageEncrypter for Tls13<A, EXPLICIT> {
    fn encrypt(
        &mut self,
        m: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let total = self.encrypted_payload_len(m.payload.len());
        let mut payload = PrefixedPayload::with_capacity(total);
        payload.extend_from_chunks(&m.payload);
        payload.extend_from_slice(&m.typ.to_array());
        let nonce = Nonce::new(&self.0.iv, seq).0;
        self.0
            .seal(&nonce, &make_tls13_aad(total), &mut payload, 0)?;
        Ok(OutboundOpaqueMessage::new(
            ContentType::ApplicationData,
            // The version of the record layer stands still at 1.2 in TLS 1.3.
            ProtocolVersion::TLSv1_2,
            payload,
        ))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1 + TAG
    }
}

impl<A: Primitive, const EXPLICIT: usize> MessageDecrypter for Tls13<A, EXPLICIT> {
    fn decrypt<'a>(
        &mut self,
        mut m: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let aad = make_tls13_aad(m.payload.len());
        let nonce = Nonce::new(&self.0.iv, seq).0;
        let plain = self.0.open(&nonce, &aad, &mut m.payload)?;
        m.payload.truncate(plain);
        m.into_tls13_unpadded_message()
    }
}

impl<A: Primitive, const EXPLICIT: usize> MessageEncrypter for Tls12<A, EXPLICIT> {
    fn encrypt(
        &mut self,
        m: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let mut payload =
            PrefixedPayload::with_capacity(self.encrypted_payload_len(m.payload.len()));
        let nonce = Nonce::new(&self.0.iv, seq).0;
        payload.extend_from_slice(&nonce[NONCE_LEN - EXPLICIT..]);
        payload.extend_from_chunks(&m.payload);
        let aad = make_tls12_aad(seq, m.typ, m.version, m.payload.len());
        self.0.seal(&nonce, &aad, &mut payload, EXPLICIT)?;
        Ok(OutboundOpaqueMessage::new(m.typ, m.version, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        EXPLICIT + payload_len + TAG
    }
}

impl<A: Primitive, const EXPLICIT: usize> MessageDecrypter for Tls12<A, EXPLICIT> {
    fn decrypt<'a>(
        &mut self,
        mut m: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let plain = m
            .payload
            .len()
            .checked_sub(EXPLICIT + TAG)
            .ok_or(Error::DecryptError)?;
        let mut nonce = Nonce::new(&self.0.iv, seq).0;
        if EXPLICIT > 0 {
            let fixed = NONCE_LEN - EXPLICIT;
            nonce[..fixed].copy_from_slice(&self.0.iv.as_ref()[..fixed]);
            nonce[fixed..].copy_from_slice(&m.payload[..EXPLICIT]);
        }
        let aad = make_tls12_aad(seq, m.typ, m.version, plain);
        self.0.open(&nonce, &aad, &mut m.payload[EXPLICIT..])?;
        Ok(m.into_plain_message_range(EXPLICIT..EXPLICIT + plain))
    }
}
