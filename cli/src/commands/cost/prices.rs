//! List prices of one region in $, without any free tier or discount. The only place that names one:
//! the counted bill of `tests/src/bill.rs` reads this very file.

/// Where and when the numbers are from.
pub(super) const SOURCE: &str = "AWS's list prices for us-east-1, as known in November 2026, no free tier";

/// A million requests, unless it says otherwise.
pub(super) struct Prices {
    /// API Gateway websocket messages, both ways, 32 KB each: the first thousand million, and above.
    pub(super) websocket_message: (f64, f64),
    /// A million minutes of connections.
    pub(super) websocket_minute: f64,
    /// HTTP API requests.
    pub(super) http_request: f64,
    pub(super) lambda_request: f64,
    /// A GB-second on arm64.
    pub(super) lambda_gb_second: f64,
    pub(super) kinesis_shard_hour: f64,
    /// Units of 25 KB, at least one a record.
    pub(super) kinesis_unit: f64,
    /// Writes of 1 KB.
    pub(super) dynamodb_write: f64,
    /// Consistent reads of 4 KB.
    pub(super) dynamodb_read: f64,
    /// A GB-month with point-in-time recovery.
    pub(super) dynamodb_gb: f64,
    pub(super) s3_put: f64,
    pub(super) s3_get: f64,
    pub(super) s3_gb: f64,
    pub(super) sns_publish: f64,
    pub(super) sns_http: f64,
    pub(super) sqs_request: f64,
    /// A GB of logs taken in.
    pub(super) logs_gb: f64,
    /// A metric of our own and month.
    pub(super) metric: f64,
    /// An alarm and month.
    pub(super) alarm: f64,
    /// A key and month.
    pub(super) kms_key: f64,
    /// A GB out to the internet.
    pub(super) out_gb: f64,
}

/// The region's table; `None` where we have none.
pub(super) fn of(region: &str) -> Option<&'static Prices> {
    (region == "us-east-1").then_some(&US_EAST_1)
}

static US_EAST_1: Prices = Prices {
    websocket_message: (1.00, 0.80),
    websocket_minute: 0.25,
    http_request: 1.00,
    lambda_request: 0.20,
    lambda_gb_second: 0.000_013_333_4,
    kinesis_shard_hour: 0.015,
    kinesis_unit: 0.014,
    dynamodb_write: 0.625,
    dynamodb_read: 0.125,
    dynamodb_gb: 0.25 + 0.20,
    s3_put: 5.00,
    s3_get: 0.40,
    s3_gb: 0.023,
    sns_publish: 0.50,
    sns_http: 0.60,
    sqs_request: 0.40,
    logs_gb: 0.50,
    metric: 0.30,
    alarm: 0.10,
    kms_key: 1.00,
    out_gb: 0.09,
};
