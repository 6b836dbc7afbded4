//! A page in Chromium, driven as a person would: with clicks and keys, over the DevTools protocol's pipe.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::browser::{BROWSER_PATIENCE, Profile, chromium};

/// A tab of a Chromium of its own. It ends with the test.
pub(crate) struct Tab {
    chromium: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
    complaints: Vec<String>,
    _profile: Profile,
}

impl Tab {
    pub(crate) fn open(url: &str) -> Self {
        let profile = Profile::new();
        // Chromium reads commands from descriptor 3 and answers on 4.
        let script = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).args(chromium(&profile)).args([
            "--window-size=1280,900",
            "--remote-debugging-pipe",
            "about:blank",
        ]);
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut chromium = shell.spawn().expect("a shell");
        let to = chromium.stdin.take().expect("a pipe");
        let from = BufReader::new(chromium.stdout.take().expect("a pipe"));
        let mut tab = Self {
            chromium,
            to,
            from,
            session: None,
            calls: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = tab.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = tab.call("Target.attachToTarget", attach);
        tab.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab.go(url);
        tab
    }

    /// Goes to a page, and waits until it is there.
    #[track_caller]
    pub(crate) fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        let there =
            format!("location.href === {} && document.readyState === 'complete'", json!(url));
        self.wait(&there);
    }

    /// What an expression is.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + BROWSER_PATIENCE;
        while self.value(&format!("Boolean({expression})")) != true {
            if Instant::now() > deadline {
                let page = self.value("document.body.innerText.slice(0, 3000)");
                panic!("never: {expression}\n{page:#}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The text of an element.
    #[track_caller]
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({}).innerText", json!(selector)));
        text.as_str().expect("a text").to_owned()
    }

    /// Waits until an element says this, among other things.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, selector: &str, text: &str) {
        let element = format!("document.querySelector({})", json!(selector));
        // Of what is not shown, `innerText` is all of its text (HTML section 3.2.7).
        let shown = format!("{element}?.checkVisibility()");
        self.wait(&format!("{shown} && {element}.innerText.includes({})", json!(text)));
    }

    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        self.value(&format!("document.querySelector({}).click()", json!(selector)));
    }

    /// Puts a text into a field, or chooses one, as if it was typed.
    #[track_caller]
    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        self.value(&format!(
            "{{ const field = document.querySelector({}); field.value = {};
                for (const name of ['input', 'change']) field.dispatchEvent(new Event(name, {{ bubbles: true }})); }}",
            json!(selector),
            json!(text)
        ));
    }

    /// Presses a key, and lets it go.
    #[track_caller]
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            " " => (32, Some(" ")),
            "ArrowUp" => (38, None),
            "ArrowDown" => (40, None),
            other => panic!("the kit does not know the key {other}"),
        };
        let mut event = json!({ "key": key, "windowsVirtualKeyCode": code, "type": "keyDown" });
        if let Some(text) = text {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", event);
        let up = json!({ "key": key, "windowsVirtualKeyCode": code, "type": "keyUp" });
        self.call("Input.dispatchKeyEvent", up);
    }

    /// Types a text into what has the focus.
    #[track_caller]
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Presses Tab until this has the focus.
    #[track_caller]
    pub(crate) fn tab_to(&mut self, selector: &str) {
        let here = format!("document.activeElement.matches({})", json!(selector));
        for _ in 0..60 {
            if self.value(&here) == true {
                return;
            }
            self.press("Tab");
        }
        panic!("{selector} cannot be reached with Tab");
    }

    /// Makes it as narrow as a phone.
    #[track_caller]
    pub(crate) fn phone(&mut self) {
        let size = json!({ "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the browser has complained about: errors, also of the page's policy, and what the page wrote to the
    /// console.
    #[track_caller]
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // Whatever there was before this answer has come before it.
        self.value("0");
        std::mem::take(&mut self.complaints)
    }

    #[track_caller]
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("Chromium listens");
        loop {
            let said = self.next();
            if said["id"] == self.calls {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].clone();
            }
            let complains =
                ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"];
            if said["method"].as_str().is_some_and(|method| complains.contains(&method)) {
                self.complaints.push(said["params"].to_string());
            }
        }
    }

    fn next(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).expect("Chromium answers");
        assert_eq!(message.pop(), Some(0), "Chromium, which tests/run installs, has ended");
        serde_json::from_slice(&message).expect("JSON")
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        super::browser::kill(&mut self.chromium);
    }
}
