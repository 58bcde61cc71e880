//! The page of a report in a real browser: its own style is the only thing that its policy allows, it fits a telephone and a
//! wide screen, and it is light or dark as its reader's machine is.

#[path = "support/offline.rs"]
mod offline;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use offline::{bundle, run};

const BROWSERS: [&str; 4] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

fn page(fixture: &str, code: i32) -> String {
    let out = run(&["diagnose", "--from", &bundle(fixture), "-o", "html"]);
    assert_eq!(out.status.code(), Some(code), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// The text between two others.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to}")).0
}

#[test]
fn policy_names_the_hash_of_the_style_that_is_in_the_page() {
    let page = page("2026-06-06-prusik", 1);
    let style = between(&page, "<style>", "</style>");
    let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum");
    sum.stdin.take().expect("a pipe").write_all(style.as_bytes()).expect("it reads");
    let said = String::from_utf8(sum.wait_with_output().expect("it ends").stdout).expect("text");
    let bytes: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&said[at..at + 2], 16).expect("a digest")).collect();
    let right = format!("sha256-{}", base64(&bytes));
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    assert!(policy.contains(&format!("style-src '{right}'")), "STYLE_HASH of src/report/html.rs has to be {right}");
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0_usize, |sum, at| sum << 8 | usize::from(*three.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let letter = char::from(LETTERS[number >> (18 - 6 * at) & 63]);
            out.push(if at <= three.len() { letter } else { '=' });
        }
    }
    out
}

#[test]
fn merged_report_is_a_page_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json");
    fs::write(&report, run(&["diagnose", "--from", &bundle("2026-06-06-prusik"), "-o", "json"]).stdout)
        .expect("a file");
    let out = run(&["merge", &report.display().to_string(), "-o", "html"]);
    let page = String::from_utf8(out.stdout).expect("text");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("✗ 0/65"), "the figures of ways are in reports");
}

/// A browser of this machine.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = BROWSERS
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: there is no Chromium to look at the page with");
    }
    found
}

/// Runs it on a page, and returns what it printed and what it complained of.
fn look(browser: &Path, folder: &Path, page: &Path, args: &[&str]) -> (String, String) {
    let out = Command::new("timeout")
        .args(["60".as_ref(), browser])
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(args)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{}", text(&out.stderr));
    (text(&out.stdout), text(&out.stderr))
}

#[test]
fn page_is_drawn_by_a_browser_on_small_and_large_screens_in_light_and_dark() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("page.html");
    for (fixture, code) in [("2026-06-06-prusik", 1), ("node-local-dns-down", 3)] {
        let page = page(fixture, code);
        fs::write(&path, &page).expect("a file");
        let mut pictures = Vec::new();
        for width in ["400", "1400"] {
            for theme in ["1", "0"] {
                let picture = folder.path().join(format!("{width}-{theme}.png"));
                let size = format!("--window-size={width},1600");
                let theme = format!("--blink-settings=preferredColorScheme={theme}");
                let shot = format!("--screenshot={}", picture.display());
                let (_, complaints) = look(&browser, folder.path(), &path, &[&size, &theme, &shot]);
                assert!(!complaints.contains("CONSOLE"), "{fixture}: {complaints}");
                let bytes = fs::read(&picture).expect("a picture");
                assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 40 << 10, "{fixture}: {} bytes", bytes.len());
                pictures.push(bytes);
            }
        }
        assert!(pictures[0] != pictures[1] && pictures[2] != pictures[3], "{fixture}: light is not dark");
        // A copy that may run a script says how wide it is, and whether the style holds: nothing is wider than the screen.
        let policy = between(&page, "<meta http-equiv", ">");
        let script = "<script>document.title = [innerWidth, document.documentElement.scrollWidth, \
                      getComputedStyle(document.querySelector('.summary')).display].join(' ')</script></body>";
        let measured = page.replace(&format!("<meta http-equiv{policy}>"), "").replace("</body>", script);
        let copy = folder.path().join("measured.html");
        fs::write(&copy, measured).expect("a file");
        for width in ["400", "1400"] {
            let size = format!("--window-size={width},1600");
            let (document, _) = look(&browser, folder.path(), &copy, &[&size, "--dump-dom"]);
            let title = between(&document, "<title>", "</title>");
            let words: Vec<&str> = title.split(' ').collect();
            let [inner, whole, display] = words[..] else { panic!("{title}") };
            let (inner, whole): (u32, u32) = (inner.parse().expect("a width"), whole.parse().expect("a width"));
            assert!(whole <= inner, "{fixture}: {whole} pixels on a screen of {inner}");
            assert_eq!(display, "flex", "{fixture}");
        }
    }
}
