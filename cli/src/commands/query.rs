//! `daywatch query EXPR`: a line a series, as Prometheus writes them; what is remarked on stderr.

use std::process::ExitCode;

use clap::Args;
use pipeline::Labels;
use serde_json::Value as Json;

use crate::Where;
use crate::door::{Door, request};

#[derive(Args)]
pub(crate) struct QueryArgs {
    /// The expression.
    expr: String,
    /// When: seconds since 1970 or RFC 3339; now by default.
    #[arg(long)]
    time: Option<String>,
    /// Prints the API's JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

pub(crate) async fn run(args: QueryArgs) -> anyhow::Result<ExitCode> {
    let mut parameters = vec![("query", args.expr.as_str())];
    if let Some(time) = &args.time {
        parameters.push(("time", time));
    }
    let answer = Door::open(&args.place).await?.answer(request("GET", "/api/v1/query", &parameters, "")).await?;
    for kind in ["warnings", "infos"] {
        for remark in answer[kind].as_array().into_iter().flatten() {
            eprintln!("{}", remark.as_str().unwrap_or_default());
        }
    }
    let data = &answer["data"];
    if args.json {
        println!("{data}");
        return Ok(ExitCode::SUCCESS);
    }
    match &data["result"] {
        Json::Array(point) if data["resultType"] != "vector" && data["resultType"] != "matrix" => {
            println!("{}", point.get(1).map_or("", |v| v.as_str().unwrap_or("")));
        }
        Json::Array(series) => {
            for one in series {
                let labels = labels_of(&one["metric"])?;
                for point in one["values"].as_array().unwrap_or(&vec![one["value"].clone()]) {
                    println!("{labels} => {} @[{}]", point[1].as_str().unwrap_or(""), point[0]);
                }
            }
        }
        other => println!("{other}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn labels_of(metric: &Json) -> anyhow::Result<Labels> {
    let pairs = metric.as_object().into_iter().flatten();
    Ok(Labels::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or(""))))?)
}
