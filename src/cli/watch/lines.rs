use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Show, View};
use crate::domain::SensorId;
use crate::mirror::Status;

/// Lines of JSON: `{"status", …}` when the status changes, `{"sensor": {…}}` for what is new or changed,
/// `{"deleted": id}` for what is gone. Of several changes of one sensor in a tenth of a second the last is told.
#[derive(Default)]
pub(super) struct Lines {
    status: Option<Status>,
    told: BTreeMap<SensorId, Arc<Json>>,
}

impl Show for Lines {
    fn text(&mut self, view: &View) -> String {
        let mut text = String::new();
        let mut tell = |line: Json| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
        };
        if let Some(snapshot) = &view.snapshot {
            for id in self.told.keys().filter(|id| !snapshot.sensors.contains_key(id)) {
                tell(json!({"deleted": id.to_string()}));
            }
            for (id, sensor) in &snapshot.sensors {
                // A mirror never changes what a reader holds.
                if !self.told.get(id).is_some_and(|told| Arc::ptr_eq(told, sensor)) {
                    tell(json!({"sensor": **sensor}));
                }
            }
            self.told.clone_from(&snapshot.sensors);
        }
        if self.status.as_ref() != Some(&view.status) {
            tell(status_line(view));
            self.status = Some(view.status.clone());
        }
        text
    }

    fn farewell(&self) -> &'static str {
        ""
    }
}

fn status_line(view: &View) -> Json {
    let mut line = match &view.status {
        Status::Connecting { problem: None } => json!({"status": "connecting"}),
        Status::Connecting { problem } => json!({"status": "connecting", "problem": problem}),
        Status::Reading => json!({"status": "reading"}),
        Status::Live => json!({"status": "live"}),
    };
    if let Some(snapshot) = &view.snapshot {
        line["epoch"] = json!(snapshot.epoch.as_str());
        line["revision"] = json!(snapshot.revision.get());
        line["lag"] = json!(view.lag);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Epoch, Revision};
    use crate::mirror::Snapshot;

    fn view(sensors: &[&Arc<Json>]) -> View {
        let by_id = |sensor: &&Arc<Json>| (sensor["id"].as_str().unwrap().parse().unwrap(), Arc::clone(sensor));
        View {
            status: Status::Live,
            lag: 0,
            snapshot: Some(Snapshot {
                epoch: Epoch::from_random(0),
                revision: Revision::new(3),
                sensors: sensors.iter().map(by_id).collect(),
            }),
        }
    }

    #[test]
    fn each_change_is_told_once() {
        let mut lines = Lines::default();
        let one = Arc::new(json!({"id": "01936f0e-7c1b-7d61-9d0e-000000000001"}));
        let two = Arc::new(json!({"id": "01936f0e-7c1b-7d61-9d0e-000000000002"}));
        let first = lines.text(&view(&[&one]));
        assert_eq!(
            first,
            "{\"sensor\":{\"id\":\"01936f0e-7c1b-7d61-9d0e-000000000001\"}}\n\
             {\"epoch\":\"aaaaaaaa\",\"lag\":0,\"revision\":3,\"status\":\"live\"}\n"
        );
        assert_eq!(lines.text(&view(&[&one])), "");
        assert_eq!(
            lines.text(&view(&[&two])),
            "{\"deleted\":\"01936f0e-7c1b-7d61-9d0e-000000000001\"}\n\
             {\"sensor\":{\"id\":\"01936f0e-7c1b-7d61-9d0e-000000000002\"}}\n"
        );
    }
}
