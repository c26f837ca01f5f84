//! Answers of HTTP/1.1, and what the control check reads in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchbell_fuzz::peer;
use watchbell_protocol::http1::{self, BODY_BYTES_MAX, Request};
use watchbell_protocol::{control, derp};

fuzz_target!(|data: &[u8]| {
    let mut stream = peer(data);
    let request = Request {
        method: "GET",
        authority: "h",
        path: "/",
        headers: &[],
    };
    while let Ok((head, body)) = http1::exchange(&mut stream, &request) {
        assert!(body.bytes.len() <= BODY_BYTES_MAX);
        let _ = control::read_key(&head, &body);
        let _ = control::read_version(&head, &body);
        if !body.reusable {
            break;
        }
    }
    let key = control::ServerKey([9; 32]);
    let _ = control::open(&mut peer(data), "h", control::VERSION, &key);
    if let Ok(Err(declined)) = derp::Client::knock(peer(data), "h") {
        derp::refused(&declined);
    }
});
