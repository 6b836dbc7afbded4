//! What a person does on the pages, and sees there.

use serde_json::{Value, json};

use super::{Server, Tab};

impl Server {
    /// A path as a browser goes to it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }
}

impl Tab {
    /// One in which `name` has signed in and opened the stream client.
    #[track_caller]
    pub(crate) fn signed_in(server: &Server, name: &str, role: &str) -> Self {
        let mut tab = Self::open(&server.url("/"));
        tab.wait_for_text("#by-name", "Sign in by name");
        tab.fill("#name", name);
        tab.fill("#role", role);
        tab.click("#by-name button");
        tab.wait_for_text("#user", name);
        tab.go(&server.url("/sse-client"));
        tab.wait_for_text("#session", &format!("Signed in as {name}"));
        tab
    }

    #[track_caller]
    pub(crate) fn connect(&mut self, stream: &str) {
        self.fill("#stream", stream);
        self.click("#connect button");
        self.wait_for_text("#state", "Connected as");
    }

    /// Sends from the form, and waits for the answer, whatever it is.
    #[track_caller]
    pub(crate) fn send(&mut self, path: &str, body: impl ToString) {
        self.fill("#path", path);
        self.fill("#body", &body.to_string());
        self.value("document.querySelector('#published').textContent = ''");
        self.click("#publish button");
        self.wait("document.querySelector('#published').textContent !== ''");
    }

    /// What the rows of the table say, the newest first: event, id, data.
    #[track_caller]
    pub(crate) fn rows(&mut self) -> Vec<[String; 3]> {
        let texts = "(row) => [...row.cells].slice(2).map((cell) => cell.textContent)";
        let rows = self.value(&format!("[...document.querySelectorAll('#rows tr')].map({texts})"));
        serde_json::from_value(rows).expect("rows of three texts")
    }

    /// Waits for a row of this event, and gives its id and data.
    #[track_caller]
    pub(crate) fn row(&mut self, event: &str) -> (String, String) {
        let is_it = format!("(cell) => cell.textContent === {}", json!(event));
        self.wait(&format!("[...document.querySelectorAll('#rows .e')].some({is_it})"));
        let found = self.rows().into_iter().find(|[name, _, _]| name == event);
        let [_, id, data] = found.expect("the row that was there");
        (id, data)
    }

    /// How many rows there are of an event.
    #[track_caller]
    pub(crate) fn count_of(&mut self, event: &str) -> usize {
        self.rows().iter().filter(|[name, _, _]| name == event).count()
    }

    /// What the messages in the table say, the oldest first.
    #[track_caller]
    pub(crate) fn messages(&mut self) -> Vec<String> {
        let messages = self.rows().into_iter().rev().filter(|[event, _, _]| event == "message");
        let data =
            messages.map(|[_, _, data]| serde_json::from_str::<Value>(&data).expect("the data"));
        data.map(|data| data["message"].as_str().expect("a message").to_owned()).collect()
    }

    /// Waits until one of the counters says so.
    #[track_caller]
    pub(crate) fn count(&mut self, what: &str, expected: u64) {
        let said = format!("document.querySelector('#{what}-count').textContent.replace(',', '')");
        self.wait(&format!("{said} === '{expected}'"));
    }
}
