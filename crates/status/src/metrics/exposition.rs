//! The text that Prometheus reads, in both of its formats.
//!
//! They differ in more than their first line: OpenMetrics names a counter's family without
//! `_total` and an info's without `_info`, knows units, escapes quotes in help, and ends in
//! `# EOF`.

use std::collections::BTreeSet;
use std::fmt::Write;

/// What a scraper is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4: every scraper reads it.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// By the request's `Accept`: OpenMetrics for who names it and does not rather have plain
    /// text, and plain text for everybody else, browsers among them.
    pub fn negotiated(accept: &str) -> Self {
        let mut open_metrics = 0.0;
        // The most specific range that covers plain text counts (RFC 9110, section 12.5.1).
        let mut plain = (0, 0.0);
        for range in accept.to_ascii_lowercase().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let parameters: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).collect();
            let parameter = |key| {
                let known = parameters.iter().find(|(k, _)| k.trim() == key);
                known.map(|(_, value)| value.trim().trim_matches('"'))
            };
            let weight = parameter("q").map_or(1.0, |q| q.parse::<f64>().unwrap_or(0.0));
            let version = parameter("version");
            let specific = match name {
                "application/openmetrics-text" => {
                    if version.is_none_or(|v| v == "1.0.0") {
                        open_metrics = weight.max(open_metrics);
                    }
                    continue;
                }
                // A text format of another version, which this is not.
                "text/plain" if version.is_some_and(|v| v != "0.0.4") => continue,
                "text/plain" => 3,
                "text/*" => 2,
                "*/*" => 1,
                _ => continue,
            };
            if specific >= plain.0 {
                plain = (specific, weight);
            }
        }
        match open_metrics > 0.0 && open_metrics >= plain.1 {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    /// The answer's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    /// Its name ends in `_total`.
    Counter,
    /// Labels alone, always 1; its name ends in `_info`. Plain text knows it as a gauge.
    Info,
}

/// What samples of one name have in common.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The samples': in plain text the family's too.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// One sentence without a full stop.
    pub help: &'static str,
}

impl Family {
    /// The family's name in OpenMetrics.
    pub fn base(&self) -> &'static str {
        let suffix = match self.kind {
            Kind::Gauge => "",
            Kind::Counter => "_total",
            Kind::Info => "_info",
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }

    /// As the name ends: the only one that we have.
    pub fn unit(&self) -> Option<&'static str> {
        self.base().ends_with("_seconds").then_some("seconds")
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The values of the family's labels, in their order.
    pub labels: Vec<String>,
    pub value: f64,
}

/// A text under way.
pub struct Exposition {
    format: Format,
    text: String,
}

impl Exposition {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            text: String::new(),
        }
    }

    /// All of one family, so that its lines stand together, as both formats want; nothing
    /// where there are no samples. Samples bear no time: what is not known any more is left
    /// out instead, and a scraper marks it as gone.
    pub fn family(&mut self, family: &Family, samples: &[Sample]) {
        if samples.is_empty() {
            return;
        }
        self.head(family);
        // One series twice makes a scraper refuse the whole answer: the first one counts.
        let mut seen = BTreeSet::new();
        for sample in samples.iter().filter(|s| seen.insert(&s.labels)) {
            self.text.push_str(family.name);
            let pairs = family.labels.iter().zip(&sample.labels);
            let pairs: Vec<String> = pairs
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)))
                .collect();
            if !pairs.is_empty() {
                _ = write!(self.text, "{{{}}}", pairs.join(","));
            }
            _ = writeln!(self.text, " {}", number(sample.value));
        }
    }

    fn head(&mut self, family: &Family) {
        // Writing to a `String` cannot fail, here and above.
        _ = match self.format {
            Format::Prometheus => {
                let kind = match family.kind {
                    Kind::Counter => "counter",
                    Kind::Gauge | Kind::Info => "gauge",
                };
                let (name, help) = (family.name, escaped(family.help, false));
                writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}")
            }
            Format::OpenMetrics => {
                let kind = match family.kind {
                    Kind::Gauge => "gauge",
                    Kind::Counter => "counter",
                    Kind::Info => "info",
                };
                let name = family.base();
                let unit = family.unit().map(|unit| format!("# UNIT {name} {unit}\n"));
                let (unit, help) = (unit.unwrap_or_default(), escaped(family.help, true));
                writeln!(
                    self.text,
                    "# TYPE {name} {kind}\n{unit}# HELP {name} {help}"
                )
            }
        };
    }

    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    match quotes {
        true => text.replace('"', "\\\""),
        false => text,
    }
}

fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Family = Family {
        name: "a_wait_seconds_total",
        kind: Kind::Counter,
        labels: &["by"],
        help: "a \"wait\" \\ two\nlines",
    };

    fn text(format: Format, family: &Family, samples: &[(&str, f64)]) -> String {
        let mut out = Exposition::new(format);
        let of = |(label, value): &(&str, f64)| Sample {
            labels: vec![(*label).to_owned()],
            value: *value,
        };
        out.family(family, &samples.iter().map(of).collect::<Vec<_>>());
        out.finish()
    }

    #[test]
    fn a_counter_is_named_and_escaped_as_its_format_wants() {
        let hostile = "a\"b\\c\nd{e=\"f\"} 9";
        let line = r#"a_wait_seconds_total{by="a\"b\\c\nd{e=\"f\"} 9"} 0.25"#;
        assert_eq!(
            text(Format::Prometheus, &SECONDS, &[(hostile, 0.25)]),
            format!(
                "# HELP a_wait_seconds_total a \"wait\" \\\\ two\\nlines\n\
                 # TYPE a_wait_seconds_total counter\n{line}\n"
            )
        );
        assert_eq!(
            text(Format::OpenMetrics, &SECONDS, &[(hostile, 0.25)]),
            format!(
                "# TYPE a_wait_seconds counter\n# UNIT a_wait_seconds seconds\n\
                 # HELP a_wait_seconds a \\\"wait\\\" \\\\ two\\nlines\n{line}\n# EOF\n"
            )
        );
    }

    #[test]
    fn a_family_without_samples_is_not_there() {
        assert_eq!(text(Format::Prometheus, &SECONDS, &[]), "");
        assert_eq!(text(Format::OpenMetrics, &SECONDS, &[]), "# EOF\n");
    }

    #[test]
    fn a_series_is_there_once() {
        let twice = text(
            Format::Prometheus,
            &SECONDS,
            &[("x", 1.0), ("x", 2.0), ("y", 3.0)],
        );
        let lines: Vec<&str> = twice.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "a_wait_seconds_total{by=\"x\"} 1",
                "a_wait_seconds_total{by=\"y\"} 3"
            ]
        );
    }

    #[test]
    fn a_number_is_written_as_both_formats_read_it() {
        for (value, want) in [
            (0.0, "0"),
            (0.041, "0.041"),
            (1_795_426_260.999, "1795426260.999"),
            (-1.0, "-1"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(number(value), want);
        }
    }
}
