//! How strongly Postgres' operators bind, weakest first, from its grammar.
//!
//! `sqlparser` has a table of its own, which differs in places. Each operand that stands without brackets is
//! checked against this one. Where every operand binds at least as strongly as its place demands, there is
//! only one way to read the text, and it is Postgres'. Elsewhere brackets are demanded, sometimes where
//! Postgres would not need them.

use sqlparser::ast::{BinaryOperator as Op, CastKind, Expr, UnaryOperator};

pub(super) const OR: u8 = 1;
pub(super) const AND: u8 = 2;
pub(super) const NOT: u8 = 3;
pub(super) const IS: u8 = 4;
pub(super) const COMPARISON: u8 = 5;
/// `BETWEEN`, `IN`, `LIKE`, and each of them with `NOT`.
pub(super) const MEMBERSHIP: u8 = 6;
/// All operators without a place of their own, prefix ones included.
pub(super) const OTHER: u8 = 7;
pub(super) const SUM: u8 = 8;
pub(super) const PRODUCT: u8 = 9;
pub(super) const POWER: u8 = 10;
pub(super) const SIGN: u8 = 11;
pub(super) const CAST: u8 = 12;
/// What holds together by itself: names, literals, calls, brackets.
const ATOM: u8 = 13;

/// How strongly the outermost operation of a text holds together.
pub(super) fn strength(expr: &Expr) -> u8 {
    match expr {
        Expr::BinaryOp { op, .. } => of_binary(op),
        Expr::UnaryOp { op, .. } => of_unary(*op),
        Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..) => IS,
        Expr::AnyOp { .. } | Expr::AllOp { .. } => COMPARISON,
        Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. } => MEMBERSHIP,
        Expr::Cast {
            kind: CastKind::DoubleColon,
            ..
        } => CAST,
        // Whatever else is no atom is refused wherever it stands.
        _ => ATOM,
    }
}

pub(super) fn of_binary(op: &Op) -> u8 {
    match op {
        Op::Or => OR,
        Op::And => AND,
        Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq => COMPARISON,
        Op::Plus | Op::Minus => SUM,
        Op::Multiply | Op::Divide | Op::Modulo => PRODUCT,
        Op::PGExp => POWER,
        _ => OTHER,
    }
}

pub(super) fn of_unary(op: UnaryOperator) -> u8 {
    match op {
        UnaryOperator::Not => NOT,
        UnaryOperator::Plus | UnaryOperator::Minus => SIGN,
        _ => OTHER,
    }
}
