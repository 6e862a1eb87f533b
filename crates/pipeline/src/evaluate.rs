//! placeholder
use crate::{Context, Delivered, Fault, TenantId, Wake};
/// x
pub async fn rules(_: &Context, _: &TenantId) -> Result<serde_json::Value, Fault> {
    Ok(serde_json::json!({"groups":[]}))
}
/// x
pub async fn alerts(_: &Context, _: &TenantId) -> Result<Vec<wire::WatchedAlert>, Fault> {
    Ok(vec![])
}
/// x
pub async fn stream(_: &Context, _: &[Delivered]) -> Result<(), Fault> {
    Ok(())
}
/// x
pub async fn changes(_: &Context, _: &TenantId) -> Result<(), Fault> {
    Ok(())
}
/// x
pub async fn wake(_: &Context, _: &Wake) -> Result<(), Fault> {
    Ok(())
}
/// x
pub async fn tick(_: &Context) -> Result<(), Fault> {
    Ok(())
}
