//! `logs` and `metrics`: what is written of requests and decisions, and where; what is named where they are counted.

use super::reading::{Reading, Section};
use super::yaml::{Kind, Node};
use crate::admin::MetricsSettings;
use crate::journal::{Destination, JournalSettings};

const HELP: &str = "write `stdout`, `stderr`, `{ file: /var/log/shapegate/access.log }` or `off`";

/// Reads both keys, each of which may be missing.
pub(super) fn seen(
    reading: &mut Reading<'_>,
    root: &mut Section<'_>,
) -> Option<(JournalSettings, MetricsSettings)> {
    let logs = match root.get(reading, "logs") {
        Some(entry) => logs(reading, &entry.value),
        None => Some(JournalSettings::default()),
    };
    let metrics = match root.get(reading, "metrics") {
        Some(entry) => metrics(reading, &entry.value),
        None => Some(MetricsSettings::default()),
    };
    Some((logs?, metrics?))
}

fn logs(reading: &mut Reading<'_>, node: &Node) -> Option<JournalSettings> {
    let mut section = Section::open(reading, node, "logs")?;
    let [access, decisions] = ["access", "decisions"].map(|key| match section.get(reading, key) {
        Some(entry) => destination(reading, &entry.value, key),
        None => Some(None),
    });
    section.finish(reading);
    Some(JournalSettings {
        access: access?,
        decisions: decisions?,
    })
}

/// Where a log goes; none where it is off.
fn destination(reading: &mut Reading<'_>, node: &Node, key: &str) -> Option<Option<Destination>> {
    if matches!(node.kind, Kind::Map(_)) && node.get("env").is_none() {
        let mut section = Section::open(reading, node, key)?;
        let file = section.require(reading, "file", HELP);
        section.finish(reading);
        let text = reading.text(&file?.value, "file")?;
        let path = reading.sources.resolve(text.span, &text.value);
        return Some(Some(Destination::File(path)));
    }
    let text = reading.text(node, key)?;
    Some(match text.value.as_str() {
        "off" => None,
        "stdout" => Some(Destination::Stdout),
        "stderr" => Some(Destination::Stderr),
        other => {
            let message = format!("`{key}` cannot go to `{other}`");
            return reading.refuse(text.span, message, HELP);
        }
    })
}

fn metrics(reading: &mut Reading<'_>, node: &Node) -> Option<MetricsSettings> {
    let defaults = MetricsSettings::default();
    let mut section = Section::open(reading, node, "metrics")?;
    let tenant_label = match section.get(reading, "tenant_label") {
        Some(entry) => reading.boolean(&entry.value, "tenant_label"),
        None => Some(defaults.tenant_label),
    };
    let series_max = match section.get(reading, "series_max") {
        Some(entry) => {
            let read = reading.integer(&entry.value, "series_max", MetricsSettings::SERIES_MAX);
            read.and_then(|number| usize::try_from(number).ok())
        }
        None => Some(defaults.series_max),
    };
    section.finish(reading);
    Some(MetricsSettings {
        tenant_label: tenant_label?,
        series_max: series_max?,
    })
}
