//! What an object store said, in the words that a person needs.
//!
//! The library tells of every request that failed with its kind of store, its whole URL, its retries and the body of the
//! answer. Guarantees that of this the server, the cause and an answer's code and message stay, and nothing of a URL but
//! its server: what comes after that may hold a signature.

use std::error::Error as _;

use object_store::Error;

/// How much is shown of an answer that is in no known form.
const ANSWER_CHARS: usize = 300;
/// How the library begins to tell of a request, and of what it wanted the request for.
const REQUEST: &str = "Error performing ";

/// The error, without what its library adds.
pub(super) fn cause(error: &Error) -> String {
    let Error::Generic { source, .. } = error else { return said(&error.to_string()) };
    said(&source.to_string())
}

/// What the system said of a request that did not even come to the server, where it said anything.
pub(super) fn of_the_system(error: &Error) -> Option<String> {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).last().map(ToString::to_string)
}

fn said(text: &str) -> String {
    let Some(request) = request(text) else { return text.to_owned() };
    let (request, answer) = request.split_once(" - ").unwrap_or((request, "a request failed"));
    let server = request.split_whitespace().nth(1).and_then(server).unwrap_or("the server");
    let before = text.split_once(REQUEST).map_or("", |(before, _)| before);
    format!("{before}{server}: {}", shortened(answer))
}

/// A text from the method of its request on. The library tells first what the request was for, in words of its own and
/// with names of objects; an answer may say anything.
fn request(text: &str) -> Option<&str> {
    let is_method = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut begins = text.match_indices(REQUEST).map(|(at, _)| &text[at + REQUEST.len()..]);
    begins.find(|after| after.split(' ').next().is_some_and(is_method))
}

/// Scheme, host and port of a URL.
fn server(url: &str) -> Option<&str> {
    let begin = url.find("://")? + "://".len();
    let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |length| begin + length);
    (!url[..end].contains('@')).then(|| &url[..end])
}

/// An answer without its markup.
fn shortened(answer: &str) -> String {
    let Some(begin) = answer.find('<') else { return cut(answer.trim_end_matches([':', ' '])) };
    let (status, body) = answer.split_at(begin);
    let parts = [element(body, "Code"), element(body, "Message")];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => cut(answer),
        false => cut(&format!("{status}{}", parts.join(": "))),
    }
}

/// What stands between a tag and its end.
fn element<'a>(body: &'a str, tag: &str) -> Option<&'a str> {
    let (_, after) = body.split_once(&format!("<{tag}>"))?;
    after.split_once("</").map(|(text, _)| text)
}

/// One line, not too long.
fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(ANSWER_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> String {
        cause(&Error::Generic { store: "S3", source: text.to_owned().into() })
    }

    #[test]
    fn of_a_request_stay_the_server_and_the_cause() {
        let silent = "Error performing PUT http://127.0.0.1:9/b/p/probe/0dfd in 611.92ms, after 3 retries, max_retries: 3, \
                      retry_timeout: 60s  - HTTP error: error sending request";
        assert_eq!(generic(silent), "http://127.0.0.1:9: HTTP error: error sending request");
        assert_eq!(generic("Error performing GET REDACTED in 5s - it broke"), "the server: it broke");
        assert_eq!(generic("No space left on device (os error 28)"), "No space left on device (os error 28)");
    }

    #[test]
    fn what_a_request_was_for_hides_neither_its_server_nor_its_answer() {
        let failed = "Error performing GET https://h:9/b?list-type=2&prefix=p%2Fspec in 611ms, after 3 retries, \
                      max_retries: 3, retry_timeout: 60s  - Server returned non-2xx status code: 403 Forbidden: \
                      <Error><Code>AccessDenied</Code><Message>Error performing PUT x - no</Message></Error>";
        let shown = "https://h:9: Server returned non-2xx status code: 403 Forbidden: AccessDenied: Error performing \
                     PUT x - no";
        for what in [
            "list request",
            "DeleteObjects request",
            "CreateSession request",
            "complete multipart request: p/a - b",
            "get request p/a - b",
        ] {
            assert_eq!(generic(&format!("Error performing {what}: {failed}")), shown, "{what}");
        }
        let source = format!("Error performing get request p/x: {failed}").into();
        let missing = cause(&Error::NotFound { path: "p/x".to_owned(), source });
        assert_eq!(missing, format!("Object at location p/x not found: {shown}"));
    }

    #[test]
    fn of_an_answer_stay_its_code_and_its_message() {
        let busy = "Error performing PUT https://h/b/x in 1ms - Server returned non-2xx status code: 503 Service Unavailable: \
                    <?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message>\
                    <Resource>/b/x</Resource></Error>";
        let shown =
            "https://h: Server returned non-2xx status code: 503 Service Unavailable: SlowDown: Reduce your rate.";
        assert_eq!(generic(busy), shown);
        let page = format!("Error performing GET https://h/ in 1ms - status 502: <html>{}</html>", "a b\n".repeat(500));
        let shown = generic(&page);
        assert!(shown.starts_with("https://h: status 502: <html>a b a b") && shown.ends_with('…'), "{shown}");
        assert!(shown.chars().count() < 330 && !shown.contains('\n'), "{shown}");
    }

    #[test]
    fn signatures_in_a_url_are_not_shown() {
        for url in ["https://a.blob.core.windows.net/c/x?sig=geheim", "https://geheim@h/x", "https://h?sig=geheim"] {
            let shown = generic(&format!("Error performing GET {url} in 1ms - 403 Forbidden: "));
            assert!(!shown.contains("geheim") && shown.ends_with(": 403 Forbidden"), "{shown}");
        }
    }
}
