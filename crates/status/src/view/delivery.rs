//! What became of messages: for who bears the token.

use serde::{Deserialize, Serialize};

use super::Time;
use crate::records::Records;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    pub channels: Vec<Channel>,
    /// Messages on their way.
    pub waiting: usize,
    /// The newest first.
    pub dead_letters: Vec<DeadLetter>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Channel {
    pub channel: String,
    pub delivered: u64,
    /// Attempts.
    pub failed: u64,
    pub dead: u64,
    /// Messages that wait for it.
    pub waiting: usize,
    /// Of the last attempt, where that failed.
    pub last_error: Option<String>,
}

/// What a channel has refused for good, or had no room for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetter {
    pub id: String,
    pub channel: String,
    pub at: Time,
    pub error: String,
    pub summary: String,
}

pub fn delivery(records: &Records) -> Delivery {
    let outbox = &records.ledger.outbox;
    let waiting = |channel: &str| {
        let waits = outbox.messages.iter().filter(|m| m.waits_for(channel));
        waits.count()
    };
    let channels = outbox.names().into_iter().map(|name| {
        let c = outbox.channels.get(name).cloned().unwrap_or_default();
        Channel {
            channel: name.to_owned(),
            delivered: c.delivered,
            failed: c.failed,
            dead: c.dead,
            waiting: waiting(name),
            last_error: c.last_error,
        }
    });
    let dead = outbox.dead.iter().rev().map(|d| DeadLetter {
        id: d.notice.id.clone(),
        channel: d.channel.clone(),
        at: d.at.into(),
        error: d.error.clone(),
        summary: d.notice.title(),
    });
    Delivery {
        channels: channels.collect(),
        waiting: outbox.messages.len(),
        dead_letters: dead.collect(),
    }
}
