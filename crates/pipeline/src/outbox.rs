//! placeholder
use crate::{Context, Fault, TenantId};
/// x
pub async fn pager(_: &Context, _: &TenantId) -> Result<serde_json::Value, Fault> {
    Ok(serde_json::json!({"connected":false,"receivers":[]}))
}
/// x
pub async fn send_test(_: &Context, _: &TenantId, _: Option<&str>) -> Result<Vec<ports::Delivery>, Fault> {
    Ok(vec![])
}
