//! The document as a page that needs nothing else: no network, no scripts.

use serde_json::{Map, Value};

use super::schema::{Html, escape, markup, members, paragraphs, type_of};

const STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn page(document: &Value) -> String {
    let title = escape(text(&document["info"]["title"]));
    let mut page = String::new();
    page.add(format_args!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: API</title>\n<style>{STYLE}</style>\n<main>\n<h1>{title}: API</h1>\n"
    ));
    let description = paragraphs(text(&document["info"]["description"]));
    page.add(format_args!(
        "{description}<p><a href=\"openapi.json\">openapi.json</a>: OpenAPI {} · <a href=\"/\">playground</a></p>\n",
        escape(text(&document["openapi"]))
    ));
    for tag in list(&document["tags"]) {
        section(&mut page, document, tag);
    }
    page.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
    for (name, schema) in object(&document["components"]["schemas"]) {
        let name = escape(name);
        page.add(format_args!(
            "<details id=\"schema-{name}\"><summary><code>{name}</code></summary>\n{}",
            paragraphs(text(&schema["description"]))
        ));
        members(&mut page, schema);
        page.push_str("</details>\n");
    }
    page.push_str("</main>\n</html>\n");
    page
}

fn section(page: &mut String, document: &Value, tag: &Value) {
    let name = text(&tag["name"]);
    page.add(format_args!(
        "<h2>{}</h2>\n",
        escape(text(&tag["description"]))
    ));
    for (path, methods) in object(&document["paths"]) {
        for (method, operation) in object(methods) {
            if list(&operation["tags"]).iter().any(|tag| tag == name) {
                describe(page, document, (method, path), operation);
            }
        }
    }
}

fn describe(page: &mut String, document: &Value, (method, path): (&str, &str), operation: &Value) {
    let method = method.to_uppercase();
    page.add(format_args!(
        "<details id=\"{}\"><summary><b class=\"{method}\">{method}</b> <code>{}</code> \
         <span>{}</span></summary>\n{}",
        escape(text(&operation["operationId"])),
        escape(path),
        markup(text(&operation["summary"])),
        paragraphs(text(&operation["description"])),
    ));
    if !list(&operation["security"]).is_empty() {
        page.push_str("<p>With <code>Authorization: Bearer</code> and an access token.</p>\n");
    }
    parameters(page, list(&operation["parameters"]));
    let body = &operation["requestBody"];
    if let Some(content) = body["content"].get("application/json") {
        let required = if body["required"] == true {
            ""
        } else {
            ", which may be left out"
        };
        page.add(format_args!(
            "<h3>Body{required}</h3>\n<p>{}. {}</p>\n",
            type_of(&content["schema"]),
            markup(text(&body["description"]))
        ));
        example(page, &content["example"]);
    }
    for (status, response) in object(&operation["responses"]) {
        answer(page, document, status, response);
    }
    page.push_str("</details>\n");
}

fn parameters(page: &mut String, parameters: &[Value]) {
    if parameters.is_empty() {
        return;
    }
    page.push_str("<h3>Parameters</h3>\n<table>\n");
    for parameter in parameters {
        let required = if parameter["required"] == true {
            "required"
        } else {
            ""
        };
        page.add(format_args!(
            "<tr><td><code>{}</code><td>{}<td>{}<td>{required}<td>{}\n",
            escape(text(&parameter["name"])),
            escape(text(&parameter["in"])),
            type_of(&parameter["schema"]),
            markup(text(&parameter["description"])),
        ));
    }
    page.push_str("</table>\n");
}

fn answer(page: &mut String, document: &Value, status: &str, response: &Value) {
    let shared = response["$ref"].as_str();
    let shared = shared.and_then(|path| document.pointer(path.trim_start_matches('#')));
    let response = shared.unwrap_or(response);
    page.add(format_args!(
        "<h3>{}</h3>\n{}",
        escape(status),
        paragraphs(text(&response["description"]))
    ));
    for (content_type, content) in object(&response["content"]) {
        if status.starts_with('2') {
            let data = content["schema"]["properties"].get("data");
            let shown = data.unwrap_or(&content["schema"]);
            let what = if data.is_some() {
                "<code>data</code>".to_owned()
            } else {
                format!("<code>{}</code>", escape(content_type))
            };
            page.add(format_args!("<p>{what}: {}</p>\n", type_of(shown)));
            for (_, shown) in object(&content["examples"]) {
                example(page, &shown["value"]);
            }
        }
    }
}

fn example(page: &mut String, example: &Value) {
    if !example.is_null() {
        let text = serde_json::to_string_pretty(example).unwrap_or_default();
        page.add(format_args!(
            "<pre tabindex=\"0\">{}</pre>\n",
            escape(&text)
        ));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flat_map(Map::iter);
    members.map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::openapi;

    #[test]
    fn the_page_has_every_operation_and_every_schema_that_it_links_to() {
        let document = openapi();
        let page = page(&document);
        for (_, methods) in object(&document["paths"]) {
            for (_, operation) in object(methods) {
                let id = text(&operation["operationId"]);
                assert!(page.contains(&format!("<details id=\"{id}\">")), "{id}");
            }
        }
        let links = page.split("href=\"#").skip(1);
        let links: Vec<_> = links.filter_map(|rest| rest.split('"').next()).collect();
        assert!(links.len() > 50, "{} links", links.len());
        for link in links {
            assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page(&openapi());
        for tag in ["<script", "<link", "<img", "src=", "@import", "url("] {
            assert!(!page.contains(tag), "{tag}");
        }
    }
}
