//! What can be otherwise in a profile: one setting at a time, so that a measurement shows what it
//! does. Rill on TCP instead of a unix socket is no change of the profile, but another upstream.

use crate::failure::Failure;

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// What it is called in a table.
    pub(crate) name: &'static str,
    /// What stands in the shipped file.
    pub(crate) from: &'static str,
    /// What stands there instead.
    pub(crate) to: &'static str,
}

impl Change {
    /// The text with the setting changed wherever it stands.
    pub(super) fn apply(&self, text: &str) -> Result<String, Failure> {
        if text.contains(self.from) {
            Ok(text.replace(self.from, self.to))
        } else {
            Err(Failure::Usage("a change of nginx's configuration does not fit its profile"))
        }
    }
}

/// Changes of `http.conf`. Where the file leaves nginx's default, the change stands beside a
/// neighbour.
pub(super) const HTTP: &[Change] = &[
    Change {
        name: "no TLS, HTTP/1.1",
        from: "listen 443 ssl http2 backlog=4096;",
        to: "listen 443 backlog=4096;",
    },
    Change {
        name: "TLS, HTTP/1.1",
        from: "listen 443 ssl http2 backlog=4096;",
        to: "listen 443 ssl backlog=4096;",
    },
    Change {
        name: "reuseport",
        from: "listen 443 ssl http2 backlog=4096;",
        to: "listen 443 ssl http2 backlog=4096 reuseport;",
    },
    Change { name: "one worker", from: "worker_processes auto;", to: "worker_processes 1;" },
    Change {
        name: "proxy_buffering on (Rill's X-Accel-Buffering still counts)",
        from: "proxy_buffering off;",
        to: "proxy_buffering on;",
    },
    Change {
        name: "proxy_buffering on, X-Accel-Buffering ignored",
        from: "proxy_buffering off;",
        to: "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;",
    },
    Change {
        name: "proxy_buffer_size 4k (default)",
        from: "proxy_buffer_size 1k;",
        to: "proxy_buffer_size 4k;",
    },
    Change {
        name: "ssl_buffer_size 16k (default)",
        from: "ssl_buffer_size 2k;",
        to: "ssl_buffer_size 16k;",
    },
    Change {
        name: "no TLS session cache",
        from: "ssl_session_cache shared:tls:32m;",
        to: "ssl_session_cache off;",
    },
    Change {
        name: "client_header_buffer_size 1k (default)",
        from: "client_header_buffer_size 2k;",
        to: "client_header_buffer_size 1k;",
    },
    Change {
        name: "proxy_request_buffering off",
        from: "client_body_buffer_size 256k;",
        to: "client_body_buffer_size 256k; proxy_request_buffering off;",
    },
    Change { name: "no upstream keepalive", from: "keepalive 32;", to: "" },
    Change { name: "tcp_nodelay off", from: "gzip off;", to: "gzip off; tcp_nodelay off;" },
    Change {
        name: "gzip on",
        from: "gzip off;",
        to: "gzip on; gzip_types text/event-stream application/json;",
    },
    Change {
        name: "no access log",
        from: "access_log /var/log/nginx/access.log rill;",
        to: "access_log off;",
    },
    Change {
        name: "limits for loopback too, a key for each connection",
        from: "1 \"\";",
        to: "1 $connection;",
    },
];

/// Changes of `stream.conf`.
pub(super) const STREAM: &[Change] = &[
    Change {
        name: "TLS",
        from: "listen 80 backlog=4096;",
        to: "listen 443 ssl backlog=4096;
        ssl_certificate /etc/nginx/tls/fullchain.pem;
        ssl_certificate_key /etc/nginx/tls/privkey.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
        ssl_alpn http/1.1;
        ssl_session_cache shared:tls:32m;
        ssl_session_timeout 1h;
        ssl_session_tickets off;",
    },
    Change {
        name: "reuseport",
        from: "listen 80 backlog=4096;",
        to: "listen 80 backlog=4096 reuseport;",
    },
    Change { name: "one worker", from: "worker_processes auto;", to: "worker_processes 1;" },
    Change {
        name: "proxy_buffer_size 512",
        from: "proxy_buffer_size 1k;",
        to: "proxy_buffer_size 512;",
    },
    Change {
        name: "proxy_buffer_size 4k",
        from: "proxy_buffer_size 1k;",
        to: "proxy_buffer_size 4k;",
    },
    Change {
        name: "proxy_buffer_size 16k (default)",
        from: "proxy_buffer_size 1k;",
        to: "proxy_buffer_size 16k;",
    },
    Change {
        name: "tcp_nodelay off",
        from: "proxy_timeout 90s;",
        to: "proxy_timeout 90s; tcp_nodelay off;",
    },
    Change {
        name: "no access log",
        from: "access_log /var/log/nginx/access.log rill;",
        to: "access_log off;",
    },
    Change {
        name: "limits for loopback too, a key for each connection",
        from: "1 \"\";",
        to: "1 $connection;",
    },
];
