//! Badges for a README: a label and a message, in the layout that shields.io calls *flat*.

use std::str::FromStr;

use maud::{PreEscaped, html};
use watchbell_core::outcome::one_line;

use crate::view::{Certificate, Check, Detail, Service, State, Status, Uptime, Uptimes};
use crate::xml::clean;

/// What one check's badge tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Badge {
    State,
    /// In per cent of the time that is known.
    Uptime(Period),
    /// The median of 24 hours.
    Latency,
    /// Days left.
    Certificate,
}

/// The time before now, as [`Uptimes`] has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl FromStr for Badge {
    type Err = ();

    /// `state`, `uptime` (a month's), `uptime-day` to `uptime-year`, `latency`, `certificate`.
    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "state" => Badge::State,
            "uptime" => Badge::Uptime(Period::Month),
            "latency" => Badge::Latency,
            "certificate" => Badge::Certificate,
            other => Badge::Uptime(other.strip_prefix("uptime-").ok_or(())?.parse()?),
        })
    }
}

impl FromStr for Period {
    type Err = ();

    /// `day`, `week`, `month`, `quarter`, `year`.
    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "day" => Period::Day,
            "week" => Period::Week,
            "month" => Period::Month,
            "quarter" => Period::Quarter,
            "year" => Period::Year,
            _ => return Err(()),
        })
    }
}

impl Period {
    fn words(self) -> &'static str {
        match self {
            Period::Day => "24 h",
            Period::Week => "7 d",
            Period::Month => "30 d",
            Period::Quarter => "90 d",
            Period::Year => "1 y",
        }
    }

    fn of(self, uptimes: &Uptimes) -> &Uptime {
        match self {
            Period::Day => &uptimes.day,
            Period::Week => &uptimes.week,
            Period::Month => &uptimes.month,
            Period::Quarter => &uptimes.quarter,
            Period::Year => &uptimes.year,
        }
    }
}

/// shields.io's colours of the same names, but for the blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    BrightGreen,
    Green,
    Yellow,
    Orange,
    Red,
    Blue,
    LightGrey,
}

impl Colour {
    pub const ALL: [Colour; 7] = [
        Colour::BrightGreen,
        Colour::Green,
        Colour::Yellow,
        Colour::Orange,
        Colour::Red,
        Colour::Blue,
        Colour::LightGrey,
    ];

    pub fn hex(self) -> &'static str {
        match self {
            Colour::BrightGreen => "#44cc11",
            Colour::Green => "#97ca00",
            Colour::Yellow => "#dfb317",
            Colour::Orange => "#fe7d37",
            Colour::Red => "#e05d44",
            // Theirs is too dark for black and too light for white.
            Colour::Blue => "#3a9bd9",
            Colour::LightGrey => "#9f9f9f",
        }
    }
}

/// One check's.
pub fn badge(kind: Badge, detail: &Detail) -> String {
    let check = &detail.check;
    let label = &check.label;
    match kind {
        Badge::State => {
            let (message, colour) = of_check(check);
            svg(label, message, colour)
        }
        Badge::Uptime(period) => {
            let (message, colour) = of_uptime(period.of(&detail.uptime).percent);
            svg(
                &labelled(label, &format!("uptime {}", period.words())),
                &message,
                colour,
            )
        }
        Badge::Latency => {
            let (message, colour) = match &detail.latency {
                // What is slow differs from target to target.
                Some(latency) => (duration(latency.median_ms), Colour::Blue),
                None => ("unknown".to_owned(), Colour::LightGrey),
            };
            svg(&labelled(label, "latency"), &message, colour)
        }
        Badge::Certificate => {
            let (message, colour) = match &check.certificate {
                Some(certificate) => of_certificate(certificate, check.state),
                None => ("unknown".to_owned(), Colour::LightGrey),
            };
            svg(&labelled(label, "certificate"), &message, colour)
        }
    }
}

/// One service's state.
pub fn service(service: &Service) -> String {
    let (message, colour) = of_state(service.state);
    svg(&service.service, message, colour)
}

/// The state of all, under the site's title.
pub fn overall(title: &str, status: &Status) -> String {
    let (message, colour) = of_state(status.state);
    svg(title, message, colour)
}

/// No longer, or the label would push the message off the page it stands on. Of the message
/// we write every word ourselves.
const LABEL_CHARS_MAX: usize = 60;
const MESSAGE_CHARS_MAX: usize = 40;
const HEIGHT: u32 = 20;
/// On each side of a text.
const PADDING: u32 = 5;
/// Behind the label.
const GREY: &str = "#555";

/// One badge: SVG, well-formed XML whatever the texts hold.
///
/// Texts are laid out by an estimate and then squeezed to it (`textLength`), so that no font
/// overflows its half.
pub fn svg(label: &str, message: &str, colour: Colour) -> String {
    let label = one_line(&clean(label), LABEL_CHARS_MAX);
    let message = one_line(&clean(message), MESSAGE_CHARS_MAX);
    let said = format!("{label}: {message}");
    let (left_text, right_text) = (width(&label), width(&message));
    let (left, right) = (left_text + 2 * PADDING, right_text + 2 * PADDING);
    let all = left + right;
    // In tenths, so that a half pixel can be said in whole numbers.
    let text = |at: u32, wide: u32, y: u32, text: &str, fill: &str, opacity: &str| {
        html! {
            text x=(at * 10 / 2) y=(y) transform="scale(.1)" fill=(fill) fill-opacity=(opacity)
                textLength=(wide * 10) aria-hidden="true" { (text) }
        }
    };
    let (at_left, at_right) = (left, 2 * left + right);
    let drawn = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(all) height=(HEIGHT) role="img"
            aria-label=(said)
        {
            title { (said) }
            linearGradient id="s" x2="0" y2="100%" {
                stop offset="0" stop-color="#bbb" stop-opacity=".1" {}
                stop offset="1" stop-opacity=".1" {}
            }
            clipPath id="r" { rect width=(all) height=(HEIGHT) rx="3" fill="#fff" {} }
            g clip-path="url(#r)" {
                rect width=(left) height=(HEIGHT) fill=(GREY) {}
                rect x=(left) width=(right) height=(HEIGHT) fill=(colour.hex()) {}
                rect width=(all) height=(HEIGHT) fill="url(#s)" {}
            }
            g text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif"
                text-rendering="geometricPrecision" font-size="110"
            {
                (text(at_left, left_text, 150, &label, "#000", ".3"))
                (text(at_left, left_text, 140, &label, "#fff", "1"))
                // White, as shields.io has it, is too faint on every one of its colours
                // (WCAG 2.2, 1.4.3: 4.5 to 1); black is not.
                (text(at_right, right_text, 150, &message, "#fff", ".3"))
                (text(at_right, right_text, 140, &message, "#000", "1"))
            }
        }
    };
    let PreEscaped(svg) = drawn;
    svg
}

fn labelled(label: &str, what: &str) -> String {
    if label.to_lowercase().ends_with(what) {
        return label.to_owned();
    }
    // The bound must not cut what the number is of.
    let room = LABEL_CHARS_MAX.saturating_sub(what.chars().count() + 1);
    format!("{} {what}", one_line(label, room))
}

fn of_check(check: &Check) -> (&'static str, Colour) {
    match check.off {
        // Nothing is asked, so nothing is known, whatever its state counts as.
        true => ("off", Colour::LightGrey),
        false => of_state(check.state),
    }
}

fn of_state(state: State) -> (&'static str, Colour) {
    let colour = match state {
        State::Up => Colour::BrightGreen,
        State::Unknown => Colour::LightGrey,
        State::Degraded => Colour::Yellow,
        State::Pending => Colour::Orange,
        State::Down => Colour::Red,
    };
    (state.as_str(), colour)
}

fn of_uptime(percent: Option<f64>) -> (String, Colour) {
    let Some(percent) = percent else {
        return ("unknown".to_owned(), Colour::LightGrey);
    };
    let colour = match percent {
        99.9.. => Colour::BrightGreen,
        99.0.. => Colour::Green,
        95.0.. => Colour::Yellow,
        90.0.. => Colour::Orange,
        _ => Colour::Red,
    };
    // Rounded down: what was down for a minute of a month was not up for 100 % of it.
    let hundredths = (percent * 100.0 + 1e-6).floor() / 100.0;
    (format!("{hundredths}%"), colour)
}

/// `87 ms`, `1.2 s`.
fn duration(ms: u32) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        ms => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
    }
}

/// By what it is warned of: a certificate that lives for six days is not late at five.
fn of_certificate(certificate: &Certificate, state: State) -> (String, Colour) {
    let days = certificate.days_left;
    let message = match days {
        ..=-1 => "expired".to_owned(),
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let marks = &certificate.thresholds;
    let crossed = marks.iter().filter(|m| m.crossed).count();
    let colour = match days {
        // It may have been replaced since.
        _ if state == State::Unknown => Colour::LightGrey,
        ..=-1 => Colour::Red,
        _ if crossed == 0 => Colour::BrightGreen,
        _ if crossed < marks.len() => Colour::Yellow,
        _ => Colour::Orange,
    };
    (message, colour)
}

/// Of Verdana at 11 px, in whole pixels, rounded up.
fn width(text: &str) -> u32 {
    text.chars().map(tenths).sum::<u32>().div_ceil(10)
}

/// Advance widths in tenths of a pixel, like ones together; of other letters a wide one's.
fn tenths(c: char) -> u32 {
    match c {
        'i' | 'j' | 'l' | '\'' => 30,
        ' ' | '.' | ',' | 'f' | 't' => 42,
        '!' | '"' | '(' | ')' | '-' | '/' | ':' | ';' | '[' | '\\' | ']' | '|' | 'I' | 'J'
        | 'r' => 49,
        'c' | 's' | 'z' => 58,
        '_' | 'F' | 'L' | 'P' | 'a' | 'e' | 'g' | 'k' | 'v' | 'x' | 'y' => 67,
        '$' | '*' | '?' | '`' | '{' | '}' | 'E' | 'T' | 'Y' => 70,
        '0'..='9' | 'b' | 'd' | 'h' | 'n' | 'o' | 'p' | 'q' | 'u' => 70,
        '&' | 'A' | 'B' | 'C' | 'K' | 'R' | 'S' | 'U' | 'V' | 'X' | 'Z' => 78,
        'D' | 'G' | 'H' | 'N' | 'O' | 'Q' => 87,
        'W' | 'm' | '@' => 110,
        '%' => 118,
        // Where a character fills a square, or two of them do.
        '\u{1100}'.. if c != '…' => 120,
        _ => 93,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_is_never_rounded_up() {
        for (percent, want, colour) in [
            (Some(100.0), "100%", Colour::BrightGreen),
            (Some(99.999), "99.99%", Colour::BrightGreen),
            (Some(99.9), "99.9%", Colour::BrightGreen),
            (Some(99.899), "99.89%", Colour::Green),
            (Some(99.0), "99%", Colour::Green),
            (Some(98.999), "98.99%", Colour::Yellow),
            (Some(94.999), "94.99%", Colour::Orange),
            (Some(89.999), "89.99%", Colour::Red),
            (Some(0.0), "0%", Colour::Red),
            (None, "unknown", Colour::LightGrey),
        ] {
            assert_eq!(of_uptime(percent), (want.to_owned(), colour), "{percent:?}");
        }
    }

    #[test]
    fn a_duration_reads_as_people_say_it() {
        for (ms, want) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (1_299, "1.2 s"),
            (61_000, "61.0 s"),
        ] {
            assert_eq!(duration(ms), want);
        }
    }
}
