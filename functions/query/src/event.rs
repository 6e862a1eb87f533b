//! What wakes `query` on AWS: requests over HTTP.

use lambda::http::{Asked, response};
use lambda::{Deadline, Event, Failure};
use pipeline::{Context, Fault, PortError, Response};
use serde_json::Value;

/// One request, and its response. One that is not answered in time is told to come again.
pub async fn answer(context: &Context, deadline: Deadline, event: Value) -> Result<Value, Failure> {
    let request = match Event::read(event)? {
        Event::Http(Ok(request)) => request,
        Event::Http(Err(fault)) => return Ok(response(Response::of(&fault), Asked::unknown())),
        other => return Err(other.not_for("query").into()),
    };
    let asked = Asked::of(&request);
    let answer = deadline.within(crate::handle(context, &request)).await.unwrap_or_else(|| {
        let what = "the answer was not there in time: ask for a shorter time or fewer series, or try again";
        Response::of(&Fault::Unavailable(PortError::transient("query", what)))
    });
    Ok(response(answer, asked))
}

#[cfg(test)]
mod tests;
