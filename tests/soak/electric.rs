//! An Electric that rotates its shapes and restarts, and remembers its rows meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use shapegate_origin::{Origin, OriginConfig, Schema};

use crate::chance::Chance;
use crate::rows::{self, Rows};
use crate::support::gateway::ELECTRIC_SECRET;
use crate::support::patience::until;
use crate::support::ports::free_address;
use crate::users::ORGS;

/// Rows of an organisation, at most.
const ROWS: u64 = 40;
/// Large rows, of organisation 1 alone: together more than sockets buffer.
const LARGE_ROWS: i64 = 48;
const LARGE_BYTES: usize = 64 * 1024;
/// Short, so that waits end in every way.
const LONG_POLL: Duration = Duration::from_secs(2);
const SSE_LIFE: Duration = Duration::from_secs(3);

pub struct Electric {
    pub address: SocketAddr,
    origin: Option<Origin>,
    rows: Rows,
    version: u64,
}

impl Electric {
    /// With its first rows, and stopped.
    pub fn new() -> Self {
        let mut electric = Self {
            address: free_address(),
            origin: None,
            rows: Rows::new(),
            version: 0,
        };
        for org in ORGS {
            for number in 0..10 {
                electric.rows.insert(rows::id(org, number), rows::text(org, 0));
            }
        }
        electric
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn rows(&self) -> Rows {
        self.rows.clone()
    }

    pub fn origin(&self) -> &Origin {
        self.origin.as_ref().expect("a running Electric")
    }

    /// Closes every connection at once.
    pub fn stop(&mut self) {
        self.origin = None;
    }

    /// With the rows of before, and no shape of before.
    pub async fn restart(&mut self) {
        self.stop();
        until("Electric's port is free again", || self.try_start()).await;
    }

    fn try_start(&mut self) -> bool {
        self.origin = Origin::start(OriginConfig {
            listen: self.address,
            secret: Some(ELECTRIC_SECRET.to_owned()),
            schema: schema(&self.rows),
            long_poll: LONG_POLL,
            sse_life: SSE_LIFE,
            received_max: 0,
            ..OriginConfig::default()
        })
        .ok();
        self.origin.is_some()
    }

    /// One row is written, changed or deleted.
    pub fn write(&mut self, chance: &mut Chance) {
        let org = ORGS.start + i64::try_from(chance.below(8)).unwrap();
        let id = rows::id(org, i64::try_from(chance.below(ROWS)).unwrap());
        if chance.once_in(4) && self.rows.remove(&id).is_some() {
            self.origin().delete("notes", json!({ "id": id })).unwrap();
            return;
        }
        self.version += 1;
        let text = rows::text(org, self.version);
        let row = json!({ "id": id, "org_id": org, "text": &text });
        self.origin().upsert("notes", row).unwrap();
        self.rows.insert(id, text);
    }
}

fn schema(rows: &Rows) -> Schema {
    let columns = json!([
        { "name": "id", "type": "int8", "key": true },
        { "name": "org_id", "type": "int8", "required": true },
        { "name": "text", "type": "text", "required": true },
    ]);
    let notes: Vec<_> = rows
        .iter()
        .map(|(id, text)| json!({ "id": id, "org_id": id / rows::id(1, 0), "text": text }))
        .collect();
    let large: Vec<_> = (0..LARGE_ROWS)
        .map(|number| {
            let text = rows::text(1, 0) + &"y".repeat(LARGE_BYTES);
            json!({ "id": rows::id(1, number), "org_id": 1, "text": text })
        })
        .collect();
    let tables = json!({ "tables": [
        { "table": "notes", "columns": columns, "rows": notes },
        { "table": "large", "columns": columns, "rows": large },
    ] });
    Schema::read(&tables.to_string()).unwrap()
}
