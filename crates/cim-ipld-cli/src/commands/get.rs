use cim_ipld::Cid;
use cim_ipld::index::Document;

use crate::args::GetArguments;
use crate::context::Context;
use crate::document_json::{DocumentJson, time_text};
use crate::failure::{Failure, Result};
use crate::output::{Style, print, print_json};
use crate::shown::{many_lines, one_line};
use crate::status::Status;

pub(crate) async fn run(arguments: GetArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    let found = engine.documents(std::slice::from_ref(&arguments.cid)).await?;
    let document = found.into_iter().flatten().next().ok_or_else(|| missing(&arguments.cid))?;
    if context.json {
        print_json(&DocumentJson::from(&document))
    } else {
        print(&render(&document, Style::of_stdout()))
    }
}

/// Returns the failure for a CID that is not in the index.
pub(super) fn missing(cid: &Cid) -> Failure {
    Failure::of(
        Status::NotFound,
        format!("the index has no document {cid}"),
        "find documents and their CIDs with `cim search`",
    )
}

fn render(document: &Document, style: Style) -> String {
    let tags = (!document.tags.is_empty()).then(|| document.tags.join(", "));
    let fields = [
        ("cid", Some(document.cid.to_string())),
        ("title", document.title.clone()),
        ("author", document.author.clone()),
        ("tags", tags),
        ("type", document.content_type.clone()),
        ("created_at", document.created_at.map(time_text)),
        ("modified_at", document.modified_at.map(time_text)),
        ("size", document.size.map(|size| size.to_string())),
    ];
    let mut text = String::new();
    for (name, value) in fields {
        if let Some(value) = value {
            text.push_str(&format!("{} {}\n", style.strong(&format!("{name}:")), one_line(&value)));
        }
    }
    if let Some(content) = &document.text {
        text.push_str(&format!("\n{}", many_lines(content)));
        if !content.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}
