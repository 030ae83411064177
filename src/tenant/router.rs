//! From a raw path to the shapes behind it.

use super::authorizers::ShapeAuthorizers;
use crate::admin::Metrics;
use crate::admin::decisions::{Asked as Counted, RouteCounts};
use crate::authorizer::Authorizers;
use crate::config::{
    CheckedShape, GatekeeperSettings, OPEN_ROUTE_LAST, PathPattern, Segment, SubsetSetting, TableSetting,
    is_capture_text,
};
use crate::gatekeeper::{JWKS_PATH, MintPath};
use http::Method;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::policy::{Access, ShapePolicy};
use shapegate_core::request::{Asked, Declared, Scalar, Verb};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Numbers for shapes, never used twice in a process: what was decided for one is never taken for another's.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The routes of one tenant. No two of them take the same path.
pub struct Router {
    routes: Vec<Route>,
    /// Paths without captures.
    fixed: HashMap<Box<str>, Target>,
    /// Routes with captures, by their number of segments.
    captured: HashMap<usize, Vec<(PathPattern, Target)>>,
    mint: Option<MintPath>,
    /// Whether subsets of signed shapes may be read.
    signed_takes_post: bool,
}

#[derive(Clone, Copy)]
enum Target {
    Shapes(usize),
    Health,
    Signed,
    PublicKeys,
}

/// One path and its shapes.
pub struct Route {
    declared: Declared,
    shapes: Vec<ServedShape>,
    takes_post: bool,
    takes_delete: bool,
}

/// A shape that is served.
pub struct ServedShape {
    number: u64,
    policy: Arc<ShapePolicy>,
    authorizers: Arc<Authorizers>,
    hub: bool,
    counts: OnceLock<Arc<RouteCounts>>,
    replaced: AtomicBool,
}

impl ServedShape {
    fn new(shape: &CheckedShape, authorizers: Arc<Authorizers>) -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self {
            number,
            policy: Arc::clone(&shape.policy),
            authorizers,
            hub: shape.settings.hub,
            counts: OnceLock::new(),
            replaced: AtomicBool::new(false),
        }
    }

    /// Its number, which no other shape of this process has or had.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Takes note that its tenant is no longer the one that is served.
    pub fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
    }

    /// Whether whoever asks from now on is judged by another one.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }

    /// What decides.
    pub fn policy(&self) -> &ShapePolicy {
        &self.policy
    }

    /// Who is asked before.
    pub fn authorizers(&self) -> &Authorizers {
        &self.authorizers
    }

    /// Whether identical reads share upstream requests and kept answers.
    pub fn shares(&self) -> bool {
        self.hub
    }

    /// Where its decisions are counted, of which there is one place for its life.
    pub fn counts(&self, tenant: &Arc<str>, metrics: &Metrics) -> &Arc<RouteCounts> {
        let decisions = &metrics.decisions;
        self.counts
            .get_or_init(|| decisions.route(Some(tenant), Counted::Shape, self.policy.name()))
    }

    /// Whether nobody gets it without a credential.
    pub fn requires_identity(&self) -> bool {
        self.policy.access() == Access::Required
    }
}

/// What a path means.
pub enum Found<'t> {
    /// Shapes.
    Shapes(Endpoint<'t>),
    /// The upstream's health, in Electric's form.
    Health,
    /// A token for the table of this raw segment.
    Mint(Box<str>),
    /// A shape that a token signs.
    Signed {
        /// Whether `POST` is taken, for subsets of it.
        takes_post: bool,
    },
    /// The public keys of such tokens.
    PublicKeys,
}

impl Found<'_> {
    /// The methods that it takes, as `Allow` has them.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Health | Self::PublicKeys | Self::Signed { takes_post: false } => "GET, HEAD, OPTIONS",
            Self::Signed { takes_post: true } => "GET, HEAD, POST, OPTIONS",
            Self::Mint(_) => "POST, OPTIONS",
            Self::Shapes(endpoint) => match (endpoint.route.takes_post, endpoint.route.takes_delete) {
                (false, false) => "GET, HEAD, OPTIONS",
                (true, false) => "GET, HEAD, POST, OPTIONS",
                (false, true) => "GET, HEAD, DELETE, OPTIONS",
                (true, true) => "GET, HEAD, POST, DELETE, OPTIONS",
            },
        }
    }

    /// What a method means here; none when it is not taken.
    pub fn verb(&self, method: &Method) -> Option<Verb> {
        let verb = Verb::of_method(method.as_str())?;
        let taken = match (verb, self) {
            (Verb::Get | Verb::Head, Self::Mint(_)) => false,
            (Verb::Get | Verb::Head, _) => true,
            (Verb::Post, Self::Mint(_)) => true,
            (Verb::Post, Self::Signed { takes_post }) => *takes_post,
            (Verb::Post, Self::Shapes(endpoint)) => endpoint.route.takes_post,
            (Verb::Delete, Self::Shapes(endpoint)) => endpoint.route.takes_delete,
            (_, Self::Health | Self::PublicKeys | Self::Mint(_) | Self::Signed { .. }) => false,
        };
        taken.then_some(verb)
    }

    /// Whether there is nothing here for a method: tokens are posted for, and a page that is opened at that
    /// address is not found, as in the published example.
    pub fn hides(&self, method: &Method) -> bool {
        matches!(self, Self::Mint(_)) && matches!(*method, Method::GET | Method::HEAD)
    }
}

/// A route with what its path captured.
pub struct Endpoint<'t> {
    route: &'t Route,
    captures: Vec<(Arc<str>, Scalar)>,
}

impl<'t> Endpoint<'t> {
    /// The query names that all its shapes declare.
    pub fn declared(&self) -> &'t Declared {
        &self.route.declared
    }

    /// What the path captured, in its order.
    pub fn captures(&self) -> &[(Arc<str>, Scalar)] {
        &self.captures
    }

    /// The shape that is asked for: the only one, or that of the table.
    ///
    /// # Errors
    /// `malformed_request` when there are several and no table is named, `parameter_not_allowed` for a table
    /// that none of them has.
    pub fn choose(&self, asked: &Asked) -> Result<&'t ServedShape, Refusal> {
        match (self.route.shapes.as_slice(), &asked.definition.table) {
            ([only], _) => Ok(only),
            (_, None) => Err(Refusal::new(
                Code::MalformedRequest,
                "Several shapes are served here: `table` must name one.",
            )),
            (shapes, Some(table)) => shapes
                .iter()
                .find(|shape| shape.policy.gives_table(table))
                .ok_or_else(|| {
                    Refusal::new(
                        Code::ParameterNotAllowed,
                        "`table` names no shape that is served here.",
                    )
                    .with_detail(format!("no shape of {table} on this path"))
                }),
        }
    }
}

impl Router {
    /// Routes to shapes, whose paths are known not to overlap.
    pub(super) fn new(
        shapes: &[CheckedShape],
        authorizers: &ShapeAuthorizers,
        gatekeeper: Option<&GatekeeperSettings>,
    ) -> Self {
        let mut router = Self {
            routes: Vec::new(),
            fixed: HashMap::new(),
            captured: HashMap::new(),
            mint: None,
            signed_takes_post: false,
        };
        let mut known: HashMap<&PathPattern, usize> = HashMap::new();
        for shape in shapes {
            let path = &shape.settings.path.value;
            let index = *known.entry(path).or_insert_with(|| router.add_route(shape));
            if let Some(route) = router.routes.get_mut(index) {
                route.takes_post |= shape.settings.client.subset != SubsetSetting::Off;
                route.takes_delete |= shape.policy.allows_deletion();
                route
                    .shapes
                    .push(ServedShape::new(shape, authorizers.of_shape(shape)));
            }
        }
        if let Some(gatekeeper) = gatekeeper {
            router.add_gatekeeper(gatekeeper);
        }
        router
    }

    fn add_gatekeeper(&mut self, gatekeeper: &GatekeeperSettings) {
        if let Some(mint) = &gatekeeper.mint {
            self.mint = Some(mint.path.value.clone());
            self.fixed.insert(JWKS_PATH.into(), Target::PublicKeys);
        }
        if let Some(verify) = &gatekeeper.verify {
            self.signed_takes_post = verify.unsigned.subset.is_some();
            for path in &verify.paths {
                self.add_target(path.value.clone(), Target::Signed);
            }
        }
    }

    fn add_route(&mut self, shape: &CheckedShape) -> usize {
        let (index, path) = (self.routes.len(), &shape.settings.path.value);
        let declared = shape.settings.declared.clone();
        self.routes.push(Route {
            declared,
            shapes: Vec::new(),
            takes_post: false,
            takes_delete: false,
        });
        self.add_target(path.clone(), Target::Shapes(index));
        let (last, health) = OPEN_ROUTE_LAST;
        let open = matches!(shape.settings.table.value, TableSetting::AnyOf(_));
        if let Some(path) = path.with_last(last, health).filter(|_| open) {
            self.add_target(path, Target::Health);
        }
        index
    }

    fn add_target(&mut self, path: PathPattern, target: Target) {
        if path.names().next().is_none() {
            self.fixed.insert(path.to_string().into(), target);
        } else {
            self.captured
                .entry(path.segments().len())
                .or_default()
                .push((path, target));
        }
    }

    /// What a raw path means. Paths without captures are found without allocating.
    pub fn find(&self, path: &str) -> Option<Found<'_>> {
        if let Some(target) = self.fixed.get(path) {
            return self.found(*target, Vec::new());
        }
        if let Some(table) = self.mint.as_ref().and_then(|mint| mint.table(path)) {
            return Some(Found::Mint(table.into()));
        }
        let rest = path.strip_prefix('/').filter(|_| !self.captured.is_empty())?;
        let candidates = self.captured.get(&rest.split('/').count())?;
        let (target, captures) = candidates
            .iter()
            .find_map(|(pattern, target)| Some((*target, captures(pattern, rest)?)))?;
        self.found(target, captures)
    }

    /// All shapes that paths lead to.
    pub fn shapes(&self) -> impl Iterator<Item = &ServedShape> {
        self.routes.iter().flat_map(|route| &route.shapes)
    }

    /// The path of the route that takes a raw path, as it is configured.
    pub fn route_of(&self, path: &str) -> Option<String> {
        if self.fixed.contains_key(path) {
            return Some(path.to_owned());
        }
        if let Some(mint) = self.mint.as_ref().filter(|mint| mint.table(path).is_some()) {
            return Some(mint.to_string());
        }
        let rest = path.strip_prefix('/')?;
        let candidates = self.captured.get(&rest.split('/').count())?;
        let takes = |(pattern, _): &&(PathPattern, Target)| captures(pattern, rest).is_some();
        candidates
            .iter()
            .find(takes)
            .map(|(pattern, _)| pattern.to_string())
    }

    fn found(&self, target: Target, captures: Vec<(Arc<str>, Scalar)>) -> Option<Found<'_>> {
        match target {
            Target::Health => Some(Found::Health),
            Target::PublicKeys => Some(Found::PublicKeys),
            Target::Signed => Some(Found::Signed {
                takes_post: self.signed_takes_post,
            }),
            Target::Shapes(index) => Some(Found::Shapes(Endpoint {
                route: self.routes.get(index)?,
                captures,
            })),
        }
    }
}

/// What a pattern captures from a path of as many segments; none when it does not take it.
fn captures(pattern: &PathPattern, rest: &str) -> Option<Vec<(Arc<str>, Scalar)>> {
    let mut captures = Vec::new();
    for (segment, text) in pattern.segments().iter().zip(rest.split('/')) {
        match segment {
            Segment::Literal(literal) if &**literal == text => {}
            Segment::Literal(_) => return None,
            Segment::Capture { name, kind } => {
                let value = kind.read(text).filter(|_| is_capture_text(text))?;
                captures.push((Arc::clone(name), value));
            }
        }
    }
    Some(captures)
}
