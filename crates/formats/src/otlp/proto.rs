//! The protobuf encoding, walked. A message that breaks off costs its parent's rest, which is refused with
//! the byte at which it stands.

use std::fmt::Write as _;

use series::protobuf::{Fields, ProtobufError, Value};

use super::convert::{Attributes, Converter, Kind, Metric, Point};
use super::{ATTRIBUTES_MAX, BUCKETS_MAX, DEPTH_MAX, OtlpError, Sink};

pub(super) fn read(body: &[u8], sink: &mut impl Sink) -> Result<(), OtlpError> {
    let mut converter = Converter::new(sink);
    let mut fields = Fields::new(body);
    loop {
        let at = body.len() - fields.rest().len();
        let broken = |error: ProtobufError| OtlpError::Protobuf { at, what: error.to_string() };
        match fields.next().transpose().map_err(broken)? {
            None => return Ok(()),
            Some((1, Value::Bytes(message))) => {
                let read = resource_metrics(message, &mut converter);
                converter.end_of_resource();
                read.map_err(broken)?;
            }
            Some(_) => {}
        }
    }
}

type Read = Result<(), ProtobufError>;

/// All fields `number` of `message` that hold a message.
fn each(message: &[u8], number: u32, mut take: impl FnMut(&[u8]) -> Read) -> Read {
    for field in Fields::new(message) {
        if let (of, Value::Bytes(inner)) = field?
            && of == number
        {
            take(inner)?;
        }
    }
    Ok(())
}

fn resource_metrics<S: Sink>(message: &[u8], to: &mut Converter<'_, S>) -> Read {
    let mut attributes = Attributes::new();
    each(message, 1, |resource| attributes_of(resource, 1, &mut attributes))?;
    to.resource(&attributes);
    each(message, 2, |scope_metrics| {
        let (mut name, mut version, mut attributes) = (String::new(), String::new(), Attributes::new());
        each(scope_metrics, 1, |scope| {
            for field in Fields::new(scope) {
                match field? {
                    (1, Value::Bytes(text)) => name = lossy(text),
                    (2, Value::Bytes(text)) => version = lossy(text),
                    _ => {}
                }
            }
            attributes_of(scope, 3, &mut attributes)
        })?;
        to.scope(&name, &version, &attributes);
        each(scope_metrics, 2, |message| metric(message, to))
    })
}

fn metric<S: Sink>(message: &[u8], to: &mut Converter<'_, S>) -> Read {
    let (mut name, mut description, mut unit) = (String::new(), String::new(), String::new());
    let mut data: Option<(u32, &[u8])> = None;
    for field in Fields::new(message) {
        match field? {
            (1, Value::Bytes(text)) => name = lossy(text),
            (2, Value::Bytes(text)) => description = lossy(text),
            (3, Value::Bytes(text)) => unit = lossy(text),
            (kind @ (5 | 7 | 9 | 10 | 11), Value::Bytes(message)) => data = Some((kind, message)),
            _ => {}
        }
    }
    let Some((kind, data)) = data else {
        // A kind of metric that is not known here, or none.
        to.refuse("metric_kind", format!("metric {name:?}"));
        return Ok(());
    };
    let (mut temporality, mut monotonic) = (0, false);
    for field in Fields::new(data) {
        match field? {
            (2, Value::Varint(number)) => temporality = number,
            (3, Value::Varint(number)) => monotonic = number != 0,
            _ => {}
        }
    }
    let kind = match kind {
        5 => Kind::Gauge,
        7 => Kind::Sum { temporality, monotonic },
        9 => Kind::Histogram { temporality },
        10 => Kind::ExponentialHistogram,
        _ => Kind::Summary,
    };
    let metric = Metric { name: &name, description: &description, unit: &unit, kind };
    let series_name = to.metric(&metric);
    each(data, 1, |message| {
        match point(message, kind) {
            Ok(point) => to.point(&metric, series_name.as_deref(), &point),
            Err(error) => to.refuse("not_protobuf", format!("metric {name:?}: a data point: {error}")),
        }
        Ok(())
    })
}

fn point(message: &[u8], kind: Kind) -> Result<Point, ProtobufError> {
    let mut point = Point::default();
    let (attributes, flags) = match kind {
        Kind::Gauge | Kind::Sum { .. } | Kind::Summary => (7, 8),
        Kind::Histogram { .. } => (9, 10),
        Kind::ExponentialHistogram => return Ok(point),
    };
    let number = matches!(kind, Kind::Gauge | Kind::Sum { .. });
    for field in Fields::new(message) {
        match field? {
            (3, Value::Fixed64(time)) => point.time_ns = time,
            (of, Value::Varint(bits)) if of == flags => point.flags = bits,
            (4, Value::Fixed64(bits)) if number => point.number = Some(f64::from_bits(bits)),
            (6, Value::Fixed64(bits)) if number => point.number = Some(bits as i64 as f64),
            (4, Value::Fixed64(count)) => point.count = count,
            (5, Value::Fixed64(bits)) => point.sum = Some(f64::from_bits(bits)),
            (6, Value::Bytes(quantile)) if kind == Kind::Summary => {
                let (mut at, mut value) = (0.0, 0.0);
                for field in Fields::new(quantile) {
                    match field? {
                        (1, Value::Fixed64(bits)) => at = f64::from_bits(bits),
                        (2, Value::Fixed64(bits)) => value = f64::from_bits(bits),
                        _ => {}
                    }
                }
                // One more than is taken, so that it shows.
                if point.quantiles.len() <= BUCKETS_MAX {
                    point.quantiles.push((at, value));
                }
            }
            (6, Value::Bytes(packed)) => add_packed(packed, &mut point.counts, |bits| bits),
            (6, Value::Fixed64(count)) => add_packed(&count.to_le_bytes(), &mut point.counts, |bits| bits),
            (7, Value::Bytes(packed)) if !number && kind != Kind::Summary => {
                add_packed(packed, &mut point.bounds, f64::from_bits);
            }
            (7, Value::Fixed64(bits)) => add_packed(&bits.to_le_bytes(), &mut point.bounds, f64::from_bits),
            _ => {}
        }
    }
    attributes_of(message, attributes, &mut point.attributes)?;
    Ok(point)
}

/// Adds numbers of eight bytes each; one more than is taken at the most, so that it shows.
fn add_packed<T>(bytes: &[u8], to: &mut Vec<T>, read: impl Fn(u64) -> T) {
    let numbers = bytes.as_chunks::<8>().0.iter().map(|bytes| read(u64::from_le_bytes(*bytes)));
    let room = (BUCKETS_MAX + 2).saturating_sub(to.len());
    to.extend(numbers.take(room));
}

fn attributes_of(message: &[u8], number: u32, to: &mut Attributes) -> Read {
    each(message, number, |pair| {
        let (mut key, mut text) = (String::new(), String::new());
        for field in Fields::new(pair) {
            match field? {
                (1, Value::Bytes(name)) => key = lossy(name),
                (2, Value::Bytes(value)) => {
                    text.clear();
                    any_value(value, &mut text, 0)?;
                }
                _ => {}
            }
        }
        if to.len() < ATTRIBUTES_MAX {
            to.push((key, text));
        }
        Ok(())
    })
}

/// A value as text: what is not plain becomes JSON.
fn any_value(message: &[u8], out: &mut String, depth: usize) -> Read {
    for field in Fields::new(message) {
        let quoted = depth > 0;
        // Writing into a string cannot fail.
        let _ = match field? {
            (1, Value::Bytes(text)) if quoted => write!(out, "{}", serde_json::Value::from(lossy(text))),
            (1, Value::Bytes(text)) => out.write_str(&String::from_utf8_lossy(text)),
            (2, Value::Varint(bit)) => write!(out, "{}", bit != 0),
            (3, Value::Varint(number)) => write!(out, "{}", number as i64),
            (4, Value::Fixed64(bits)) => write!(out, "{}", f64::from_bits(bits)),
            (5 | 6, _) if depth >= DEPTH_MAX => out.write_str("null"),
            (5, Value::Bytes(array)) => {
                let mut comma = "[";
                each(array, 1, |value| {
                    out.push_str(std::mem::replace(&mut comma, ","));
                    any_value(value, out, depth + 1)
                })?;
                out.write_str(if comma == "[" { "[]" } else { "]" })
            }
            (6, Value::Bytes(map)) => {
                let mut comma = "{";
                each(map, 1, |pair| {
                    out.push_str(std::mem::replace(&mut comma, ","));
                    each(pair, 1, |key| {
                        out.push_str(&serde_json::Value::from(lossy(key)).to_string());
                        Ok(())
                    })?;
                    out.push(':');
                    each(pair, 2, |value| any_value(value, out, depth + 1))
                })?;
                out.write_str(if comma == "{" { "{}" } else { "}" })
            }
            (7, Value::Bytes(bytes)) => out.write_str(&base64(bytes)),
            _ => Ok(()),
        };
    }
    Ok(())
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
