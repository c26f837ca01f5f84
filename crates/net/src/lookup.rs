//! One resolver's share of a lookup: which questions are open, what an answer leads to,
//! and what all of them come to. Pure; [`crate::resolve()`] moves the bytes.

use std::net::IpAddr;

use watchbell_core::outcome::Kind;
use watchbell_core::settings::Family;

use crate::dns::{ALIASES_MAX, Answer, DomainName, Question, Record};

/// The lookup of one name at one resolver: a question for each record type.
pub struct Lookup {
    family: Family,
    tracks: Vec<Track>,
}

/// One record type's way through aliases to an answer.
struct Track {
    question: Question,
    aliases: usize,
    state: State,
    /// What came of asking over TCP, where nothing did.
    over_tcp: Option<String>,
}

/// Open and Stream end in Ended; an alias leads from both on to the next question.
enum State {
    /// Awaits a datagram.
    Open,
    /// Awaits TCP: the answer was cut, or UDP brought nothing, and why.
    Stream(Option<Trouble>),
    Ended(End),
}

enum End {
    Answer(Answer),
    Trouble(Trouble),
}

/// Why there is no answer: what the host said, as a kind and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: Kind,
    pub words: String,
}

/// What a message was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// No answer to anything that is open: ignored.
    Stranger,
    Answer,
    /// An answer that leads to a further question.
    Further,
}

/// How far the lookup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Waiting,
    /// What is there suffices; the other family may add to it.
    Enough,
    /// No question awaits a datagram.
    Over,
}

/// Why a resolver gave no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: Kind,
    pub reason: Option<&'static str>,
    pub words: String,
    /// What the DNS says of the name itself: no other resolver is asked.
    pub last_word: bool,
}

impl Lookup {
    pub fn new(name: &DomainName, family: Family, new_id: &dyn Fn() -> u16) -> Self {
        let records: &[Record] = match family {
            Family::Any | Family::Both => &[Record::Aaaa, Record::A],
            Family::Ipv4 => &[Record::A],
            Family::Ipv6 => &[Record::Aaaa],
        };
        let track = |record: &Record| Track {
            question: Question::new(new_id(), name.clone(), *record),
            aliases: 0,
            state: State::Open,
            over_tcp: None,
        };
        Self {
            family,
            tracks: records.iter().map(track).collect(),
        }
    }

    /// The questions that await a datagram.
    pub fn open(&self) -> impl Iterator<Item = &Question> {
        self.tracks
            .iter()
            .filter(|t| matches!(t.state, State::Open))
            .map(|t| &t.question)
    }

    /// The questions to be asked over TCP.
    pub fn streams(&self) -> impl Iterator<Item = &Question> {
        self.tracks
            .iter()
            .filter(|t| matches!(t.state, State::Stream(_)))
            .map(|t| &t.question)
    }

    /// Whether what is there suffices, whatever becomes of the rest.
    pub fn suffices(&self) -> bool {
        self.family != Family::Both && self.tracks.iter().any(|t| !t.addresses().is_empty())
    }

    /// Takes a datagram.
    pub fn take(&mut self, message: &[u8], new_id: &dyn Fn() -> u16) -> Taken {
        for track in &mut self.tracks {
            if matches!(track.state, State::Open)
                && let Some(answer) = track.question.read(message)
            {
                return track.take(answer, new_id);
            }
        }
        Taken::Stranger
    }

    /// Takes what came over TCP for the first of [`Self::streams`].
    pub fn take_tcp(&mut self, message: Result<Vec<u8>, Trouble>, new_id: &dyn Fn() -> u16) {
        for track in &mut self.tracks {
            if let State::Stream(over_udp) = &mut track.state {
                let over_udp = over_udp.take();
                return track.take_tcp(message, over_udp, new_id);
            }
        }
    }

    /// What awaits a datagram waits no longer: it is asked over TCP, unless it was, nothing
    /// may be asked, or what is there suffices.
    pub fn give_up(&mut self, trouble: &Trouble) {
        let ends = trouble.kind == Kind::Denied || self.suffices();
        for track in &mut self.tracks {
            if matches!(track.state, State::Open) {
                track.state = if ends || track.over_tcp.is_some() {
                    State::Ended(End::Trouble(trouble.clone().after(track.over_tcp.take())))
                } else {
                    State::Stream(Some(trouble.clone()))
                };
            }
        }
    }

    pub fn progress(&self) -> Progress {
        if self.open().next().is_none() {
            Progress::Over
        } else if self.family == Family::Any
            && self
                .tracks
                .iter()
                .any(|t| matches!(t.state, State::Stream(_)) || !t.addresses().is_empty())
        {
            Progress::Enough
        } else {
            Progress::Waiting
        }
    }

    /// All answers as one result. An address of either family is enough, unless both
    /// are asked for. Of several causes the most certain is told: that the name does
    /// not exist, that the server failed, that it may not be asked, that it is silent,
    /// that the name has no address.
    pub fn conclude(&self) -> Result<Vec<IpAddr>, Refusal> {
        let found: Vec<IpAddr> = self
            .tracks
            .iter()
            .flat_map(Track::addresses)
            .copied()
            .collect();
        let missing = || self.tracks.iter().filter(|t| t.addresses().is_empty());
        let enough = match self.family {
            Family::Both => missing().next().is_none(),
            _ => !found.is_empty(),
        };
        if enough {
            return Ok(found);
        }
        let telling = missing().map(Track::refusal).min_by_key(Refusal::rank);
        Err(match telling {
            Some(refusal) if refusal.rank() < NO_ADDRESS_RANK || missing().count() == 1 => refusal,
            _ => no_address("the name has no address"),
        })
    }
}

impl Track {
    fn take(&mut self, answer: Answer, new_id: &dyn Fn() -> u16) -> Taken {
        self.state = match answer {
            Answer::Truncated => State::Stream(None),
            // Something on the way may have mangled it that does not touch TCP.
            Answer::Unreadable => State::Stream(Some(Trouble {
                kind: Kind::Protocol,
                words: UNREADABLE.into(),
            })),
            Answer::Alias(target) if self.aliases < ALIASES_MAX => {
                self.aliases += 1;
                // The id and the port are what a forger off the path must guess
                // (RFC 5452): a further question has an id of its own.
                self.question = Question::new(new_id(), target, self.question.record());
                self.state = State::Open;
                return Taken::Further;
            }
            Answer::Alias(_) => State::Ended(End::Answer(Answer::ServerFailed(
                "a loop of aliases".into(),
            ))),
            other => State::Ended(End::Answer(other)),
        };
        Taken::Answer
    }

    /// `over_udp` is why it was not answered there.
    fn take_tcp(
        &mut self,
        message: Result<Vec<u8>, Trouble>,
        over_udp: Option<Trouble>,
        new_id: &dyn Fn() -> u16,
    ) {
        let trouble = match message.map(|m| self.question.read(&m)) {
            Ok(Some(Answer::Truncated)) => Trouble::over_tcp(Kind::Protocol, "an answer cut short"),
            Ok(None | Some(Answer::Unreadable)) => Trouble::over_tcp(Kind::Protocol, UNREADABLE),
            Ok(Some(answer)) => {
                if self.take(answer, new_id) == Taken::Further && over_udp.is_some() {
                    // It would bring nothing this time either.
                    self.state = State::Stream(over_udp);
                }
                return;
            }
            Err(trouble) => trouble,
        };
        self.state = match over_udp {
            // The answer may be slow and no more: what is left of the time goes to UDP again.
            Some(silent) if silent.kind == Kind::Timeout => {
                self.over_tcp = Some(trouble.words);
                State::Open
            }
            Some(over_udp) => State::Ended(End::Trouble(over_udp.after(Some(trouble.words)))),
            None => State::Ended(End::Trouble(trouble)),
        };
    }

    fn addresses(&self) -> &[IpAddr] {
        match &self.state {
            State::Ended(End::Answer(Answer::Addresses(list))) => list,
            _ => &[],
        }
    }

    fn refusal(&self) -> Refusal {
        let dns = |reason, words: String| Refusal {
            kind: Kind::Dns,
            reason: Some(reason),
            words,
            last_word: reason == "nxdomain",
        };
        match &self.state {
            State::Ended(End::Answer(Answer::NoSuchName)) => {
                dns("nxdomain", "the name does not exist (NXDOMAIN)".into())
            }
            State::Ended(End::Answer(Answer::ServerFailed(words))) => {
                dns("servfail", words.to_string())
            }
            State::Ended(End::Trouble(trouble)) if trouble.kind == Kind::Denied => Refusal {
                kind: Kind::Denied,
                reason: None,
                words: trouble.words.clone(),
                last_word: false,
            },
            State::Ended(End::Trouble(trouble)) => dns("no-answer", trouble.words.clone()),
            State::Open | State::Stream(_) => dns("no-answer", "no answer".into()),
            State::Ended(End::Answer(_)) => no_address(match self.question.record() {
                Record::A => "the name has no IPv4 address",
                Record::Aaaa => "the name has no IPv6 address",
            }),
        }
    }
}

const NO_ADDRESS_RANK: u8 = 4;
/// What an answer is whose records cannot be read.
const UNREADABLE: &str = "an answer that cannot be read";

impl Trouble {
    /// With what came of asking over TCP, too.
    fn after(mut self, over_tcp: Option<String>) -> Self {
        if let Some(words) = over_tcp {
            self.words = format!("{}; {words}", self.words);
        }
        self
    }

    pub fn over_tcp(kind: Kind, words: &str) -> Self {
        Self {
            kind,
            words: format!("over TCP: {words}"),
        }
    }
}

impl Refusal {
    /// The most certain first; see [`Lookup::conclude`].
    pub fn rank(&self) -> u8 {
        match (self.kind, self.reason) {
            (_, Some("nxdomain")) => 0,
            (_, Some("servfail")) => 1,
            (Kind::Denied, _) => 2,
            (_, Some("no-answer")) => 3,
            _ => NO_ADDRESS_RANK,
        }
    }
}

fn no_address(words: &str) -> Refusal {
    Refusal {
        kind: Kind::Dns,
        reason: Some("no-address"),
        words: words.to_owned(),
        last_word: true,
    }
}

#[cfg(test)]
mod tests;
