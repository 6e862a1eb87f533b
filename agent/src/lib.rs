//! daywatch-agent
