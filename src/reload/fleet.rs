//! Every tenant, with what it was made from and what became of it.

use super::candidates::{Candidate, settle};
use super::prepare::{Outcome, Prepared, Preparing};
use super::read::{FilesRead, Recorder};
use super::standing::Switch;
use crate::config::{Document, Opened, Problems, Selection, ServerSettings, Surroundings, TenantClaims};
use crate::tenant::{Shared, Snapshot, Tenant};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is refused.
    #[error("{0}")]
    Refused(Problems),
    /// It is right, and each of its tenants is refused.
    #[error("{0}")]
    NoTenant(Problems),
}

impl StartError {
    /// Everything that is wrong.
    pub fn problems(&self) -> &Problems {
        match self {
            Self::Refused(problems) | Self::NoTenant(problems) => problems,
        }
    }
}

/// All tenants of a process.
pub struct Fleet {
    paths: Vec<PathBuf>,
    surroundings: Arc<dyn Surroundings + Send + Sync>,
    shared: Shared,
    opened: Opened,
    server: ServerSettings,
    /// What `opened` was made from; after a refused change, what was refused.
    read: FilesRead,
    /// Whether the configuration's own files are refused as they are now.
    stale: bool,
    /// Whether the folder of the tenants cannot be read now.
    unlisted: bool,
    members: BTreeMap<Arc<str>, Member>,
    /// The insecure switches of the process.
    insecure: Vec<String>,
}

/// One tenant.
struct Member {
    read: FilesRead,
    state: MemberState,
    /// Whether its files, as they are now, are refused.
    refused: bool,
    /// Whether nothing but another tenant keeps it from being served as they say.
    rivalled: bool,
    /// The insecure switches that are served.
    insecure: Vec<String>,
}

enum MemberState {
    Served(Arc<Tenant>, Arc<TenantClaims>),
    Unserved(Option<Selection>),
}

/// What a look at the files has found.
#[derive(Debug, Default)]
pub struct Looked {
    /// Tenants that are new.
    pub added: Vec<Arc<str>>,
    /// Tenants that are other ones now.
    pub changed: Vec<Arc<str>>,
    /// Tenants that are gone.
    pub removed: Vec<Arc<str>>,
    /// What was noticed in what is new.
    pub warnings: Problems,
    /// Everything that is refused, and was not yet at the look before.
    pub refused: Problems,
    /// Whether the configuration's own files changed and are taken.
    pub reopened: bool,
}

impl Looked {
    /// Whether anything else is to be served now.
    pub fn is_change(&self) -> bool {
        self.reopened || !(self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty())
    }
}

/// How many tenants there are, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// As their files say.
    pub served: usize,
    /// As their files said before: what these say now is refused.
    pub stale: usize,
    /// Not at all.
    pub unserved: usize,
}

impl Fleet {
    /// Reads and compiles everything. Tenants that are refused do not keep the others from being served.
    ///
    /// # Errors
    /// When the configuration is refused, or all of its tenants are.
    pub fn load(
        paths: Vec<PathBuf>,
        surroundings: Arc<dyn Surroundings + Send + Sync>,
    ) -> Result<(Self, Looked), StartError> {
        let recorder = Recorder::over(&*surroundings);
        let opened = Opened::open(&paths, &recorder).map_err(StartError::Refused)?;
        let (opened, server, warnings) = checked(opened, &recorder).map_err(StartError::Refused)?;
        let read = recorder.into_read();
        let mut fleet = Self {
            paths,
            surroundings,
            shared: Shared::default(),
            opened,
            server,
            read,
            stale: false,
            unlisted: false,
            members: BTreeMap::new(),
            insecure: warnings.insecure(),
        };
        let mut looked = Looked::default();
        looked.warnings.extend(warnings);
        fleet.look_at_tenants(true, false, &mut looked);
        let none_served = !fleet.members.is_empty() && fleet.counts().served == 0;
        if none_served || (!fleet.opened.is_shared() && looked.refused.refuse()) {
            return Err(StartError::NoTenant(looked.refused));
        }
        Ok((fleet, looked))
    }

    /// What the process listens on and how much it takes.
    pub fn server(&self) -> &ServerSettings {
        &self.server
    }

    /// Looks whether files have changed, and reads what has. `closely`: even where a file looks as before.
    pub fn look(&mut self, closely: bool) -> Looked {
        let mut looked = Looked::default();
        if self.own_files_changed(closely) {
            self.reopen(&mut looked);
        }
        let everything = looked.reopened;
        self.look_at_tenants(everything, closely, &mut looked);
        looked
    }

    fn own_files_changed(&mut self, closely: bool) -> bool {
        let listed = self.opened.templates_changed(&*self.surroundings);
        self.read.have_changed(closely, &*self.surroundings) || listed
    }

    /// Reads the configuration's own files. What is wrong with them leaves all as it is.
    fn reopen(&mut self, looked: &mut Looked) {
        let surroundings = Arc::clone(&self.surroundings);
        let recorder = Recorder::over(&*surroundings);
        let opened = Opened::open(&self.paths, &recorder).and_then(|opened| checked(opened, &recorder));
        self.read = recorder.into_read();
        self.stale = opened.is_err();
        match opened {
            Ok((opened, server, warnings)) => {
                self.opened = opened;
                self.server = server;
                self.insecure = warnings.insecure();
                looked.warnings.extend(warnings);
                looked.reopened = true;
            }
            Err(problems) => looked.refused.extend(problems),
        }
    }

    fn look_at_tenants(&mut self, everything: bool, closely: bool, looked: &mut Looked) {
        let documents = match self.opened.documents(&*self.surroundings) {
            Ok(documents) => documents,
            // Nobody is removed because a folder cannot be read. It is told once.
            Err(problems) if self.unlisted => return drop(problems),
            Err(problems) => {
                self.unlisted = true;
                return looked.refused.extend(problems);
            }
        };
        self.unlisted = false;
        self.remove_gone(&documents, looked);
        let due = self.due(&documents, everything, closely, !looked.removed.is_empty());
        let preparing = Preparing {
            opened: &self.opened,
            surroundings: &*self.surroundings,
            shared: &self.shared,
        };
        let prepared = preparing.all(&due);
        self.take(prepared, looked);
    }

    fn remove_gone(&mut self, documents: &[Document], looked: &mut Looked) {
        let ids: HashSet<&Arc<str>> = documents.iter().map(Document::id).collect();
        let gone = self.members.keys().filter(|id| !ids.contains(id));
        looked.removed = gone.cloned().collect();
        for id in &looked.removed {
            self.members.remove(id);
        }
    }

    /// Those to read again: all whose files changed and, where any other has changed or is `gone`, those whom only
    /// others keep from being served.
    fn due<'d>(
        &mut self,
        documents: &'d [Document],
        everything: bool,
        closely: bool,
        gone: bool,
    ) -> Vec<&'d Document> {
        let surroundings = &*self.surroundings;
        let (mut due, mut rivalled) = (Vec::new(), Vec::new());
        for document in documents {
            let Some(member) = self.members.get_mut(document.id()) else {
                due.push(document);
                continue;
            };
            if everything || member.read.have_changed(closely, surroundings) {
                due.push(document);
            } else if member.rivalled {
                rivalled.push(document);
            }
        }
        if gone || !due.is_empty() {
            due.extend(rivalled);
        }
        due
    }

    /// Takes what was prepared, as far as it can be served together.
    fn take(&mut self, prepared: Vec<Prepared>, looked: &mut Looked) {
        if prepared.is_empty() {
            return;
        }
        let rivals = self.rivals(&prepared);
        for mut prepared in prepared {
            let rival = rivals.get(&prepared.id);
            if let Some(problems) = rival {
                let selection = match &prepared.outcome {
                    Outcome::Ready(tenant, _) => tenant.selection().cloned(),
                    Outcome::Refused(selection) => selection.clone(),
                };
                prepared.outcome = Outcome::Refused(selection);
                prepared.problems.extend(problems.clone());
            }
            self.take_one(prepared, rival.is_some(), looked);
        }
    }

    /// Those of the prepared ones that cannot be served beside others, with the reason.
    fn rivals(&self, prepared: &[Prepared]) -> HashMap<Arc<str>, Problems> {
        if prepared.iter().all(|one| self.claims_as_before(one)) {
            return HashMap::new();
        }
        let changing: HashSet<&Arc<str>> = prepared.iter().map(|one| &one.id).collect();
        let unchanged = self
            .members
            .iter()
            .filter_map(|(id, member)| match &member.state {
                MemberState::Served(_, claims) if !changing.contains(id) => Some(Candidate {
                    claims: Arc::clone(claims),
                    changed: false,
                }),
                _ => None,
            });
        let changed = prepared.iter().filter_map(|one| match &one.outcome {
            Outcome::Ready(_, claims) => Some(Candidate {
                claims: Arc::clone(claims),
                changed: true,
            }),
            Outcome::Refused(_) => self.before(&one.id).map(|claims| Candidate {
                claims,
                changed: false,
            }),
        });
        let refused = settle(unchanged.chain(changed).collect(), |id| self.before(id));
        refused
            .into_iter()
            .map(|refused| (refused.id, refused.problems))
            .collect()
    }

    /// Whether a tenant, taken as it is prepared, lays claim to nothing else than what is served of it.
    fn claims_as_before(&self, prepared: &Prepared) -> bool {
        match &prepared.outcome {
            Outcome::Ready(_, claims) => self
                .before(&prepared.id)
                .is_some_and(|before| before.are_those_of(claims)),
            Outcome::Refused(_) => true,
        }
    }

    fn before(&self, id: &str) -> Option<Arc<TenantClaims>> {
        match &self.members.get(id)?.state {
            MemberState::Served(_, claims) => Some(Arc::clone(claims)),
            MemberState::Unserved(_) => None,
        }
    }

    fn take_one(&mut self, prepared: Prepared, rivalled: bool, looked: &mut Looked) {
        let Prepared {
            id,
            read,
            outcome,
            problems,
        } = prepared;
        let before = self.members.remove(&id);
        let was_served = matches!(
            &before,
            Some(Member {
                state: MemberState::Served(..),
                ..
            })
        );
        let (state, refused, insecure) = match (outcome, before) {
            (Outcome::Ready(tenant, claims), _) => {
                let insecure = problems.insecure();
                looked.warnings.extend(problems);
                let list = if was_served {
                    &mut looked.changed
                } else {
                    &mut looked.added
                };
                list.push(Arc::clone(&id));
                (MemberState::Served(tenant, claims), false, insecure)
            }
            (Outcome::Refused(selection), before) => {
                looked.refused.extend(problems);
                match before {
                    Some(Member {
                        state: MemberState::Served(tenant, claims),
                        insecure,
                        ..
                    }) => (MemberState::Served(tenant, claims), true, insecure),
                    _ => {
                        looked.changed.push(Arc::clone(&id));
                        (MemberState::Unserved(selection), true, Vec::new())
                    }
                }
            }
        };
        let member = Member {
            read,
            state,
            refused,
            rivalled,
            insecure,
        };
        self.members.insert(id, member);
    }

    /// What is to be served. Tenants that did not change are the same ones as in the snapshot before.
    pub fn snapshot(&self) -> Snapshot {
        let served = self.members.values().filter_map(|member| match &member.state {
            MemberState::Served(tenant, _) => Some(Arc::clone(tenant)),
            MemberState::Unserved(_) => None,
        });
        let unserved = self
            .members
            .iter()
            .filter_map(|(id, member)| match &member.state {
                MemberState::Unserved(Some(selection)) => Some((Arc::clone(id), selection.clone())),
                _ => None,
            });
        Snapshot::with_unserved(served, unserved)
    }

    /// How many tenants there are.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for member in self.members.values() {
            match (&member.state, member.refused) {
                (MemberState::Served(..), false) => counts.served += 1,
                (MemberState::Served(..), true) => counts.stale += 1,
                (MemberState::Unserved(_), _) => counts.unserved += 1,
            }
        }
        counts
    }

    /// Whether everything is served as the files say.
    pub fn is_current(&self) -> bool {
        let counts = self.counts();
        !self.stale && !self.unlisted && counts.stale == 0 && counts.unserved == 0
    }

    /// The insecure switches in force.
    pub fn insecure(&self) -> Vec<Switch> {
        let of = |tenant: Option<&Arc<str>>, told: &String| Switch {
            tenant: tenant.cloned(),
            told: told.clone(),
        };
        let own = self.insecure.iter().map(|told| of(None, told));
        let members = self.members.iter();
        let theirs =
            members.flat_map(|(id, member)| member.insecure.iter().map(move |told| of(Some(id), told)));
        own.chain(theirs).collect()
    }

    /// The folders in which a change matters.
    pub fn folders(&self) -> HashSet<PathBuf> {
        let members = self.members.values().flat_map(|member| member.read.paths());
        let files = self.read.paths().chain(members).filter_map(Path::parent);
        let folders = files.chain(self.opened.folders());
        folders
            .map(|folder| {
                if folder.as_os_str().is_empty() {
                    PathBuf::from(".")
                } else {
                    folder.to_owned()
                }
            })
            .collect()
    }
}

/// A configuration whose own part is right, with the warnings about it.
fn checked(
    mut opened: Opened,
    surroundings: &dyn Surroundings,
) -> Result<(Opened, ServerSettings, Problems), Problems> {
    let mut problems = std::mem::take(&mut opened.problems);
    match opened.documents(surroundings) {
        // A configuration of one tenant is right or wrong as a whole.
        Ok(documents) if !opened.is_shared() => {
            let refused = documents
                .iter()
                .filter_map(|one| opened.tenant(one, surroundings).err());
            refused.for_each(|refused| problems.extend(refused.problems));
        }
        Ok(_) => {}
        Err(listing) => problems.extend(listing),
    }
    problems.sort();
    match opened.server.take() {
        Some(server) if !problems.refuse() => Ok((opened, server, problems)),
        _ => Err(problems),
    }
}
