//! Datagrams that come to a STUN request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchbell_protocol::stun::Transaction;

fuzz_target!(|data: &[u8]| {
    let Ok(transaction) = Transaction::new() else {
        return;
    };
    transaction.read(data);
    // The same as an answer to this very request.
    let request = transaction.request();
    let mut answer = data.to_vec();
    if let (Some(head), Some(ours)) = (answer.get_mut(4..20), request.get(4..20)) {
        head.copy_from_slice(ours);
        transaction.read(&answer);
    }
});
