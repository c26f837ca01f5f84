//! Who receives what the channels send, all of them at one address: the first segment of the
//! path says which.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::server::Server;
use crate::wait;
use crate::wire::{Request, Response, read_request};

/// A receiver of everything: by path, what came, and what is answered.
pub struct Receivers {
    server: Server,
    inbox: Arc<Mutex<Inbox>>,
}

#[derive(Default)]
struct Inbox {
    requests: Vec<(Instant, Request)>,
    /// By the first segment of the path; 200 otherwise.
    answers: BTreeMap<String, Response>,
}

impl Receivers {
    pub fn start() -> Self {
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let theirs = inbox.clone();
        let server = Server::start(move |mut stream| {
            let Ok(request) = read_request(&mut stream) else {
                return;
            };
            let answer = {
                let mut inbox = theirs.lock().unwrap();
                let first = segment(&request.path);
                let answer = inbox.answers.get(&first).cloned();
                inbox.requests.push((Instant::now(), request));
                answer
            };
            let ok = Response::new(200, "application/json", "{}");
            let bytes = answer.unwrap_or(ok).to_bytes();
            let _ = stream.write_all(&bytes);
        });
        Self { server, inbox }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addr())
    }

    pub fn answer(&self, channel: &str, answer: Option<Response>) {
        let mut inbox = self.inbox.lock().unwrap();
        match answer {
            Some(answer) => drop(inbox.answers.insert(channel.to_owned(), answer)),
            None => drop(inbox.answers.remove(channel)),
        }
    }

    /// What came for that channel.
    pub fn of(&self, channel: &str) -> Vec<(Instant, Request)> {
        let inbox = self.inbox.lock().unwrap();
        let all = inbox.requests.iter();
        all.filter(|(_, r)| segment(&r.path) == channel)
            .cloned()
            .collect()
    }

    pub fn wait_for(&self, channel: &str, enough: usize) -> Vec<(Instant, Request)> {
        wait::until(&format!("{enough} requests to {channel}"), || {
            let all = self.of(channel);
            (all.len() >= enough).then_some(all)
        })
    }

    /// Every channel, pointed here.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("slack_url", self.url("/slack/T/B/secret")),
            ("discord_url", self.url("/discord/1/secret")),
            ("ntfy_url", self.url("/ntfy/topic")),
            ("ntfy_token", "tk_secret".into()),
            ("alertmanager_url", self.url("/alertmanager")),
            ("teams_url", self.url("/teams/secret")),
            ("gotify_url", self.url("/gotify")),
            ("gotify_token", "Asecret".into()),
            ("template_url", self.url("/template")),
            ("template_body", "{\"text\": {{ data.summary }}}".into()),
        ]
    }
}

fn segment(path: &str) -> String {
    path.split('/').nth(1).unwrap_or_default().to_owned()
}
