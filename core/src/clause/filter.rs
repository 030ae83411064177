//! A filter together with the values of its parameters.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Clause, Expression, Function, Literal, ParameterError, ParameterText, Scalar, Test, Type};
use crate::limits;

/// Why a clause and these values make no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A parameter without a value.
    #[error("${0} has no value")]
    ValueMissing(u16),
    /// A value that nothing reads.
    #[error("the filter does not use ${0}")]
    ValueUnused(u16),
    /// Too many of them.
    #[error("the filter has more than {} parameters", limits::PARAMETERS_MAX)]
    TooManyParameters,
    /// A literal that cannot be a parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// `NULL` as a value, which no parameter can carry.
    #[error("NULL is not allowed as a value; use IS NULL")]
    Null,
    /// A subquery, which a client may not ask for.
    #[error("subqueries are not allowed here")]
    Subquery,
}

/// A clause with a value for each of its parameters. Two are equal when text and values are.
#[derive(Debug, Clone)]
pub struct Filter(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    clause: Clause,
    text: String,
    parameters: Vec<ParameterText>,
}

impl Filter {
    /// Gives each parameter of a clause its value: the first is that of `$1`.
    ///
    /// # Errors
    /// Unless exactly `$1` to `$n` are used and given.
    pub fn new(clause: Clause, parameters: Vec<ParameterText>) -> Result<Self, FilterError> {
        let count = u16::try_from(parameters.len()).map_err(|_| FilterError::TooManyParameters)?;
        if count > limits::PARAMETERS_MAX {
            return Err(FilterError::TooManyParameters);
        }
        let mut used = vec![false; parameters.len()];
        let mut missing = None;
        clause.0.each(&mut |node| {
            if let Expression::Parameter(number) = node {
                match used.get_mut(usize::from(*number).wrapping_sub(1)) {
                    Some(seen) => *seen = true,
                    None => missing = Some(*number),
                }
            }
        });
        if let Some(number) = missing {
            return Err(FilterError::ValueMissing(number));
        }
        match (1..=count).zip(used).find(|(_, seen)| !seen) {
            Some((number, _)) => Err(FilterError::ValueUnused(number)),
            None => Ok(Self::assemble(clause, parameters)),
        }
    }

    /// Takes a client's clause: each literal becomes a parameter, and all parameters are numbered in the
    /// order in which they appear, each use of its own.
    ///
    /// A number or truth value is cast to the type that it had as a literal (`5` → `$1::int4`), a text is
    /// not: an untyped parameter is inferred exactly as an untyped literal. So nothing changes its meaning,
    /// neither in Postgres nor in Electric, even where both sides of an operator are literals.
    ///
    /// # Errors
    /// As [`Filter::new`], and for what a client may not ask: a subquery, or `NULL` as a value.
    pub fn client(clause: Clause, parameters: Vec<ParameterText>) -> Result<Self, FilterError> {
        let Self(given) = Self::new(clause, parameters)?;
        let unnumbered = vec![None; given.parameters.len()];
        let mut lifted = Lifted {
            given: &given.parameters,
            numbers: unnumbered,
            values: Vec::new(),
        };
        let mut expression = given.clause.expression().clone();
        lifted.lift(&mut expression)?;
        Ok(Self::assemble(Clause::of(expression), lifted.values))
    }

    /// Both filters at once: `(self) AND (other)`. The other's parameters are numbered after ours.
    ///
    /// # Errors
    /// When there are more parameters than a filter may have.
    pub fn and(&self, other: &Self) -> Result<Self, FilterError> {
        let ours = u16::try_from(self.0.parameters.len()).map_err(|_| FilterError::TooManyParameters)?;
        let total = self.0.parameters.len() + other.0.parameters.len();
        if total > usize::from(limits::PARAMETERS_MAX) {
            return Err(FilterError::TooManyParameters);
        }
        let mut right = other.0.clause.expression().clone();
        right.each_mut(&mut |node| {
            if let Expression::Parameter(number) = node {
                *number = number.saturating_add(ours);
            }
        });
        // Postgres, too, flattens a chain of ANDs on its left side only.
        let mut items = match self.0.clause.expression().clone() {
            Expression::And(items) => items,
            single => vec![single],
        };
        items.push(right);
        let parameters = self
            .0
            .parameters
            .iter()
            .chain(&other.0.parameters)
            .cloned()
            .collect();
        Ok(Self::assemble(Clause::of(Expression::And(items)), parameters))
    }

    /// The same rows, written so that `… AND (more)` behind the text means both.
    ///
    /// Electric writes a subset's filter behind the shape's without brackets around that
    /// (`packages/sync-service/lib/electric/shapes/querying.ex`), and drops those that we print; behind an OR the
    /// subset would bind to its last part alone. `a OR b` becomes `NOT (NOT a AND NOT b)`, which is the same in
    /// three-valued logic.
    #[must_use]
    pub fn under_and(&self) -> Self {
        let Expression::Or(items) = self.0.clause.expression() else {
            return self.clone();
        };
        let negated = items
            .iter()
            .map(|item| Expression::Not(Box::new(item.clone())))
            .collect();
        let clause = Clause::of(Expression::Not(Box::new(Expression::And(negated))));
        Self::assemble(clause, self.0.parameters.clone())
    }

    fn assemble(clause: Clause, parameters: Vec<ParameterText>) -> Self {
        let text = clause.to_string();
        Self(Arc::new(Inner {
            clause,
            text,
            parameters,
        }))
    }

    /// The clause.
    #[must_use]
    pub fn clause(&self) -> &Clause {
        &self.0.clause
    }

    /// The canonical text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The values of `$1`, `$2` and so on.
    #[must_use]
    pub fn parameters(&self) -> &[ParameterText] {
        &self.0.parameters
    }

    /// Whether both certainly mean the same rows: the same tree, once every literal and every parameter is
    /// replaced by its value. `org = 5`, `"org" = '5'` and `org = $1` with 5 are the same. The order of
    /// operands counts, as it does to Electric.
    #[must_use]
    pub fn same_rows_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.bound() == other.bound()
    }

    /// The tree with all values as untyped texts.
    fn bound(&self) -> Expression {
        let mut expression = self.0.clause.expression().clone();
        bind(&mut expression, &self.0.parameters);
        expression
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
        self.0.parameters.hash(state);
    }
}

/// The parameters of a client's clause while its literals are lifted.
struct Lifted<'a> {
    given: &'a [ParameterText],
    /// The new number of each given one, once it has appeared.
    numbers: Vec<Option<u16>>,
    values: Vec<ParameterText>,
}

impl Lifted<'_> {
    fn lift(&mut self, node: &mut Expression) -> Result<(), FilterError> {
        match node {
            Expression::InSubquery { .. } => Err(FilterError::Subquery),
            Expression::Parameter(number) => self.renumber(number),
            Expression::Literal(literal) => {
                *node = self.parameter_for(literal)?;
                Ok(())
            }
            _ => {
                let uninferred = takes_any_type(node);
                node.children_mut()
                    .into_iter()
                    .try_for_each(|child| self.lift_below(child, uninferred))
            }
        }
    }

    /// Where Postgres takes values of any type it calls a text literal `text`, but gives up on a parameter.
    fn lift_below(&mut self, child: &mut Expression, uninferred: bool) -> Result<(), FilterError> {
        let untyped = matches!(child, Expression::Literal(Literal::Text(_)));
        self.lift(child)?;
        if uninferred && untyped {
            *child = cast(child.clone(), Scalar::Text);
        }
        Ok(())
    }

    fn renumber(&mut self, number: &mut u16) -> Result<(), FilterError> {
        let index = usize::from(*number).wrapping_sub(1);
        let missing = FilterError::ValueMissing(*number);
        let (slot, value) = self
            .numbers
            .get_mut(index)
            .zip(self.given.get(index))
            .ok_or(missing)?;
        *number = match *slot {
            Some(known) => known,
            None => {
                let next = push(&mut self.values, value.clone())?;
                *slot = Some(next);
                next
            }
        };
        Ok(())
    }

    fn parameter_for(&mut self, literal: &Literal) -> Result<Expression, FilterError> {
        let (text, scalar) = untyped(literal).ok_or(FilterError::Null)?;
        let operand = Expression::Parameter(push(&mut self.values, ParameterText::new(&text)?)?);
        Ok(match scalar {
            None => operand,
            Some(scalar) => cast(operand, scalar),
        })
    }
}

/// Whether the operands may be of any type, so that nothing tells the type of a parameter among them.
fn takes_any_type(node: &Expression) -> bool {
    matches!(
        node,
        Expression::Is { test: Test::Null, .. }
            | Expression::Call {
                function: Function::Concat,
                ..
            }
    )
}

fn cast(operand: Expression, scalar: Scalar) -> Expression {
    Expression::Cast {
        operand: Box::new(operand),
        target: Type { scalar, array: false },
    }
}

/// Adds a value and returns its number.
fn push(values: &mut Vec<ParameterText>, value: ParameterText) -> Result<u16, FilterError> {
    values.push(value);
    u16::try_from(values.len())
        .ok()
        .filter(|number| *number <= limits::PARAMETERS_MAX)
        .ok_or(FilterError::TooManyParameters)
}

/// A literal as text, with the type that Postgres gives it as it stands. NULL has no text.
fn untyped(literal: &Literal) -> Option<(Cow<'_, str>, Option<Scalar>)> {
    Some(match literal {
        Literal::Null => return None,
        Literal::Boolean(truth) => (
            Cow::Borrowed(if *truth { "true" } else { "false" }),
            Some(Scalar::Bool),
        ),
        Literal::Integer(number) => {
            let scalar = if i32::try_from(*number).is_ok() {
                Scalar::Int4
            } else {
                Scalar::Int8
            };
            (Cow::Owned(number.to_string()), Some(scalar))
        }
        Literal::Decimal(number) => (Cow::Borrowed(number), Some(Scalar::Numeric)),
        Literal::Text(text) => (Cow::Borrowed(text), None),
    })
}

/// Replaces parameters and literals by untyped texts, and drops the casts that lifting adds. This is only for
/// comparing: a cast may decide which operator is meant, yet never lets two different values seem equal.
fn bind(node: &mut Expression, parameters: &[ParameterText]) {
    if let Expression::InSubquery { subquery, .. } = node
        && let Some(filter) = &mut subquery.filter
    {
        bind(filter, parameters);
    }
    node.children_mut()
        .into_iter()
        .for_each(|child| bind(child, parameters));
    let text = match node {
        Expression::Parameter(number) => parameters
            .get(usize::from(*number).wrapping_sub(1))
            .map(|value| value.as_str().into()),
        Expression::Literal(literal) => untyped(literal).map(|(text, _)| Arc::from(text)),
        Expression::Cast {
            operand,
            target: Type { scalar, array: false },
        } if is_literals(*scalar) => match &**operand {
            Expression::Literal(Literal::Text(text)) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    if let Some(text) = text {
        *node = Expression::Literal(Literal::Text(text));
    }
}

/// Whether a literal can have this type as it stands.
fn is_literals(scalar: Scalar) -> bool {
    matches!(
        scalar,
        Scalar::Bool | Scalar::Int4 | Scalar::Int8 | Scalar::Numeric
    )
}
