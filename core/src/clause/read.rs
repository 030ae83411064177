//! Reads a text into our tree, through `sqlparser`'s.
//!
//! The conversion names what it accepts. There is no arm that lets an unknown node pass.

use sqlparser::ast::{Expr, Spanned};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token};

use super::error::{ClauseError, ClauseProblem, Place};
use super::{Comparison, Expression, Quantifier, Test, lexer};
use crate::limits;

mod leaves;
mod names;
mod operators;
mod precedence;
mod subquery;
mod types;

/// How deep `sqlparser` may recurse. Our printer's brackets take up to three of its levels for one of ours.
const PARSER_DEPTH_MAX: usize = 4 * limits::CLAUSE_DEPTH_MAX;

static DIALECT: PostgreSqlDialect = PostgreSqlDialect {};

/// Whose text is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    /// The operator's, who may use subqueries, and whose literals go out as they are.
    Policy,
    /// A client's, whose literals become parameters.
    Client,
}

/// Reads a whole text.
pub(super) fn read(text: &str, author: Author) -> Result<Expression, ClauseError> {
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser::new(&DIALECT)
        .with_recursion_limit(PARSER_DEPTH_MAX)
        .with_tokens_with_locations(tokens);
    let parsed = parser.parse_expr();
    let next = parser.peek_token_ref();
    let stopped = place(next.span.start);
    // The parser's own messages repeat the text; the place says enough.
    let unreadable = ClauseError {
        problem: ClauseProblem::Unreadable,
        place: stopped,
    };
    match parsed {
        Ok(expr) if next.token == Token::EOF => Reader::new(author).expression(&expr),
        _ => Err(unreadable),
    }
}

/// What has been read so far, and what may be.
struct Reader {
    subqueries: bool,
    author: Author,
    nodes: usize,
    depth: usize,
}

impl Reader {
    fn new(author: Author) -> Self {
        Self {
            subqueries: author == Author::Policy,
            author,
            nodes: 0,
            depth: 0,
        }
    }

    /// Any expression, where it stands alone: between brackets or commas.
    fn expression(&mut self, expr: &Expr) -> Result<Expression, ClauseError> {
        self.nodes += 1;
        self.depth += 1;
        if self.nodes > limits::CLAUSE_NODES_MAX {
            return Err(ClauseProblem::TooManyNodes.into());
        }
        if self.depth > limits::CLAUSE_DEPTH_MAX {
            return Err(ClauseProblem::TooDeep.into());
        }
        let node = self.node(expr).map_err(|error| located(error, expr))?;
        self.depth -= 1;
        Ok(node)
    }

    fn expressions(&mut self, exprs: &[Expr]) -> Result<Vec<Expression>, ClauseError> {
        if exprs.len() > limits::CLAUSE_LIST_ITEMS_MAX {
            return Err(ClauseProblem::ListTooLong.into());
        }
        exprs.iter().map(|expr| self.expression(expr)).collect()
    }

    /// An operand that must hold together at least this strongly, or be in brackets.
    fn operand(&mut self, expr: &Expr, strength: u8) -> Result<Expression, ClauseError> {
        if precedence::strength(expr) < strength {
            return Err(located(ClauseProblem::BracketsNeeded.into(), expr));
        }
        self.expression(expr)
    }

    fn boxed(&mut self, expr: &Expr, strength: u8) -> Result<Box<Expression>, ClauseError> {
        self.operand(expr, strength).map(Box::new)
    }

    fn node(&mut self, expr: &Expr) -> Result<Expression, ClauseError> {
        match expr {
            Expr::Nested(inner) => self.node(inner),
            Expr::Identifier(name) => Ok(Expression::Column(names::column(name)?)),
            Expr::Value(value) => self.value(&value.value),
            Expr::TypedString(literal) => self.typed_literal(literal),
            Expr::Interval(literal) => self.interval(literal),
            Expr::BinaryOp { left, op, right } => self.binary(expr, left, op, right),
            Expr::UnaryOp { op, expr: operand } => self.unary(expr, *op, operand),
            Expr::IsNull(operand) => self.is(operand, Test::Null, false),
            Expr::IsNotNull(operand) => self.is(operand, Test::Null, true),
            Expr::IsTrue(operand) => self.is(operand, Test::True, false),
            Expr::IsNotTrue(operand) => self.is(operand, Test::True, true),
            Expr::IsFalse(operand) => self.is(operand, Test::False, false),
            Expr::IsNotFalse(operand) => self.is(operand, Test::False, true),
            Expr::IsUnknown(operand) => self.is(operand, Test::Unknown, false),
            Expr::IsNotUnknown(operand) => self.is(operand, Test::Unknown, true),
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right, false),
            Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right, true),
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::InSubquery {
                expr,
                subquery,
                negated,
            } => self.in_subquery(expr, subquery, *negated),
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(expr, low, high, *negated),
            Expr::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => self.like(expr, pattern, false, *negated),
            Expr::ILike {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => self.like(expr, pattern, true, *negated),
            Expr::AnyOp {
                left,
                compare_op,
                right,
                is_some: _,
            } => self.quantified(left, compare_op, right, Quantifier::Any),
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => self.quantified(left, compare_op, right, Quantifier::All),
            Expr::Cast {
                kind,
                expr,
                data_type,
                format: None,
            } => self.cast(kind, expr, data_type),
            Expr::Function(function) => self.call(function),
            Expr::Array(array) => self.array(array),
            Expr::CompoundFieldAccess { root, access_chain } => self.element(root, access_chain),
            other => Err(ClauseProblem::Unsupported(unsupported(other)).into()),
        }
    }

    fn is(&mut self, operand: &Expr, test: Test, negated: bool) -> Result<Expression, ClauseError> {
        Ok(Expression::Is {
            operand: self.boxed(operand, precedence::IS + 1)?,
            test,
            negated,
        })
    }

    fn distinct(&mut self, left: &Expr, right: &Expr, negated: bool) -> Result<Expression, ClauseError> {
        let strength = precedence::IS + 1;
        let left = self.boxed(left, strength)?;
        Ok(Expression::Distinct {
            left,
            right: self.boxed(right, strength)?,
            negated,
        })
    }

    fn in_list(&mut self, operand: &Expr, items: &[Expr], negated: bool) -> Result<Expression, ClauseError> {
        if items.is_empty() {
            return Err(ClauseProblem::Unsupported("an empty IN ()").into());
        }
        let operand = self.boxed(operand, precedence::MEMBERSHIP + 1)?;
        Ok(Expression::InList {
            operand,
            items: self.expressions(items)?,
            negated,
        })
    }

    fn between(
        &mut self,
        operand: &Expr,
        low: &Expr,
        high: &Expr,
        negated: bool,
    ) -> Result<Expression, ClauseError> {
        let strength = precedence::MEMBERSHIP + 1;
        let operand = self.boxed(operand, strength)?;
        let low = self.boxed(low, strength)?;
        Ok(Expression::Between {
            operand,
            low,
            high: self.boxed(high, strength)?,
            negated,
        })
    }

    fn like(
        &mut self,
        operand: &Expr,
        pattern: &Expr,
        ignore_case: bool,
        negated: bool,
    ) -> Result<Expression, ClauseError> {
        let strength = precedence::MEMBERSHIP + 1;
        let operand = self.boxed(operand, strength)?;
        Ok(Expression::Like {
            operand,
            pattern: self.boxed(pattern, strength)?,
            ignore_case,
            negated,
        })
    }

    fn quantified(
        &mut self,
        left: &Expr,
        op: &sqlparser::ast::BinaryOperator,
        array: &Expr,
        quantifier: Quantifier,
    ) -> Result<Expression, ClauseError> {
        let comparison: Comparison = operators::comparison(op)
            .ok_or(ClauseProblem::Unsupported("this operator before ANY and ALL"))?;
        let left = self.boxed(left, precedence::COMPARISON + 1)?;
        let array = Box::new(self.expression(array)?);
        Ok(Expression::Quantified {
            left,
            comparison,
            quantifier,
            array,
        })
    }
}

/// Keeps the innermost place.
fn located(error: ClauseError, expr: &Expr) -> ClauseError {
    ClauseError {
        place: error.place.or_else(|| place(expr.span().start)),
        ..error
    }
}

fn place(location: Location) -> Option<Place> {
    (location.line > 0).then_some(Place {
        line: location.line,
        column: location.column,
    })
}

/// Names what was met, for the message.
fn unsupported(expr: &Expr) -> &'static str {
    match expr {
        Expr::CompoundIdentifier(_) => "a column with its table's name before it",
        Expr::Subquery(_) => "a subquery other than column IN (SELECT …)",
        Expr::Tuple(_) => "a row",
        Expr::Like { .. } | Expr::ILike { .. } => "LIKE with ANY",
        _ => "this",
    }
}
