//! The thread that makes text of lines and writes it, and the queue before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::JournalMetrics;
use super::line::Line;

/// Lines that may wait to be written. Above that they are dropped and counted.
pub const QUEUE_LINES: usize = 8192;
/// How many lines are written at once.
const BATCH_LINES: u64 = 256;
/// Who may read a log that is made: its owner, and the group that collects it.
const FILE_MODE: u32 = 0o640;
/// How long the end of a process waits for its last lines, and how often it looks whether there is room to ask.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);
const FINISH_TURN: Duration = Duration::from_millis(10);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, added to. It may be renamed away, as logrotate does: then it is made anew.
    File(PathBuf),
}

enum Order {
    Write(Box<Line>),
    /// Tells when everything before it is written.
    Tell(SyncSender<()>),
}

/// The queue before a thread that writes. Clones are the same queue.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Order>,
    metrics: JournalMetrics,
}

impl Writer {
    /// Opens the destination and starts its thread, which ends with the last queue.
    ///
    /// # Errors
    /// When the file cannot be opened, or no thread be started.
    pub fn start(destination: &Destination, metrics: JournalMetrics) -> io::Result<Self> {
        let sink = Sink::open(destination)?;
        let (queue, orders) = sync_channel(QUEUE_LINES);
        let counted = metrics.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || run(sink, &orders, &counted))?;
        Ok(Self { queue, metrics })
    }

    /// Queues a line, or drops it.
    pub fn write(&self, line: Line) {
        if self.queue.try_send(Order::Write(Box::new(line))).is_err() {
            self.metrics.queue_full.inc();
        }
    }

    /// Waits until what is queued is written, for `FINISH_TIMEOUT` at most.
    pub fn finish(&self) {
        let (tell, told) = sync_channel(1);
        let mut order = Order::Tell(tell);
        let mut turns = FINISH_TIMEOUT.as_millis() / FINISH_TURN.as_millis();
        while let Err(refused) = self.queue.try_send(order) {
            let TrySendError::Full(back) = refused else { return };
            if turns == 0 {
                return;
            }
            turns -= 1;
            order = back;
            std::thread::sleep(FINISH_TURN);
        }
        // Whoever cannot write in that time is not waited for.
        _ = told.recv_timeout(FINISH_TIMEOUT);
    }
}

/// Writes what comes, many lines at once when many have come.
fn run(mut sink: Sink, orders: &Receiver<Order>, metrics: &JournalMetrics) {
    let mut batch = Vec::new();
    while let Ok(first) = orders.recv() {
        let (mut count, mut asked) = (0, Vec::new());
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Write(line) if append(&mut batch, &line).is_ok() => count += 1,
                Order::Write(_) => metrics.failed.inc(),
                Order::Tell(tell) => asked.push(tell),
            }
            next = (count < BATCH_LINES).then(|| orders.try_recv().ok()).flatten();
        }
        // A full disk loses lines and nothing else.
        if sink.write(&batch).is_err() {
            metrics.failed.inc_by(count);
        }
        batch.clear();
        for tell in asked {
            _ = tell.send(());
        }
    }
}

/// Adds a whole line, or nothing.
fn append(batch: &mut Vec<u8>, line: &Line) -> Result<(), serde_json::Error> {
    let before = batch.len();
    match serde_json::to_writer(&mut *batch, line) {
        Ok(()) => batch.push(b'\n'),
        Err(error) => {
            batch.truncate(before);
            return Err(error);
        }
    }
    Ok(())
}

enum Sink {
    Stdout,
    Stderr,
    File { path: PathBuf, file: File },
}

impl Sink {
    fn open(destination: &Destination) -> io::Result<Self> {
        Ok(match destination {
            Destination::Stdout => Self::Stdout,
            Destination::Stderr => Self::Stderr,
            Destination::File(path) => Self::File {
                file: open(path)?,
                path: path.clone(),
            },
        })
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(batch).and_then(|()| out.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(batch),
            Self::File { path, file } => {
                // Where it cannot be made anew, the old one still takes lines.
                if was_moved(path, file)
                    && let Ok(anew) = open(path)
                {
                    *file = anew;
                }
                file.write_all(batch)
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(FILE_MODE).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Whether the path names another file by now, or none.
fn was_moved(path: &Path, file: &File) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let (named, held) = (std::fs::metadata(path), file.metadata());
    match (named, held) {
        (Ok(named), Ok(held)) => identity(named) != identity(held),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::{Access, Request};
    use super::*;
    use http::{HeaderValue, Method};
    use shapegate_core::time::UnixMillis;

    fn line(path: &str) -> Line {
        Line::Access(Access {
            time: UnixMillis(1_500),
            request: Request {
                request_id: HeaderValue::from_static("id"),
                tenant: None,
                shape: None,
                credential: None,
                address: None,
                method: Method::GET,
                path: path.into(),
            },
            status: Some(200),
            code: None,
            bytes: 3,
            duration: Duration::from_millis(7),
            first_byte: None,
            hub: Some("hit"),
            upstream_status: None,
        })
    }

    fn lines_of(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Writes without a thread, so that nothing need be waited for.
    fn sink(path: &Path) -> Sink {
        Sink::open(&Destination::File(path.to_owned())).unwrap()
    }

    #[test]
    fn a_line_is_one_line_of_json_whatever_is_in_it() {
        let mut batch = Vec::new();
        append(&mut batch, &line("/a\n{\"log\":\"access\"}\u{1b}[2J")).unwrap();
        let text = String::from_utf8(batch).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains('\u{1b}'), "{text}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["path"], "/a\n{\"log\":\"access\"}\u{1b}[2J");
        let expected = r#"{"log":"access","time":"1970-01-01T00:00:01.500Z","request_id":"id","method":"GET","path":"/","#;
        let rest = r#""status":200,"bytes":3,"duration_ms":7,"hub":"hit"}"#;
        let mut plain = Vec::new();
        append(&mut plain, &line("/")).unwrap();
        assert_eq!(String::from_utf8(plain).unwrap(), format!("{expected}{rest}\n"));
    }

    #[test]
    fn a_file_that_is_renamed_away_is_made_anew_and_none_of_its_lines_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut sink = sink(&path);
        sink.write(b"one\n").unwrap();
        std::fs::rename(&path, &old).unwrap();
        sink.write(b"two\n").unwrap();
        assert_eq!(
            (lines_of(&old), lines_of(&path)),
            (vec!["one".into()], vec!["two".into()])
        );
    }

    #[test]
    fn a_file_that_cannot_be_made_anew_is_written_to_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, moved) = (folder.path().join("logs"), folder.path().join("moved"));
        std::fs::create_dir(&inner).unwrap();
        let mut sink = sink(&inner.join("log"));
        std::fs::rename(&inner, &moved).unwrap();
        sink.write(b"one\n").unwrap();
        assert_eq!(lines_of(&moved.join("log")), ["one"]);
    }

    #[test]
    fn a_disk_that_is_full_loses_lines_and_counts_them() {
        let metrics = JournalMetrics::new().unwrap();
        let (queue, orders) = sync_channel(8);
        for _ in 0..3 {
            queue.send(Order::Write(Box::new(line("/")))).unwrap();
        }
        drop(queue);
        run(sink(Path::new("/dev/full")), &orders, &metrics);
        assert_eq!(metrics.failed.get(), 3);
    }

    #[test]
    fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
        let metrics = JournalMetrics::new().unwrap();
        // Nobody takes anything out of it.
        let (queue, _orders) = sync_channel(2);
        let writer = Writer {
            queue,
            metrics: metrics.clone(),
        };
        for _ in 0..5 {
            writer.write(line("/"));
        }
        assert_eq!(metrics.queue_full.get(), 3);
    }

    #[test]
    fn everything_that_was_queued_is_written_when_finishing_returns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let metrics = JournalMetrics::new().unwrap();
        let writer = Writer::start(&Destination::File(path.clone()), metrics).unwrap();
        for _ in 0..1_000 {
            writer.write(line("/"));
        }
        writer.finish();
        assert_eq!(lines_of(&path).len(), 1_000);
    }
}
