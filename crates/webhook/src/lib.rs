//! Posting notifications to webhook receivers, the same from one machine and from AWS.
