//! Between a check and the receiver: whatever fails there, every alert arrives, and
//! what arrives twice bears one id.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use watchbell_lab::headscale::State;
use watchbell_lab::manifest::Changes;
use watchbell_lab::port::Port;
use watchbell_lab::runtime::CHECK_TOKEN;
use watchbell_lab::scenario::{Lab, Setup, alert, expect_checks, expect_opened, on_each_host};
use watchbell_lab::server::{Gate, Server};
use watchbell_lab::wait;
use watchbell_lab::webhook::{Answers, Delivery};
use watchbell_lab::wire::read_request;

/// Attempts that fail before the receiver comes to its senses: several sweeps.
const ATTEMPTS: usize = 3;

/// The receiver fails in some way, and both messages of an outage come during it.
fn told_all_the_same(test: &str, answers: Answers) {
    on_each_host(test, |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.webhook.answers(answers);
        lab.headscale.state(State::DatabaseDown);
        let attempts = lab.webhook.wait_for_attempts(ATTEMPTS);
        let ids: HashSet<_> = attempts.iter().map(|d| &d.id).collect();
        assert_eq!(
            ids.len(),
            1,
            "an id is constant over retries: {attempts:#?}"
        );
        assert!(attempts.iter().all(|d| !d.accepted));
        lab.headscale.state(State::Healthy);
        lab.wait_for_status("up");
        lab.webhook.answers(Answers::Ok);
        let told = lab.webhook.wait_for(1);
        lab.wait_for_probes(2);
        both_in_one(&told);
        assert_eq!(lab.webhook.messages().len(), 1);
    });
}

/// One outage: its beginning, then its end.
fn in_order(told: &[Delivery]) {
    let health = [alert("health", "status")];
    expect_opened("database", &told[..1], &health);
    both_in_one(&told[1..]);
}

/// An outage that was over before anybody could be told is one message, which tells both.
fn both_in_one(told: &[Delivery]) {
    let [one] = told else {
        panic!("want one message, got {told:#?}");
    };
    assert_eq!(one.kind, "alert.resolved", "{one:#?}");
    expect_checks(one, &[alert("health", "status")]);
    assert_eq!(one.data("cause"), "database", "{one:#?}");
    assert!(one.data("failing_since").is_string() && one.data("resolved_at").is_string());
}

#[test]
fn receiver_answers_500() {
    told_all_the_same("receiver_answers_500", Answers::Status(500));
}

#[test]
fn receiver_answers_429() {
    told_all_the_same("receiver_answers_429", Answers::Status(429));
}

/// A redirect is no delivery: following it could send a secret elsewhere.
#[test]
fn receiver_redirects() {
    told_all_the_same("receiver_redirects", Answers::Status(307));
}

#[test]
fn receiver_never_answers() {
    told_all_the_same("receiver_never_answers", Answers::Hangs);
}

/// The receiver has it and its answer is lost: it comes again, recognisably.
#[test]
fn the_answer_is_lost() {
    told_all_the_same("the_answer_is_lost", Answers::Lost);
}

#[test]
fn the_answer_breaks_off() {
    told_all_the_same("the_answer_breaks_off", Answers::BreaksOff);
}

#[test]
fn a_slow_receiver_gets_it_once() {
    on_each_host("a_slow_receiver_gets_it_once", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.webhook
            .answers(Answers::Slow(Duration::from_millis(400)));
        lab.outage(
            "database",
            &[alert("health", "status")],
            |lab| lab.headscale.state(State::DatabaseDown),
            |lab| lab.headscale.state(State::Healthy),
        );
    });
}

/// Whoever has answered 2xx has it, whatever becomes of the answer's body.
#[test]
fn a_2xx_counts_without_its_body() {
    on_each_host("a_2xx_counts_without_its_body", |host| {
        for answers in [Answers::OkThenBreaksOff, Answers::OkThenHangs] {
            let mut lab = Lab::well(host, Setup::default());
            lab.webhook.answers(answers);
            lab.outage(
                "database",
                &[alert("health", "status")],
                |lab| lab.headscale.state(State::DatabaseDown),
                |lab| lab.headscale.state(State::Healthy),
            );
        }
    });
}

#[test]
fn receiver_down_for_several_sweeps() {
    on_each_host("receiver_down_for_several_sweeps", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.webhook.gate(Gate::Refused);
        lab.headscale.state(State::DatabaseDown);
        attempts_in_ledger(&lab, ATTEMPTS);
        lab.headscale.state(State::Healthy);
        lab.wait_for_status("up");
        lab.webhook.gate(Gate::Open);
        both_in_one(&lab.webhook.wait_for(1));
        lab.wait_for_probes(2);
        assert_eq!(lab.webhook.messages().len(), 1);
        lab.nothing_twice();
    });
}

/// What the alert component has tried in vain, by its own record.
fn attempts_in_ledger(lab: &Lab, attempts: usize) -> String {
    wait::until("failed attempts in the ledger", || {
        let ledger = lab.runtime.state().ledger()?;
        let first = &ledger["outbox"]["messages"][0];
        let tried = first["progress"]["webhook"]["attempts"].as_u64()?;
        let id = first["notice"]["id"].as_str()?;
        (usize::try_from(tried).unwrap() >= attempts).then(|| id.to_owned())
    })
}

/// Dead between the record and the delivery, in the middle of an attempt: the
/// message comes after the restart, under the id that it had.
#[test]
fn killed_while_delivering() {
    on_each_host("killed_while_delivering", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.webhook.answers(Answers::Hangs);
        lab.headscale.state(State::DatabaseDown);
        let attempted = lab.webhook.wait_for_attempts(1);
        lab.runtime.kill();
        lab.webhook.answers(Answers::Ok);
        lab.runtime.run();
        let told = lab.webhook.wait_for(1);
        assert_eq!(told[0].id, attempted[0].id);
        lab.headscale.state(State::Healthy);
        in_order(&lab.webhook.wait_for(2));
        lab.wait_for_probes(2);
        assert_eq!(lab.webhook.messages().len(), 2);
    });
}

/// Dead after the check has counted and before the alert component knows of it:
/// nobody was rung, nothing swept, and the record alone remembers.
#[test]
fn killed_before_anybody_was_told() {
    on_each_host("killed_before_anybody_was_told", |host| {
        let nobody = Port::reserve();
        let mute = Changes {
            no_sweep: true,
            ..Changes::default()
        };
        let mut lab = Lab::well(
            host,
            Setup {
                changes: mute,
                variables: vec![("alert_url", format!("http://{}", nobody.addr))],
                ..Setup::default()
            },
        );
        lab.headscale.state(State::DatabaseDown);
        let pending = wait::until("a transition in the record", || {
            let monitor = lab.runtime.state().monitor("health")?;
            monitor["pending"]
                .as_array()
                .filter(|p| p.len() == 1)
                .cloned()
        });
        lab.runtime.kill();
        assert!(lab.webhook.deliveries().is_empty(), "nobody was told");
        assert!(pending[0].to_string().contains("triggered"), "{pending:?}");
        lab.runtime.change(Changes::default());
        lab.webhook.answers(Answers::Lost);
        lab.runtime.run();
        let attempted = lab.webhook.wait_for_attempts(1);
        lab.runtime.kill();
        // The id comes from the record alone: without its ledger too, the alert
        // component makes the same one again.
        lab.runtime.state().forget_ledger();
        lab.webhook.answers(Answers::Ok);
        lab.runtime.run();
        let told = lab.webhook.wait_for(1);
        assert_eq!(told[0].id, attempted[0].id);
        expect_opened("database", &told, &[alert("health", "status")]);
        lab.headscale.state(State::Healthy);
        in_order(&lab.webhook.wait_for(2));
        lab.wait_for_probes(2);
        assert_eq!(lab.webhook.messages().len(), 2);
    });
}

// ------------------------------------------------------------ dead at each step of an alert's life
// (Dead in the middle of an attempt, and with the record alone, are above.)

/// Dead after the probe and before its record: the store is held while the target answers.
#[test]
fn killed_between_the_probe_and_its_record() {
    on_each_host("killed_between_the_probe_and_its_record", |host| {
        let mut lab = Lab::well(host, Setup::default());
        let state = lab.runtime.state();
        let held = state.hold();
        let before = state.monitor("health").unwrap();
        lab.headscale.state(State::DatabaseDown);
        let asked = lab.headscale.requests("/health");
        wait::until("the target to have been asked", || {
            (lab.headscale.requests("/health") > asked).then_some(())
        });
        lab.runtime.kill();
        drop(held);
        assert_eq!(state.monitor("health").unwrap(), before, "it was recorded");
        lab.runtime.run();
        once_and_its_end(&lab, None);
    });
}

/// Dead after the record and before anybody is rung: the ring is held on its way.
#[test]
fn killed_between_the_record_and_the_ring() {
    on_each_host("killed_between_the_record_and_the_ring", |host| {
        let door = Door::start();
        let setup = Setup {
            changes: Changes {
                no_sweep: true,
                ..Changes::default()
            },
            variables: vec![("alert_url", door.url())],
            ..Setup::default()
        };
        let mut lab = Lab::well(host, setup);
        lab.headscale.state(State::DatabaseDown);
        let state = lab.runtime.state();
        // It rings for the first failure too: what that one may mean is looked at.
        wait::until("a ring for the confirmed failure", || {
            let monitor = state.monitor("health")?;
            let pending = monitor["pending"].as_array()?.len();
            let rung_since = door.rung_at()? >= monitor["since"].as_u64()?;
            (pending == 1 && rung_since).then_some(())
        });
        lab.runtime.kill();
        assert!(lab.webhook.deliveries().is_empty(), "nobody was told");
        lab.runtime.change(Changes::default());
        lab.runtime.run();
        once_and_its_end(&lab, None);
    });
}

/// Dead after the message was stored and before it was sent: the receiver drops packets.
#[test]
fn killed_between_storing_and_sending() {
    on_each_host("killed_between_storing_and_sending", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.webhook.gate(Gate::Dropped);
        lab.headscale.state(State::DatabaseDown);
        let id = attempts_in_ledger(&lab, 0);
        lab.runtime.kill();
        lab.webhook.gate(Gate::Open);
        assert!(lab.webhook.deliveries().is_empty(), "nothing was sent");
        lab.runtime.run();
        once_and_its_end(&lab, Some(&id));
    });
}

/// Dead while the receiver has it and has not answered, and dead again the same way.
#[test]
fn killed_while_the_receiver_thinks() {
    on_each_host("killed_while_the_receiver_thinks", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.webhook.answers(Answers::Held);
        lab.headscale.state(State::DatabaseDown);
        for nth in 1..=2 {
            lab.webhook.wait_for_held();
            let id = attempts_in_ledger(&lab, 0);
            lab.runtime.kill();
            // To nobody.
            lab.webhook.answers(Answers::Lost);
            let lost = lab.webhook.wait_for_attempts(nth);
            assert!(lost.iter().all(|d| d.id == id && !d.accepted), "{lost:#?}");
            lab.webhook.answers(Answers::Held);
            lab.runtime.run();
        }
        lab.webhook.answers(Answers::Ok);
        let id = lab.webhook.deliveries()[0].id.clone();
        once_and_its_end(&lab, Some(&id));
    });
}

/// Dead after the receiver has taken it and before that is noted: it comes again, under
/// the id that it had. So at the beginning of an outage, and so at its end.
#[test]
fn killed_between_the_answer_and_its_note() {
    on_each_host("killed_between_the_answer_and_its_note", |host| {
        let setup = Setup {
            changes: Changes {
                // Longer than the store is held.
                variables: vec![("alert", "webhook_timeout", "10s".to_owned())],
                ..Changes::default()
            },
            ..Setup::default()
        };
        let mut lab = Lab::well(host, setup);
        for (nth, state) in [(1, State::DatabaseDown), (2, State::Healthy)] {
            lab.webhook.answers(Answers::Held);
            lab.headscale.state(state);
            lab.webhook.wait_for_held();
            let held = lab.runtime.state().hold();
            let before = lab.webhook.deliveries().len();
            lab.webhook.answers(Answers::Ok);
            let taken = lab.webhook.wait_for_attempts(before + 1);
            let taken = taken.last().unwrap();
            assert!(taken.accepted, "{taken:#?}");
            lab.runtime.kill();
            drop(held);
            lab.runtime.run();
            let told = lab.webhook.wait_for_attempts(before + 2);
            assert_eq!(told.last().unwrap().id, taken.id, "{told:#?}");
            lab.wait_for_probes(2);
            assert_eq!(lab.webhook.messages().len(), nth);
        }
        in_order(&lab.webhook.messages());
    });
}

/// The outage goes on: it is told once (under that id), and when it is mended so is its end.
fn once_and_its_end(lab: &Lab, id: Option<&str>) {
    let told = lab.webhook.wait_for(1);
    lab.wait_for_probes(2);
    assert_eq!(lab.webhook.messages().len(), 1);
    expect_opened("database", &told, &[alert("health", "status")]);
    if let Some(id) = id {
        assert_eq!(told[0].id, id);
    }
    lab.headscale.state(State::Healthy);
    in_order(&lab.webhook.wait_for(2));
    lab.wait_for_probes(2);
    assert_eq!(lab.webhook.messages().len(), 2);
}

/// Stands where the alert component is rung, takes each ring, and lets none through.
struct Door {
    server: Server,
    rung_at: Arc<Mutex<Option<SystemTime>>>,
}

impl Door {
    fn start() -> Self {
        let rung_at = Arc::new(Mutex::new(None));
        let theirs = rung_at.clone();
        let server = Server::start(move |mut stream| {
            if read_request(&mut stream).is_ok() {
                *theirs.lock().unwrap() = Some(SystemTime::now());
                // Until the check gives up.
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            }
        });
        Self { server, rung_at }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.addr())
    }

    /// When it was last rung, in Unix milliseconds.
    fn rung_at(&self) -> Option<u64> {
        let at = (*self.rung_at.lock().unwrap())?;
        let since = at.duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(since.as_millis()).ok()
    }
}

/// A ring that never arrives costs one sweep, not the alert.
#[test]
fn the_sweep_alone_delivers() {
    on_each_host("the_sweep_alone_delivers", |host| {
        let nobody = Port::reserve();
        let mut lab = Lab::well(
            host,
            Setup {
                variables: vec![("alert_url", format!("http://{}", nobody.addr))],
                ..Setup::default()
            },
        );
        lab.outage(
            "database",
            &[alert("health", "status")],
            |lab| lab.headscale.state(State::DatabaseDown),
            |lab| lab.headscale.state(State::Healthy),
        );
    });
}

/// The doorbell brings it at once; the time from the second failure is printed.
#[test]
fn the_ring_alone_delivers() {
    on_each_host("the_ring_alone_delivers", |host| {
        let mut lab = Lab::well(
            host,
            Setup {
                changes: Changes {
                    no_sweep: true,
                    ..Changes::default()
                },
                ..Setup::default()
            },
        );
        let before = lab.headscale.requests("/health");
        lab.headscale.state(State::DatabaseDown);
        let crossed_at = wait::until("the second failure", || {
            (lab.headscale.requests("/health") >= before + 2)
                .then(|| lab.headscale.asked_at("/health").unwrap())
        });
        let told = lab.webhook.wait_for(1);
        println!(
            "threshold to webhook: {:?}",
            told[0].at.saturating_duration_since(crossed_at)
        );
        lab.headscale.state(State::Healthy);
        in_order(&lab.webhook.wait_for(2));
        lab.wait_for_status("up");
    });
}

/// A restart during an outage says nothing again, and still tells its end.
#[test]
fn restarted_during_an_outage() {
    on_each_host("restarted_during_an_outage", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.headscale.state(State::DatabaseDown);
        lab.webhook.wait_for(1);
        for kill in [false, true] {
            if kill {
                lab.runtime.kill();
            } else {
                lab.runtime.stop();
            }
            lab.runtime.run();
            lab.wait_for_probes(3);
            assert_eq!(lab.webhook.messages().len(), 1, "kill: {kill}");
        }
        lab.headscale.state(State::Healthy);
        in_order(&lab.webhook.wait_for(2));
    });
}

/// Without a receiver the alert stands in the log, which says why it stands there.
#[test]
fn without_a_webhook_alerts_are_logged() {
    on_each_host("without_a_webhook_alerts_are_logged", |host| {
        let mut lab = Lab::well(
            host,
            Setup {
                variables: vec![("webhook_url", String::new())],
                ..Setup::default()
            },
        );
        lab.headscale.state(State::DatabaseDown);
        wait::until("the alert in the log", || {
            let log = lab.runtime.log();
            (log.contains("headscale is down") && log.contains("no channel is configured"))
                .then_some(())
        });
        lab.wait_for_status_of("health", "failed");
        assert!(lab.webhook.deliveries().is_empty());
    });
}

/// No log line of any component or of the runtime tells a secret.
#[test]
fn logs_tell_no_secret() {
    on_each_host("logs_tell_no_secret", |host| {
        let lab = Lab::well(host, Setup::default());
        lab.webhook.answers(Answers::Status(500));
        lab.headscale.state(State::DatabaseDown);
        lab.webhook.wait_for_attempts(2);
        let log = lab.runtime.log();
        let secret = watchbell_lab::webhook::Webhook::secret();
        for secret in [CHECK_TOKEN, secret.trim_start_matches("whsec_"), "from=lab"] {
            assert!(!log.contains(secret), "{secret:?} in the log:\n{log}");
        }
    });
}

/// The entry for hosts without cron: closed without the token, the same check with it.
#[test]
fn checks_run_over_http_with_the_token() {
    on_each_host("checks_run_over_http_with_the_token", |host| {
        let lab = Lab::well(host, Setup::default());
        for (token, status) in [(None, 401), (Some("the-lab-may-not"), 401), (Some(""), 401)] {
            let (got, _) = lab.runtime.run_check("health", token);
            assert_eq!(got, status, "{token:?}");
        }
        for check in watchbell_lab::manifest::CHECKS {
            let (status, json) = lab.runtime.run_check(check, Some(CHECK_TOKEN));
            assert_eq!(
                (status, json["status"].as_str()),
                (200, Some("up")),
                "{check}: {json}"
            );
            assert_eq!(json["check"], check);
        }
        lab.headscale.state(State::DatabaseDown);
        let json = wait::until("an outcome of the time after", || {
            let (_, json) = lab.runtime.run_check("health", Some(CHECK_TOKEN));
            (json["status"] == "failed").then_some(json)
        });
        assert_eq!(json["kind"], "status");
    });
}
