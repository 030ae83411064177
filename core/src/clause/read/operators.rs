//! Operators, with Postgres' precedence and associativity.

use sqlparser::ast::{BinaryOperator as Op, Expr, UnaryOperator as UnaryOp};

use super::{Reader, precedence};
use crate::clause::{BinaryOperator, ClauseError, ClauseProblem, Comparison, Expression, UnaryOperator};

const OPERATOR: ClauseProblem = ClauseProblem::Unsupported("this operator");

impl Reader {
    pub(super) fn binary(
        &mut self,
        whole: &Expr,
        left: &Expr,
        op: &Op,
        right: &Expr,
    ) -> Result<Expression, ClauseError> {
        if matches!(op, Op::And | Op::Or) {
            return self.chain(whole, op);
        }
        if let Some((ignore_case, negated)) = like(op) {
            return self.like_operator(left, right, ignore_case, negated);
        }
        let strength = precedence::of_binary(op);
        if let Some(comparison) = comparison(op) {
            let left = self.boxed(left, strength + 1)?;
            return Ok(Expression::Compare {
                left,
                comparison,
                right: self.boxed(right, strength + 1)?,
            });
        }
        let operator = binary(op).ok_or(OPERATOR)?;
        let left = self.boxed(left, strength)?;
        Ok(Expression::Binary {
            left,
            operator,
            right: self.boxed(right, strength + 1)?,
        })
    }

    /// `~~` is LIKE, only that it binds like any other operator.
    fn like_operator(
        &mut self,
        operand: &Expr,
        pattern: &Expr,
        ignore_case: bool,
        negated: bool,
    ) -> Result<Expression, ClauseError> {
        let operand = self.boxed(operand, precedence::OTHER)?;
        let pattern = self.boxed(pattern, precedence::OTHER + 1)?;
        Ok(Expression::Like {
            operand,
            pattern,
            ignore_case,
            negated,
        })
    }

    /// `a AND b AND c` is one node, as in Postgres, which flattens the left side, in brackets or not.
    fn chain(&mut self, whole: &Expr, chained: &Op) -> Result<Expression, ClauseError> {
        let strength = precedence::of_binary(chained);
        let mut rights = Vec::new();
        let mut first = whole;
        loop {
            match first {
                Expr::Nested(inner) => first = inner,
                Expr::BinaryOp { left, op, right } if op == chained => {
                    rights.push(&**right);
                    // In brackets, it may be anything.
                    first = left;
                    if precedence::strength(first) < strength {
                        return Err(ClauseProblem::BracketsNeeded.into());
                    }
                }
                _ => break,
            }
        }
        let mut items = vec![self.expression(first)?];
        for right in rights.into_iter().rev() {
            items.push(self.operand(right, strength + 1)?);
        }
        Ok(match chained {
            Op::And => Expression::And(items),
            _ => Expression::Or(items),
        })
    }

    pub(super) fn unary(
        &mut self,
        whole: &Expr,
        op: UnaryOp,
        operand: &Expr,
    ) -> Result<Expression, ClauseError> {
        let strength = precedence::of_unary(op);
        let operator = match op {
            UnaryOp::Not => return Ok(Expression::Not(self.boxed(operand, strength)?)),
            UnaryOp::Minus => match self.negative_number(whole)? {
                Some(literal) => return Ok(literal),
                None => UnaryOperator::Minus,
            },
            UnaryOp::Plus => UnaryOperator::Plus,
            UnaryOp::BitwiseNot => UnaryOperator::BitNot,
            UnaryOp::PGAbs => UnaryOperator::Absolute,
            UnaryOp::PGSquareRoot => UnaryOperator::SquareRoot,
            _ => return Err(OPERATOR.into()),
        };
        // Signs may follow each other; of the other prefix operators only the last needs no brackets.
        let strength = if strength == precedence::SIGN {
            strength
        } else {
            strength + 1
        };
        Ok(Expression::Unary {
            operator,
            operand: self.boxed(operand, strength)?,
        })
    }
}

/// Whether this is LIKE: ignoring case, negated.
fn like(op: &Op) -> Option<(bool, bool)> {
    match op {
        Op::PGLikeMatch => Some((false, false)),
        Op::PGILikeMatch => Some((true, false)),
        Op::PGNotLikeMatch => Some((false, true)),
        Op::PGNotILikeMatch => Some((true, true)),
        _ => None,
    }
}

pub(super) fn comparison(op: &Op) -> Option<Comparison> {
    match op {
        Op::Eq => Some(Comparison::Equal),
        Op::NotEq => Some(Comparison::NotEqual),
        Op::Lt => Some(Comparison::Less),
        Op::LtEq => Some(Comparison::LessOrEqual),
        Op::Gt => Some(Comparison::Greater),
        Op::GtEq => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}

fn binary(op: &Op) -> Option<BinaryOperator> {
    match op {
        Op::Plus => Some(BinaryOperator::Add),
        Op::Minus => Some(BinaryOperator::Subtract),
        Op::Multiply => Some(BinaryOperator::Multiply),
        Op::Divide => Some(BinaryOperator::Divide),
        Op::PGExp => Some(BinaryOperator::Power),
        Op::BitwiseAnd => Some(BinaryOperator::BitAnd),
        Op::BitwiseOr => Some(BinaryOperator::BitOr),
        Op::PGBitwiseXor => Some(BinaryOperator::BitXor),
        Op::StringConcat => Some(BinaryOperator::Concatenate),
        Op::AtArrow => Some(BinaryOperator::Contains),
        Op::ArrowAt => Some(BinaryOperator::ContainedBy),
        Op::PGOverlap => Some(BinaryOperator::Overlaps),
        _ => None,
    }
}
