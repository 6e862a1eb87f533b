//! The JSON encoding: protobuf's JSON mapping with OTLP's exceptions (names in lowerCamelCase only, enums as
//! numbers; names of enums are taken as well). 64-bit numbers are strings or numbers, what is not finite is
//! text, unknown fields are skipped. Source: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use serde_json::Value;

use super::convert::{Attributes, Converter, Kind, Metric, Point};
use super::{ATTRIBUTES_MAX, BUCKETS_MAX, JSON_BYTES_MAX, OtlpError, Sink};

pub(super) fn read(body: &[u8], sink: &mut impl Sink) -> Result<(), OtlpError> {
    if body.len() > JSON_BYTES_MAX {
        return Err(OtlpError::TooLong { bytes: body.len() });
    }
    let request: Value = serde_json::from_slice(body).map_err(|error| OtlpError::Json {
        line: error.line(),
        column: error.column(),
        what: error.to_string(),
    })?;
    if !request.is_object() {
        return Err(OtlpError::Json { line: 1, column: 1, what: "a request is an object".to_owned() });
    }
    let mut to = Converter::new(sink);
    for resource_metrics in list(&request, "resourceMetrics") {
        to.resource(&attributes(&resource_metrics["resource"]));
        for scope_metrics in list(resource_metrics, "scopeMetrics") {
            let scope = &scope_metrics["scope"];
            to.scope(text(scope, "name"), text(scope, "version"), &attributes(scope));
            for message in list(scope_metrics, "metrics") {
                metric(message, &mut to);
            }
        }
        to.end_of_resource();
    }
    Ok(())
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn metric<S: Sink>(message: &Value, to: &mut Converter<'_, S>) {
    let kinds = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
    let Some((kind, data)) = kinds.iter().find_map(|kind| Some((*kind, message.get(*kind)?))) else {
        return to.refuse("metric_kind", format!("metric {:?}", text(message, "name")));
    };
    let temporality = match &data["aggregationTemporality"] {
        Value::String(name) if name == "AGGREGATION_TEMPORALITY_DELTA" => 1,
        Value::String(name) if name == "AGGREGATION_TEMPORALITY_CUMULATIVE" => 2,
        other => whole(other).unwrap_or(0),
    };
    let kind = match kind {
        "gauge" => Kind::Gauge,
        "sum" => Kind::Sum { temporality, monotonic: data["isMonotonic"].as_bool().unwrap_or(false) },
        "histogram" => Kind::Histogram { temporality },
        "exponentialHistogram" => Kind::ExponentialHistogram,
        _ => Kind::Summary,
    };
    let (name, description, unit) = (text(message, "name"), text(message, "description"), text(message, "unit"));
    let metric = Metric { name, description, unit, kind };
    let series_name = to.metric(&metric);
    for message in list(data, "dataPoints") {
        match point(message) {
            Ok(point) => to.point(&metric, series_name.as_deref(), &point),
            Err(what) => to.refuse("bad_point", format!("metric {name:?}: {what}")),
        }
    }
}

fn point(message: &Value) -> Result<Point, String> {
    let unsigned = |name: &str| match &message[name] {
        Value::Null => Ok(0),
        value => whole(value).ok_or_else(|| format!("{name} is {value}, not a whole number")),
    };
    let real = |value: &Value, name: &str| float(value).ok_or_else(|| format!("{name} is {value}, not a number"));
    let optional = |name: &str| match &message[name] {
        Value::Null => Ok(None),
        value => real(value, name).map(Some),
    };
    let number = match (&message["asInt"], optional("asDouble")?) {
        (_, Some(number)) => Some(number),
        (Value::Null, None) => None,
        (value, None) => Some(signed(value).ok_or_else(|| format!("asInt is {value}, not a whole number"))? as f64),
    };
    // One more than is taken, so that it shows.
    let some = BUCKETS_MAX + 2;
    let counts = list(message, "bucketCounts").iter().take(some);
    let counts = counts.map(|count| whole(count).ok_or_else(|| format!("a bucket's count is {count}")));
    let bounds = list(message, "explicitBounds").iter().take(some).map(|bound| real(bound, "a bound"));
    let quantiles = list(message, "quantileValues").iter().take(some).map(|quantile| {
        let zero = |name: &str| if quantile[name].is_null() { Ok(0.0) } else { real(&quantile[name], name) };
        Ok::<_, String>((zero("quantile")?, zero("value")?))
    });
    Ok(Point {
        attributes: attributes(message),
        time_ns: unsigned("timeUnixNano")?,
        flags: unsigned("flags")?,
        number,
        count: unsigned("count")?,
        sum: optional("sum")?,
        counts: counts.collect::<Result<_, _>>()?,
        bounds: bounds.collect::<Result<_, _>>()?,
        quantiles: quantiles.collect::<Result<_, _>>()?,
    })
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    }
}

fn signed(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok().filter(|number: &f64| number.is_finite()),
        },
        value => value.as_f64(),
    }
}

fn attributes(of: &Value) -> Attributes {
    let pairs = list(of, "attributes").iter().take(ATTRIBUTES_MAX);
    pairs.map(|pair| (text(pair, "key").to_owned(), any_value(&pair["value"]))).collect()
}

/// A value as text: what is not plain becomes JSON.
fn any_value(value: &Value) -> String {
    match plain(value) {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// `{"stringValue":"x"}` as `"x"`, and so on. As deep as the JSON's parser lets it be.
fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "stringValue" | "boolValue" | "bytesValue" => inner.clone(),
        "intValue" => signed(inner).map_or(Value::Null, Value::from),
        "doubleValue" => match float(inner) {
            Some(number) if number.is_finite() && number.fract() == 0.0 && number.abs() < 1e15 => {
                Value::from(number as i64)
            }
            Some(number) if number.is_finite() => Value::from(number),
            _ => inner.clone(),
        },
        "arrayValue" => list(inner, "values").iter().map(plain).collect(),
        "kvlistValue" => {
            let pairs = list(inner, "values").iter();
            pairs.map(|pair| (text(pair, "key").to_owned(), plain(&pair["value"]))).collect()
        }
        _ => Value::Null,
    }
}
