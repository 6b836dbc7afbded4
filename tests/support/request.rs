//! A request as bytes in the making.

/// What a peer sends.
#[derive(Clone)]
pub(crate) struct Request {
    line: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

pub(crate) fn get(target: &str) -> Request {
    request("GET", target)
}

/// A POST of JSON.
pub(crate) fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
    request("POST", target).json(body)
}

/// A PUT of JSON.
pub(crate) fn put(target: &str, body: impl Into<Vec<u8>>) -> Request {
    request("PUT", target).json(body)
}

pub(crate) fn request(method: &str, target: &str) -> Request {
    let line = format!("{method} {target} HTTP/1.1");
    Request { line, fields: vec![("Host".into(), b"rill".into())], body: Vec::new() }
}

impl Request {
    pub(crate) fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.into(), value.as_ref().into()));
        self
    }

    /// The same request without the fields of this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.field("Authorization", format!("Bearer {token}"))
    }

    pub(crate) fn cursor(self, cursor: impl AsRef<[u8]>) -> Self {
        self.field("Last-Event-ID", cursor)
    }

    fn json(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let typed = self.field("Content-Type", "application/json");
        typed.field("Content-Length", body.len().to_string()).body(body)
    }

    pub(crate) fn http_1_0(mut self) -> Self {
        self.line = self.line.replace(" HTTP/1.1", " HTTP/1.0");
        self
    }

    /// Bytes after the head, whatever the head says of them.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }

    pub(super) fn is_head(&self) -> bool {
        self.line.starts_with("HEAD ")
    }
}
