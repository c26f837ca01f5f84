//! Who sees how much: by a token in a header, or by the cookie that the form gives for it.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use watchbell_core::secret::{bearer, same};
use watchbell_core::settings::StatusSettings;
use watchbell_core::time::UnixMs;

use crate::view::Sight;
use crate::web::Request;

/// How much this request may see; `None` where nothing is shown without the token, and for
/// another token: who gives one does not mean to see less.
pub fn sight(settings: &StatusSettings, request: &Request<'_>, now: UnixMs) -> Option<Sight> {
    let Some(token) = settings.token.as_deref() else {
        return settings.public.then_some(Sight::Public);
    };
    match bearer(request.authorization.as_bytes()) {
        Some(given) => same(given, token.as_bytes()).then_some(Sight::Full),
        None if signed_in(token, request, now) => Some(Sight::Full),
        None => settings.public.then_some(Sight::Public),
    }
}

/// The cookie's name.
pub const COOKIE: &str = "watchbell";
const LASTS_S: u64 = 30 * 86_400;

/// A cookie that says until when its bearer is signed in, sealed with the token: another token
/// ends all of them, and nothing need be stored.
pub fn cookie(token: &str, secure: bool, now: UnixMs) -> String {
    let until_s = now.unix_s().unsigned_abs() + LASTS_S;
    let seal = seal(token, until_s);
    set(&format!("{until_s}.{seal}"), LASTS_S, secure)
}

/// The cookie that takes it back.
pub fn no_cookie(secure: bool) -> String {
    set("", 0, secure)
}

fn set(value: &str, max_age_s: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}")
}

fn signed_in(token: &str, request: &Request<'_>, now: UnixMs) -> bool {
    let pairs = request
        .cookie
        .split(';')
        .filter_map(|p| p.trim().split_once('='));
    let mut ours = pairs.filter(|(name, _)| *name == COOKIE);
    ours.any(|(_, value)| {
        let Some((until, given)) = value.split_once('.') else {
            return false;
        };
        let until_s = until.parse::<u64>().unwrap_or(0);
        let valid = now.unix_s().unsigned_abs() < until_s;
        same(given.as_bytes(), seal(token, until_s).as_bytes()) && valid
    })
}

fn seal(token: &str, until_s: u64) -> String {
    // HMAC takes a key of any length, so the error cannot happen; an empty seal is none, for
    // `signed_in` compares with the same.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(token.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("watchbell status until {until_s}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the form's token is the one.
pub fn is_token(settings: &StatusSettings, given: &str) -> bool {
    let token = settings.token.as_deref();
    token.is_some_and(|token| same(given.trim().as_bytes(), token.as_bytes()))
}
