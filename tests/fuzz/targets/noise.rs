//! A server's half of the Noise handshake, as it comes, and what a server with the right
//! key says after it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchbell_fuzz::peer;
use watchbell_protocol::Buffered;
use watchbell_protocol::control::{VERSION, read_early};
use watchbell_protocol::noise::{Initiation, server};

const PRIVATE: [u8; 32] = [7; 32];

fuzz_target!(|data: &[u8]| {
    let public = server::public(&PRIVATE);
    let Ok(initiation) = Initiation::new(VERSION, &public) else {
        return;
    };
    let Some((answer, mut theirs)) = server::respond(&PRIVATE, initiation.message()) else {
        unreachable!("the server has the key")
    };
    if data.first().is_some_and(|b| b % 2 == 0) {
        // Neither a key nor a server: only bytes.
        assert!(initiation.finish(&mut peer(data)).is_err());
        return;
    }
    // Records that are truly sealed, of what the fuzzer has made up.
    let mut said = answer;
    for content in data.get(1..).unwrap_or_default().chunks(40) {
        let mut record = Buffered::new(std::io::Cursor::new(Vec::new()));
        if theirs.write(&mut record, content).is_ok() {
            said.extend(record.stream_mut().get_ref());
        }
    }
    let mut stream = Buffered::new(said.as_slice());
    if let Ok(mut ours) = initiation.finish(&mut stream) {
        let _ = read_early(&mut ours, &mut stream);
    }
});
