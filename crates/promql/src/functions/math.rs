//! Functions of one number.

use super::PointFunction;

pub(super) fn function(name: &str) -> Option<PointFunction> {
    Some(match name {
        "abs" => |value, _| Some(value.abs()),
        "ceil" => |value, _| Some(value.ceil()),
        "floor" => |value, _| Some(value.floor()),
        "exp" => |value, _| Some(value.exp()),
        "ln" => |value, _| Some(value.ln()),
        "log2" => |value, _| Some(value.log2()),
        "log10" => |value, _| Some(value.log10()),
        "sqrt" => |value, _| Some(value.sqrt()),
        "sgn" => |value, _| Some(sign(value)),
        "sin" => |value, _| Some(value.sin()),
        "cos" => |value, _| Some(value.cos()),
        "tan" => |value, _| Some(value.tan()),
        "asin" => |value, _| Some(value.asin()),
        "acos" => |value, _| Some(value.acos()),
        "atan" => |value, _| Some(value.atan()),
        "sinh" => |value, _| Some(value.sinh()),
        "cosh" => |value, _| Some(value.cosh()),
        "tanh" => |value, _| Some(value.tanh()),
        "asinh" => |value, _| Some(value.asinh()),
        "acosh" => |value, _| Some(value.acosh()),
        "atanh" => |value, _| Some(value.atanh()),
        "rad" => |value, _| Some(value.to_radians()),
        "deg" => |value, _| Some(value.to_degrees()),
        "round" => |value, args| Some(round(value, args.first().copied().unwrap_or(1.0))),
        "clamp" => |value, args| clamp(value, args),
        "clamp_min" => |value, args| Some(upper(value, args.first().copied().unwrap_or(f64::NAN))),
        "clamp_max" => |value, args| Some(lower(value, args.first().copied().unwrap_or(f64::NAN))),
        _ => return None,
    })
}

fn sign(value: f64) -> f64 {
    match value {
        v if v > 0.0 => 1.0,
        v if v < 0.0 => -1.0,
        v => v,
    }
}

/// To the nearest multiple of `unit`; halves go up.
fn round(value: f64, unit: f64) -> f64 {
    // Multiplying by the inverse keeps 0.1 and its like exact in the common cases.
    let inverse = 1.0 / unit;
    (value * inverse + 0.5).floor() / inverse
}

fn clamp(value: f64, args: &[f64]) -> Option<f64> {
    let &[min, max] = args else { return None };
    if max < min { None } else { Some(upper(lower(value, max), min)) }
}

/// The greater of two as Prometheus has it: +Inf whatever the other is, else NaN if one is.
pub(super) fn upper(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == b {
        // 0 is greater than -0.
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

/// The smaller of two: -Inf whatever the other is, else NaN if one is.
pub(super) fn lower(a: f64, b: f64) -> f64 {
    -upper(-a, -b)
}
