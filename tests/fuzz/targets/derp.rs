//! Frames of a relay, after an upgrade that went well.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchbell_fuzz::peer;
use watchbell_protocol::derp::{Client, server};

const HEAD: &[u8] = b"HTTP/1.1 101 S\r\nUpgrade: DERP\r\n\r\n";

fuzz_target!(|data: &[u8]| {
    let Some((first, frames)) = data.split_first() else {
        return;
    };
    // With a true greeting, so that what follows is reached, or with what is made up.
    let greeting = match first % 2 {
        0 => server::greeting(&[5; 32]),
        _ => Vec::new(),
    };
    let script = [&[*first], HEAD, &greeting, frames].concat();
    if let Ok(Ok(mut client)) = Client::knock(peer(&script), "h") {
        let _ = client.introduce();
        let _ = client.receive(&[4; 32]);
        let _ = client.ping();
        let _ = (client.complaint(), client.restarting());
    }
});
