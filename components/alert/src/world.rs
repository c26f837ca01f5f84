//! The host, as a run of the alert component sees it.

use std::time::Duration;

use watchbell_core::alerting::{Answer, World};
use watchbell_core::channel;
use watchbell_core::store::{Failed, Store};
use watchbell_core::time::UnixMs;
use watchbell_guest::Deadline;
use watchbell_guest::outgoing::{Request, post};
use watchbell_guest::store;

/// A run ends after this, its last attempt included, and leaves the rest to the next
/// sweep: the clouds cut a request at 30 s.
const RUN_MAX: Duration = Duration::from_secs(28);

pub struct Here {
    records: Box<dyn Store>,
    deadline: Deadline,
}

impl Here {
    pub fn open() -> Result<Self, Failed> {
        Ok(Self {
            records: store::open_all()?,
            deadline: Deadline::after(RUN_MAX),
        })
    }
}

impl World for Here {
    fn left(&self) -> Duration {
        self.deadline.remaining()
    }

    fn send(&self, request: &channel::Request, timeout: Duration) -> Result<Answer, String> {
        let agent = concat!("watchbell/", env!("CARGO_PKG_VERSION"));
        let mut headers = request.headers.clone();
        headers.push(("user-agent".to_owned(), agent.to_owned()));
        let request = Request {
            method: "POST",
            url: &request.url,
            headers: &headers,
            body: &request.body,
        };
        post(&request, Deadline::after(timeout)).map_err(|outcome| outcome.detail)
    }
}

impl Store for Here {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.records.get(key)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        self.records.set(key, value)
    }

    fn delete(&self, key: &str) -> Result<(), Failed> {
        self.records.delete(key)
    }

    fn keys(&self) -> Result<Vec<String>, Failed> {
        self.records.keys()
    }

    fn log(&self, line: &str) {
        self.records.log(line);
    }

    fn now(&self) -> UnixMs {
        self.records.now()
    }
}
