//! The canonical text: every name in quotes, every operation in brackets, no white space that could go.

use std::fmt::{self, Display, Formatter, Write};

use super::{
    BinaryOperator, Comparison, Expression, Function, Literal, Quantifier, Scalar, Subquery, Subscript, Test,
    Type, UnaryOperator,
};

impl Display for Expression {
    // One arm a node: split, it would need an arm for what cannot happen.
    #[allow(clippy::too_many_lines)]
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(name) => name.fmt(f),
            Self::Literal(literal) => literal.fmt(f),
            Self::Parameter(number) => write!(f, "${number}"),
            Self::And(items) => bracketed(f, items, " AND "),
            Self::Or(items) => bracketed(f, items, " OR "),
            Self::Not(operand) => write!(f, "(NOT {operand})"),
            Self::Compare {
                left,
                comparison,
                right,
            } => write!(f, "({left} {comparison} {right})"),
            Self::Distinct { left, right, negated } => {
                write!(f, "({left} IS {}DISTINCT FROM {right})", not(*negated))
            }
            Self::Is {
                operand,
                test,
                negated,
            } => write!(f, "({operand} IS {}{test})", not(*negated)),
            Self::InList {
                operand,
                items,
                negated,
            } => {
                write!(f, "({operand} {}IN ", not(*negated))?;
                bracketed(f, items, ",")?;
                f.write_char(')')
            }
            Self::InSubquery {
                columns,
                subquery,
                negated,
            } => {
                f.write_char('(')?;
                match columns.as_slice() {
                    [column] => column.fmt(f)?,
                    several => bracketed(f, several, ",")?,
                }
                write!(f, " {}IN {subquery})", not(*negated))
            }
            Self::Between {
                operand,
                low,
                high,
                negated,
            } => {
                write!(f, "({operand} {}BETWEEN {low} AND {high})", not(*negated))
            }
            Self::Like {
                operand,
                pattern,
                ignore_case,
                negated,
            } => {
                let like = if *ignore_case { "ILIKE" } else { "LIKE" };
                write!(f, "({operand} {}{like} {pattern})", not(*negated))
            }
            Self::Quantified {
                left,
                comparison,
                quantifier,
                array,
            } => {
                write!(f, "({left} {comparison} {quantifier} ({array}))")
            }
            Self::Unary { operator, operand } => write!(f, "({operator} {operand})"),
            Self::Binary {
                left,
                operator,
                right,
            } => write!(f, "({left} {operator} {right})"),
            Self::Call { function, arguments } => {
                function.fmt(f)?;
                bracketed(f, arguments, ",")
            }
            Self::Array(items) => {
                f.write_str("ARRAY[")?;
                separated(f, items, ",")?;
                f.write_char(']')
            }
            Self::Element { array, subscripts } => {
                element(f, array)?;
                subscripts.iter().try_for_each(|subscript| subscript.fmt(f))
            }
            Self::Cast { operand, target } => write!(f, "({operand}::{target})"),
        }
    }
}

/// Postgres takes subscripts after a column, a parameter or brackets, and after nothing else.
fn element(f: &mut Formatter<'_>, array: &Expression) -> fmt::Result {
    match array {
        Expression::Column(_) | Expression::Parameter(_) => array.fmt(f),
        _ => write!(f, "({array})"),
    }
}

fn bracketed<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    f.write_char('(')?;
    separated(f, items, separator)?;
    f.write_char(')')
}

fn separated<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean(true) => f.write_str("TRUE"),
            Self::Boolean(false) => f.write_str("FALSE"),
            // A sign next to an operator would become part of it.
            Self::Integer(number) if *number < 0 => write!(f, "({number})"),
            Self::Integer(number) => number.fmt(f),
            Self::Decimal(number) if number.starts_with('-') => write!(f, "({number})"),
            Self::Decimal(number) => number.fmt(f),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

impl Display for Subscript {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Slice(from, to) => {
                f.write_char('[')?;
                from.iter().try_for_each(|from| from.fmt(f))?;
                f.write_char(':')?;
                to.iter().try_for_each(|to| to.fmt(f))?;
                f.write_char(']')
            }
        }
    }
}

impl Display for Subquery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("(SELECT ")?;
        separated(f, &self.columns, ",")?;
        write!(f, " FROM {}", self.table)?;
        if let Some(filter) = &self.filter {
            write!(f, " WHERE {filter}")?;
        }
        f.write_char(')')
    }
}

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scalar, if self.array { "[]" } else { "" })
    }
}

/// Implements `Display` for an enum of which each variant is one word.
macro_rules! words {
    ($name:ident { $($variant:ident => $word:literal,)+ }) => {
        impl $name {
            /// As SQL writes it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(Comparison {
    Equal => "=",
    NotEqual => "<>",
    Less => "<",
    LessOrEqual => "<=",
    Greater => ">",
    GreaterOrEqual => ">=",
});

words!(Test {
    Null => "NULL",
    True => "TRUE",
    False => "FALSE",
    Unknown => "UNKNOWN",
});

words!(Quantifier {
    Any => "ANY",
    All => "ALL",
});

words!(UnaryOperator {
    Plus => "+",
    Minus => "-",
    BitNot => "~",
    Absolute => "@",
    SquareRoot => "|/",
});

words!(BinaryOperator {
    Add => "+",
    Subtract => "-",
    Multiply => "*",
    Divide => "/",
    Power => "^",
    BitAnd => "&",
    BitOr => "|",
    BitXor => "#",
    Concatenate => "||",
    Contains => "@>",
    ContainedBy => "<@",
    Overlaps => "&&",
});

words!(Function {
    Lower => "lower",
    Upper => "upper",
    Concat => "concat",
    Coalesce => "coalesce",
    Greatest => "greatest",
    Least => "least",
    Timezone => "timezone",
    JustifyDays => "justify_days",
    JustifyHours => "justify_hours",
    JustifyInterval => "justify_interval",
    ArrayCat => "array_cat",
    ArrayPrepend => "array_prepend",
    ArrayAppend => "array_append",
    ArrayNdims => "array_ndims",
});

words!(Scalar {
    Bool => "bool",
    Int2 => "int2",
    Int4 => "int4",
    Int8 => "int8",
    Float4 => "float4",
    Float8 => "float8",
    Numeric => "numeric",
    Text => "text",
    Varchar => "varchar",
    Name => "name",
    Bytea => "bytea",
    Uuid => "uuid",
    Date => "date",
    Time => "time",
    Timestamp => "timestamp",
    Timestamptz => "timestamptz",
    Interval => "interval",
});
