//! `POST /api/v1/write`: Prometheus remote write 1.0.

use std::borrow::Cow;

use formats::remote_write::{self, Sink};
use series::Sample;

use super::pack::{Body, gather};
use super::{Pushed, metadata, plain_body};
use crate::Context;
use crate::error::Fault;
use crate::http::Request;
use crate::keys::Caller;

/// Takes a write. What is refused is named; what is good is stored.
pub async fn receive(context: &Context, caller: &Caller, request: &Request) -> Result<Pushed, Fault> {
    caller.may_push()?;
    check_headers(request)?;
    let bytes = plain_body(request)?;
    let mut metrics = Vec::new();
    let batches = gather(context, caller, |body| {
        remote_write::read(&bytes, &mut Reader { body, metrics: &mut metrics });
    });
    let pushed = batches.put(context, caller).await?;
    let metrics = metrics.into_iter().map(|found: remote_write::Metadata<'_>| {
        let remote_write::Metadata { name, kind, help, unit } = found;
        (name, metadata::Metadata { kind: kind.to_owned(), help: help.to_owned(), unit: unit.to_owned() })
    });
    // What there is no room for is only not shown: it is no sample, and no reason to refuse a write.
    metadata::note(context, &caller.tenant, metrics).await?;
    Ok(pushed)
}

/// What the protocol demands of a request, so that another version is not misread.
fn check_headers(request: &Request) -> Result<(), Fault> {
    let header = |name| request.header(name).unwrap_or_default().trim().to_ascii_lowercase();
    let refuse = |what: String| Err(Fault::Media(format!("{what}: Prometheus remote write 1.0 is taken here")));
    let version = header("x-prometheus-remote-write-version");
    if !(version.is_empty() || version.starts_with("0.") || version.starts_with("1.")) {
        return refuse(format!("X-Prometheus-Remote-Write-Version {version:?}"));
    }
    let content_type = header("content-type");
    let (kind, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
    if !matches!(kind.trim(), "" | "application/x-protobuf") {
        return refuse(format!("Content-Type {content_type:?}, not application/x-protobuf"));
    }
    if let Some((_, message)) = parameters.split_once("proto=")
        && message.trim() != "prometheus.writerequest"
    {
        return refuse(format!("the message {:?} of the Content-Type", message.trim()));
    }
    match header("content-encoding").as_str() {
        "snappy" => Ok(()),
        "" => refuse("Content-Encoding is missing, it has to be snappy".to_owned()),
        other => refuse(format!("Content-Encoding {other:?}, not snappy")),
    }
}

struct Reader<'r, 'e, 'b> {
    body: &'r mut Body<'e, 'b>,
    metrics: &'r mut Vec<remote_write::Metadata<'b>>,
}

impl<'b> Sink<'b> for Reader<'_, '_, 'b> {
    #[inline]
    fn series(&mut self, labels: Cow<'b, [u8]>, samples: &[Sample]) {
        self.body.series(labels, samples);
    }

    fn metadata(&mut self, metadata: remote_write::Metadata<'b>) {
        self.metrics.push(metadata);
    }

    fn refused(&mut self, reason: &'static str, count: u64, first: &mut dyn FnMut() -> String) {
        self.body.refuse(reason, count, first);
    }
}
