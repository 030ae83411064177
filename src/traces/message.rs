//! Spans as OTLP's messages.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Message, SpanFlags, Status};
use prost::Message as _;

use super::context::SpanContext;
use super::ids::{Entropy, TraceId};
use super::settings::TracesSettings;
use super::span::{Kind, Span, Value};

/// The W3C flag of what is recorded, as OTLP has it.
const SAMPLED: u32 = 1;

/// What is said of the process.
pub(super) fn resource(settings: &TracesSettings, entropy: &Entropy) -> Resource {
    let own = [
        ("service.name", settings.service_name.clone()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", TraceId::draw(entropy).to_string()),
        ("telemetry.sdk.name", "shapegate".to_owned()),
        ("telemetry.sdk.language", "rust".to_owned()),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let is_said = |key: &str| settings.resource.iter().any(|(said, _)| said == key);
    let own = own.into_iter().filter(|(key, _)| !is_said(key));
    let said = settings
        .resource
        .iter()
        .map(|(key, text)| (key.as_str(), text.clone()));
    Resource {
        attributes: own.chain(said).map(|(key, text)| text_of(key, text)).collect(),
        ..Resource::default()
    }
}

/// The body of an export.
pub(super) fn export(resource: &Resource, spans: Vec<Message>) -> Bytes {
    let scope = InstrumentationScope {
        name: "shapegate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = ScopeSpans {
        scope: Some(scope),
        spans,
        schema_url: String::new(),
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![spans],
            schema_url: String::new(),
        }],
    };
    request.encode_to_vec().into()
}

/// A span as OTLP has it.
pub(super) fn message(span: Span) -> Message {
    let place = span.place;
    let code = if span.failed {
        StatusCode::Error
    } else {
        StatusCode::Unset
    };
    let kind = match span.kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Internal => SpanKind::Internal,
    };
    Message {
        trace_id: place.trace.bytes().to_vec(),
        span_id: place.id.bytes().to_vec(),
        parent_span_id: place.parent.map(|id| id.bytes().to_vec()).unwrap_or_default(),
        trace_state: place.state.to_string(),
        flags: SAMPLED | remoteness(place.parent.is_some() && place.is_parent_remote),
        name: span.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: span.start.0,
        end_time_unix_nano: span.end.0,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        links: span.links.into_iter().map(link).collect(),
        status: Some(Status {
            code: code.into(),
            message: String::new(),
        }),
        ..Message::default()
    }
}

/// That it is known where the parent is, and where.
fn remoteness(is_remote: bool) -> u32 {
    let bit = |flag: SpanFlags| u32::try_from(i32::from(flag)).unwrap_or_default();
    let remote = if is_remote {
        bit(SpanFlags::ContextIsRemoteMask)
    } else {
        0
    };
    bit(SpanFlags::ContextHasIsRemoteMask) | remote
}

fn link(context: SpanContext) -> Link {
    Link {
        trace_id: context.trace.bytes().to_vec(),
        span_id: context.span.bytes().to_vec(),
        flags: u32::from(context.sampled) | remoteness(false),
        ..Link::default()
    }
}

fn attribute((key, value): (&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(text) => text_of(key, text.into_owned()),
        Value::Name(name) => text_of(key, name.to_string()),
        Value::Number(number) => said(key, Any::IntValue(number)),
        Value::Truth(truth) => said(key, Any::BoolValue(truth)),
    }
}

fn text_of(key: &str, text: String) -> KeyValue {
    said(key, Any::StringValue(text))
}

fn said(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
