//! Answers in Prometheus's shape, written straight into their bytes: a tree of JSON values of
//! half a million points would take longer than reading and evaluating them.

use pipeline::http::Response;
use pipeline::promql::{Evaluated, Series, Value};
use pipeline::{Labels, Sample, Timestamp};

use crate::number;
use crate::points::{self, point};

/// A point's bytes, at most, nearly always: what is not written to is never asked of the system.
const POINT_BYTES: usize = 40;

/// What goes with a result, as Prometheus words it.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The result is not what was asked for, or may not be.
    pub(crate) warnings: Vec<String>,
    /// Worth knowing.
    pub(crate) infos: Vec<String>,
}

impl Notes {
    /// Of an evaluation.
    pub(crate) fn of<T>(result: &Evaluated<T>) -> Self {
        let annotations = result.annotations.iter().cloned();
        let (warnings, mut infos): (Vec<_>, Vec<_>) = annotations.partition(|text| text.starts_with("PromQL warning"));
        if result.rollups_ms > 0 {
            let seconds = result.rollups_ms / 1_000;
            infos.push(format!("answered from rollups of {seconds} s, which is exact at this step and range"));
        }
        if result.near_ms > 0 {
            let seconds = result.near_ms / 1_000;
            infos.push(format!(
                "answered from rollups of {seconds} s, which is approximate: each step is as of the last whole {seconds} s \
                 before it, as the step asks for no finer and the time is long"
            ));
        }
        Self { warnings, infos }
    }

    /// The first `limit`, and a word where there were more.
    pub(crate) fn cut<'a, T>(&mut self, list: &'a [T], limit: usize) -> &'a [T] {
        if list.len() <= limit {
            return list;
        }
        self.warnings.push("results truncated due to limit".to_owned());
        &list[..limit]
    }
}

/// Counted and measured, for `stats`.
pub(crate) struct Stats {
    pub(crate) seconds: f64,
    pub(crate) samples_read: u64,
    pub(crate) samples_used: u64,
}

impl Stats {
    /// The numbers of an evaluation that took so long.
    pub(crate) fn of<T>(result: &Evaluated<T>, ms: i64) -> Self {
        Self { seconds: ms as f64 / 1_000.0, samples_read: result.samples_read, samples_used: result.samples_used }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let seconds = self.seconds;
        let text = format!(
            "{{\"timings\":{{\"evalTotalTime\":{seconds},\"resultSortTime\":0,\"queryPreparationTime\":0,\
             \"innerEvalTime\":{seconds},\"execQueueTime\":0,\"execTotalTime\":{seconds}}},\
             \"samples\":{{\"totalQueryableSamples\":{},\"peakSamples\":{}}}}}",
            self.samples_read, self.samples_used
        );
        out.extend_from_slice(text.as_bytes());
    }
}

/// `{"status":"success","data":…}`; `data` writes its own JSON.
pub(crate) fn success(bytes: usize, data: impl FnOnce(&mut Vec<u8>), notes: &Notes) -> Response {
    let mut out = Vec::with_capacity(bytes + 256);
    out.extend_from_slice(b"{\"status\":\"success\",\"data\":");
    data(&mut out);
    for (name, texts) in [("warnings", &notes.warnings), ("infos", &notes.infos)] {
        if !texts.is_empty() {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            array(&mut out, texts, |out, one| text(out, one));
        }
    }
    out.push(b'}');
    Response::new(200, "application/json", out)
}

/// `data` of a query.
pub(crate) fn result(
    kind: &str,
    bytes: usize,
    write: impl FnOnce(&mut Vec<u8>),
    stats: Option<Stats>,
    notes: &Notes,
) -> Response {
    let data = |out: &mut Vec<u8>| {
        out.extend_from_slice(format!("{{\"resultType\":\"{kind}\",\"result\":").as_bytes());
        write(out);
        if let Some(stats) = stats {
            out.extend_from_slice(b",\"stats\":");
            stats.write(out);
        }
        out.push(b'}');
    };
    success(bytes, data, notes)
}

/// The result of an instant query, evaluated at `at`.
pub(crate) fn instant(value: &Value, at: Timestamp, limit: usize, stats: Option<Stats>, mut notes: Notes) -> Response {
    match value {
        Value::Scalar(sample) => result(value.kind(), 64, |out| point(out, sample), stats, &notes),
        Value::String(content) => {
            let write = |out: &mut Vec<u8>| {
                out.push(b'[');
                number::seconds(out, at.ms());
                out.push(b',');
                text(out, content);
                out.push(b']');
            };
            result(value.kind(), content.len(), write, stats, &notes)
        }
        Value::Vector(vector) => {
            let shown = notes.cut(vector, limit);
            let one = |out: &mut Vec<u8>, (labels, sample): &(Labels, Sample)| {
                out.extend_from_slice(b"{\"metric\":");
                metric(out, labels);
                out.extend_from_slice(b",\"value\":");
                point(out, sample);
                out.push(b'}');
            };
            result(value.kind(), shown.len() * 160, |out| array(out, shown, one), stats, &notes)
        }
        Value::Matrix(series) => matrix(series, limit, stats, notes),
    }
}

/// The result of a range query.
pub(crate) fn matrix(series: &[Series], limit: usize, stats: Option<Stats>, mut notes: Notes) -> Response {
    let shown = notes.cut(series, limit);
    let points: usize = shown.iter().map(|one| one.samples.len()).sum();
    let one = |out: &mut Vec<u8>, one: &Series| {
        out.extend_from_slice(b"{\"metric\":");
        metric(out, &one.labels);
        out.extend_from_slice(b",\"values\":");
        points::array(out, &one.samples);
        out.push(b'}');
    };
    result("matrix", points * POINT_BYTES + shown.len() * 160, |out| array(out, shown, one), stats, &notes)
}

/// A list of label sets.
pub(crate) fn label_sets(found: &[Labels], limit: usize) -> Response {
    let mut notes = Notes::default();
    let shown = notes.cut(found, limit);
    success(shown.len() * 128, |out| array(out, shown, metric), &notes)
}

/// A list of texts.
pub(crate) fn texts(found: &[String], limit: usize) -> Response {
    let mut notes = Notes::default();
    let shown = notes.cut(found, limit);
    success(shown.len() * 24, |out| array(out, shown, |out, one| text(out, one)), &notes)
}

fn array<'a, T: 'a>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = &'a T>,
    mut write: impl FnMut(&mut Vec<u8>, &'a T),
) {
    out.push(b'[');
    let start = out.len();
    for item in items {
        if out.len() > start {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn metric(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (n, (name, value)) in labels.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        text(out, name);
        out.push(b':');
        text(out, value);
    }
    out.push(b'}');
}

fn text(out: &mut Vec<u8>, content: &str) {
    let plain = content.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(content.as_bytes());
        out.push(b'"');
    } else if serde_json::to_writer(&mut *out, content).is_err() {
        // Writing text into memory does not fail; an empty text keeps the JSON whole if it did.
        out.extend_from_slice(b"\"\"");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    fn body(response: &Response) -> Json {
        serde_json::from_slice(&response.body).unwrap()
    }

    #[test]
    fn every_kind_of_result() {
        let sample = |ms, value| Sample { at: Timestamp(ms), value };
        let check = |value: &Value, expected: &str| {
            let response = instant(value, Timestamp(1_500), 2, None, Notes::default());
            let expected = format!("{{\"status\":\"success\",\"data\":{expected}}}");
            assert_eq!(String::from_utf8(response.body.to_vec()).unwrap(), expected);
        };
        check(&Value::Scalar(sample(1_500, f64::NAN)), r#"{"resultType":"scalar","result":[1.500,"NaN"]}"#);
        check(&Value::String("a\"\n".to_owned()), r#"{"resultType":"string","result":[1.500,"a\"\n"]}"#);
        check(&Value::Vector(Vec::new()), r#"{"resultType":"vector","result":[]}"#);
        check(
            &Value::Vector(vec![(labels(&[("__name__", "x"), ("a", "ü\\")]), sample(2_000, f64::INFINITY))]),
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"x","a":"ü\\"},"value":[2,"+Inf"]}]}"#,
        );
        let samples = [sample(1_000, 0.5), sample(1_001, -1e30)];
        check(
            &Value::Matrix(vec![Series { labels: Labels::empty(), samples: samples.into() }]),
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"0.5"],[1.001,"-1e+30"]]}]}"#,
        );
    }

    #[test]
    fn a_list_at_its_limit_and_one_past_it() {
        let found: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(body(&texts(&found, 3)), json!({ "status": "success", "data": ["a", "b", "c"] }));
        let cut = json!({ "status": "success", "data": ["a", "b"], "warnings": ["results truncated due to limit"] });
        assert_eq!(body(&texts(&found, 2)), cut);
        let sets = [labels(&[("a", "1")]), labels(&[("a", "2")])];
        assert_eq!(body(&label_sets(&sets, 1))["warnings"], json!(["results truncated due to limit"]));
    }

    #[test]
    fn remarks_and_numbers_go_with_a_result() {
        let annotations = vec!["PromQL warning: a".to_owned(), "PromQL info: b".to_owned()];
        let notes = Notes::of(&Evaluated {
            value: (),
            annotations,
            samples_read: 0,
            samples_used: 0,
            rollups_ms: 300_000,
            near_ms: 3_600_000,
        });
        let stats = Stats { seconds: 0.25, samples_read: 3, samples_used: 4 };
        let answer = body(&matrix(&[], 0, Some(stats), notes));
        assert_eq!(answer["warnings"], json!(["PromQL warning: a"]));
        let rollups = "answered from rollups of 300 s, which is exact at this step and range";
        let near = "answered from rollups of 3600 s, which is approximate: each step is as of the last whole 3600 s \
                    before it, as the step asks for no finer and the time is long";
        assert_eq!(answer["infos"], json!(["PromQL info: b", rollups, near]));
        let stats = &answer["data"]["stats"];
        assert_eq!(stats["samples"], json!({ "totalQueryableSamples": 3, "peakSamples": 4 }));
        assert_eq!(stats["timings"]["execTotalTime"], json!(0.25));
    }
}
