//! The description of the API, as tools read it.

use super::{Answer, text};

/// OpenAPI 3.1, put together from the parts in `openapi/` when the server is built.
const DESCRIPTION: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// `GET /openapi.json`
pub(super) fn answer() -> Answer {
    text("application/json", DESCRIPTION)
}
