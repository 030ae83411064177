//! Literals, parameters, casts, calls and arrays.

use sqlparser::ast::{
    AccessExpr, Array, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Interval, ObjectNamePart, Subscript as ParsedSubscript,
    TypedString, UnaryOperator, Value,
};

use super::{Author, Reader, names, precedence, types};
use crate::clause::{ClauseError, ClauseProblem, Expression, Literal, Scalar, Subscript, Type};

impl Reader {
    pub(super) fn value(&self, value: &Value) -> Result<Expression, ClauseError> {
        match value {
            Value::SingleQuotedString(text) => Ok(Expression::Literal(Literal::Text(text.as_str().into()))),
            Value::Boolean(truth) => Ok(Expression::Literal(Literal::Boolean(*truth))),
            Value::Null if self.author == Author::Client => Err(ClauseProblem::Null.into()),
            Value::Null => Ok(Expression::Literal(Literal::Null)),
            Value::Number(digits, false) => self.number(digits, false),
            Value::Placeholder(name) => parameter(name),
            _ => Err(ClauseProblem::LiteralForm.into()),
        }
    }

    /// A number that Postgres' grammar, too, takes together with the signs before it.
    pub(super) fn negative_number(&self, expr: &Expr) -> Result<Option<Expression>, ClauseError> {
        let mut negative = false;
        let mut inner = expr;
        loop {
            match inner {
                Expr::Nested(nested) => inner = nested,
                Expr::UnaryOp {
                    op: UnaryOperator::Minus,
                    expr,
                } => {
                    negative = !negative;
                    inner = expr;
                }
                Expr::Value(value) => {
                    return match &value.value {
                        Value::Number(digits, false) => self.number(digits, negative).map(Some),
                        _ => Ok(None),
                    };
                }
                _ => return Ok(None),
            }
        }
    }

    fn number(&self, digits: &str, negative: bool) -> Result<Expression, ClauseError> {
        let signed = format!("{}{digits}", if negative { "-" } else { "" });
        let literal = match signed.parse() {
            Ok(number) => Literal::Integer(number),
            Err(_) => Literal::Decimal(signed.into()),
        };
        if self.author == Author::Policy && !electric_reads(&literal) {
            return Err(ClauseProblem::NumberNeedsParameter.into());
        }
        Ok(Expression::Literal(literal))
    }

    /// `date '2026-01-01'`
    pub(super) fn typed_literal(&self, literal: &TypedString) -> Result<Expression, ClauseError> {
        match types::of(&literal.data_type)? {
            target @ Type { array: false, .. } if !literal.uses_odbc_syntax => {
                text_as(&literal.value.value, target)
            }
            _ => Err(ClauseProblem::LiteralForm.into()),
        }
    }

    /// `interval '1 day'`
    pub(super) fn interval(&self, literal: &Interval) -> Result<Expression, ClauseError> {
        match literal {
            Interval {
                value,
                leading_field: None,
                leading_precision: None,
                last_field: None,
                fractional_seconds_precision: None,
            } => match &**value {
                Expr::Value(value) => text_as(
                    &value.value,
                    Type {
                        scalar: Scalar::Interval,
                        array: false,
                    },
                ),
                _ => Err(ClauseProblem::LiteralForm.into()),
            },
            _ => Err(ClauseProblem::Type.into()),
        }
    }

    pub(super) fn cast(
        &mut self,
        kind: &CastKind,
        operand: &Expr,
        data_type: &DataType,
    ) -> Result<Expression, ClauseError> {
        let target = types::of(data_type)?;
        let operand = match kind {
            CastKind::Cast => self.expression(operand)?,
            CastKind::DoubleColon => self.operand(operand, precedence::CAST)?,
            CastKind::TryCast | CastKind::SafeCast => {
                return Err(ClauseProblem::Unsupported("this cast").into());
            }
        };
        Ok(Expression::Cast {
            operand: Box::new(operand),
            target,
        })
    }

    pub(super) fn call(&mut self, function: &Function) -> Result<Expression, ClauseError> {
        // `user`, `current_date`: functions without brackets.
        if let (FunctionArguments::None, [ObjectNamePart::Identifier(name)]) =
            (&function.args, &*function.name.0)
        {
            return Err(ClauseProblem::Reserved(name.value.clone()).into());
        }
        let Function {
            name,
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args:
                FunctionArguments::List(FunctionArgumentList {
                    duplicate_treatment: None,
                    args,
                    clauses,
                }),
            within_group,
            filter: None,
            null_treatment: None,
            over: None,
        } = function
        else {
            return Err(ClauseProblem::Unsupported("this kind of call").into());
        };
        if !within_group.is_empty() || !clauses.is_empty() {
            return Err(ClauseProblem::Unsupported("this kind of call").into());
        }
        let function = names::function(name, args.len())?;
        let arguments = args.iter().map(plain_argument).collect::<Result<Vec<_>, _>>()?;
        if arguments.len() > crate::limits::CLAUSE_LIST_ITEMS_MAX {
            return Err(ClauseProblem::ListTooLong.into());
        }
        let arguments = arguments
            .into_iter()
            .map(|argument| self.expression(argument))
            .collect::<Result<_, _>>()?;
        Ok(Expression::Call { function, arguments })
    }

    pub(super) fn array(&mut self, array: &Array) -> Result<Expression, ClauseError> {
        match array {
            Array { elem, named: true } => Ok(Expression::Array(self.expressions(elem)?)),
            Array { named: false, .. } => Err(ClauseProblem::Unsupported("[…] without ARRAY").into()),
        }
    }

    pub(super) fn element(&mut self, root: &Expr, chain: &[AccessExpr]) -> Result<Expression, ClauseError> {
        let subscriptable = match root {
            Expr::Identifier(_) | Expr::Nested(_) => true,
            Expr::Value(value) => matches!(value.value, Value::Placeholder(_)),
            _ => false,
        };
        if !subscriptable {
            return Err(ClauseProblem::BracketsNeeded.into());
        }
        let array = Box::new(self.expression(root)?);
        let subscripts = chain
            .iter()
            .map(|access| self.subscript(access))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Expression::Element { array, subscripts })
    }

    fn subscript(&mut self, access: &AccessExpr) -> Result<Subscript, ClauseError> {
        match access {
            AccessExpr::Subscript(ParsedSubscript::Index { index }) => {
                Ok(Subscript::Index(self.expression(index)?))
            }
            AccessExpr::Subscript(ParsedSubscript::Slice {
                lower_bound,
                upper_bound,
                stride: None,
            }) => {
                let from = lower_bound
                    .as_ref()
                    .map(|bound| self.expression(bound))
                    .transpose()?;
                let to = upper_bound
                    .as_ref()
                    .map(|bound| self.expression(bound))
                    .transpose()?;
                Ok(Subscript::Slice(from, to))
            }
            _ => Err(ClauseProblem::Unsupported("this kind of access").into()),
        }
    }
}

fn plain_argument(argument: &FunctionArg) -> Result<&Expr, ClauseProblem> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        _ => Err(ClauseProblem::Unsupported("this kind of argument")),
    }
}

fn parameter(name: &str) -> Result<Expression, ClauseError> {
    let number = name.strip_prefix('$').and_then(|digits| digits.parse().ok());
    Ok(Expression::Parameter(
        number.ok_or(ClauseProblem::ParameterNumber)?,
    ))
}

fn text_as(value: &Value, target: Type) -> Result<Expression, ClauseError> {
    match value {
        Value::SingleQuotedString(text) => {
            let operand = Box::new(Expression::Literal(Literal::Text(text.as_str().into())));
            Ok(Expression::Cast { operand, target })
        }
        _ => Err(ClauseProblem::LiteralForm.into()),
    }
}

/// Electric takes `int4`, and decimals with digits on both sides of the point; on others it fails.
fn electric_reads(literal: &Literal) -> bool {
    match literal {
        Literal::Integer(number) => i32::try_from(*number).is_ok(),
        Literal::Decimal(number) => {
            number.contains('.')
                && !number.contains(['e', 'E'])
                && !number.trim_start_matches('-').starts_with('.')
        }
        Literal::Null | Literal::Boolean(_) | Literal::Text(_) => true,
    }
}
