//! evaluate-alerts
