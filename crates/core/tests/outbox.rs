//! Messages on their way: one channel's trouble is its own.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use watchbell_core::control::test_notice;
use watchbell_core::incident::Telling;
use watchbell_core::notice::{About, Notice};
use watchbell_core::outbox::{DEAD_MAX, How, MESSAGES_MAX, NotTaken, Outbox, Terms};
use watchbell_core::settings::Severity;
use watchbell_core::time::UnixMs;

const RETRY: Duration = Duration::from_secs(10);

fn at(second: u64) -> UnixMs {
    UnixMs(1_800_000_000_000 + second * 1_000)
}

fn terms(channel: &'static str) -> Terms {
    Terms {
        channel,
        severity_min: Severity::Info,
        services: Vec::new(),
        refusals_max: 1,
        per_minute: 600,
        keeps_state: None,
        works: true,
    }
}

/// Two channels: one that takes everything, one that nobody reaches.
fn both() -> [Terms; 2] {
    [terms("broken"), terms("well")]
}

/// A message of the incident with that number.
fn notice(number: u64, telling: Telling) -> Notice {
    let mut notice = test_notice(telling, at(number));
    notice.test = false;
    notice.id = format!("msg_{number}_{telling:?}");
    if let About::Incident { incident, .. } = &mut notice.about {
        incident.id = format!("inc_{number}");
    }
    notice
}

fn not_reached() -> NotTaken {
    failure(How::Unreached)
}

fn failure(how: How) -> NotTaken {
    NotTaken {
        how,
        why: "no".into(),
        retry_after: None,
    }
}

/// Delivers what is due at that moment; the ids that `well` got.
fn deliver(outbox: &mut Outbox, terms: &[Terms], now: UnixMs) -> Vec<String> {
    let mut got = Vec::new();
    outbox.sort(terms, now);
    while let Some((notice, channel)) = outbox.next(terms, now) {
        let of = terms.iter().find(|t| t.channel == channel).unwrap();
        if channel == "well" {
            outbox.delivered(&notice.id, of, now);
            got.push(notice.id);
        } else {
            outbox.failed(&notice.id, of, &not_reached(), RETRY, now);
        }
        outbox.sort(terms, now);
    }
    got
}

#[test]
fn a_channel_that_is_never_reached_holds_up_no_other() {
    let (terms, mut outbox) = (both(), Outbox::default());
    let count = u64::try_from(2 * MESSAGES_MAX).unwrap();
    for number in 0..count {
        outbox.push(notice(number, Telling::Triggered));
        let got = deliver(&mut outbox, &terms, at(number * 60));
        assert_eq!(got, [format!("msg_{number}_Triggered")]);
    }
    assert!(outbox.messages.len() <= MESSAGES_MAX);
    assert_eq!(outbox.channels["broken"].dead, count / 2);
    assert_eq!(outbox.channels["well"].dead, 0);
    assert_eq!(outbox.dead.len(), DEAD_MAX, "the newest of them");
    assert!(outbox.dead[0].error.contains("given up for newer ones; no"));
}

/// PagerDuty and Alertmanager say nothing of the end of what they have not heard of.
#[test]
fn who_keeps_incidents_hears_of_the_beginning_too() {
    let hold = Duration::from_secs(60);
    let keeps = Terms {
        keeps_state: Some(hold),
        ..terms("well")
    };
    let all = [keeps];
    let mut outbox = Outbox::default();
    for telling in [
        Telling::Triggered,
        Telling::Updated,
        Telling::Reminder,
        Telling::Resolved,
    ] {
        outbox.push(notice(1, telling));
    }
    assert_eq!(deliver(&mut outbox, &all, at(0)), ["msg_1_Triggered"]);
    assert!(
        deliver(&mut outbox, &all, at(59)).is_empty(),
        "until it is heard of"
    );
    assert_eq!(deliver(&mut outbox, &all, at(60)), ["msg_1_Resolved"]);
    assert!(outbox.messages.is_empty());
    // Who does not gets one message that tells both.
    outbox.push(notice(2, Telling::Triggered));
    outbox.push(notice(2, Telling::Resolved));
    let forgets = [terms("well")];
    assert_eq!(deliver(&mut outbox, &forgets, at(120)), ["msg_2_Resolved"]);
}

/// Whatever a filter is about, this node's own trouble is everybody's.
#[test]
fn a_filter_for_services_lets_this_node_through() {
    let only = Terms {
        services: vec!["mail".into()],
        ..terms("well")
    };
    for (service, accepted) in [("mail", true), ("watchbell", true), ("headscale", false)] {
        let mut notice = notice(1, Telling::Triggered);
        notice.service = service.into();
        assert_eq!(only.accept(&notice), accepted, "{service}");
    }
}

#[test]
fn a_message_alone_is_never_given_up_for_its_size() {
    let mut outbox = Outbox::default();
    let mut large = notice(1, Telling::Triggered);
    if let About::Incident { incident, .. } = &mut large.about {
        let affected = incident.checks.values().next().unwrap().clone();
        for number in 0..2_000 {
            incident
                .checks
                .insert(format!("check-{number}"), affected.clone());
        }
    }
    outbox.push(large);
    assert_eq!(
        deliver(&mut outbox, &[terms("well")], at(0)),
        ["msg_1_Triggered"]
    );
}

#[test]
fn a_dead_letter_is_tried_again_at_its_own_channel_alone() {
    let (terms, mut outbox) = (both(), Outbox::default());
    outbox.push(notice(1, Telling::Triggered));
    outbox.sort(&terms, at(0));
    outbox.delivered("msg_1_Triggered", &terms[1], at(0));
    outbox.failed(
        "msg_1_Triggered",
        &terms[0],
        &failure(How::Refused),
        RETRY,
        at(0),
    );
    outbox.sort(&terms, at(0));
    assert!(outbox.messages.is_empty());
    assert_eq!(outbox.dead.len(), 1);
    let open: BTreeSet<String> = ["inc_1".to_owned()].into();
    outbox.revive(at(1), &open);
    outbox.sort(&terms, at(60));
    let (again, channel) = outbox.next(&terms, at(60)).unwrap();
    assert_eq!((again.id.as_str(), channel), ("msg_1_Triggered", "broken"));
    outbox.delivered("msg_1_Triggered", &terms[0], at(60));
    outbox.sort(&terms, at(60));
    assert_eq!(outbox.next(&terms, at(60)), None);
}

/// Its end was told: that it began would open it again at a receiver that keeps state.
#[test]
fn what_is_over_is_not_told_to_begin() {
    let (terms, mut outbox) = (both(), Outbox::default());
    outbox.push(notice(1, Telling::Triggered));
    outbox.sort(&terms, at(0));
    for t in &terms {
        outbox.failed("msg_1_Triggered", t, &failure(How::Refused), RETRY, at(0));
    }
    outbox.revive(at(1), &BTreeSet::new());
    outbox.sort(&terms, at(60));
    assert_eq!(outbox.next(&terms, at(60)), None);
    assert!(outbox.dead.is_empty());
}

#[test]
fn channels_that_work_go_first() {
    let (terms, mut outbox) = (both(), Outbox::default());
    outbox.push(notice(1, Telling::Triggered));
    deliver(&mut outbox, &terms, at(0));
    // Long after: the broken one is due again, and would cost the run its time.
    outbox.push(notice(2, Telling::Triggered));
    outbox.sort(&terms, at(600));
    assert_eq!(outbox.next(&terms, at(600)).unwrap().1, "well");
}
