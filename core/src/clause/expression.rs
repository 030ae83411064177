//! The tree of a filter. It says everything that a filter of ours can say, and nothing else.

use std::sync::Arc;

use crate::identifier::{Identifier, TableName};

/// One node of a filter. What stands in brackets or not in a text makes no difference here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expression {
    /// A column of the table whose rows are filtered (of the inner table, inside of a subquery).
    Column(Identifier),
    /// A value written in the text.
    Literal(Literal),
    /// `$n`, counted from 1.
    Parameter(u16),
    /// Two or more, all of which must hold. The first is never an `And` itself.
    And(Vec<Expression>),
    /// Two or more, one of which must hold. The first is never an `Or` itself.
    Or(Vec<Expression>),
    /// `NOT …`
    Not(Box<Expression>),
    /// `left = right` and its kind.
    Compare {
        /// The left side.
        left: Box<Expression>,
        /// How they are compared.
        comparison: Comparison,
        /// The right side.
        right: Box<Expression>,
    },
    /// `left IS [NOT] DISTINCT FROM right`
    Distinct {
        /// The left side.
        left: Box<Expression>,
        /// The right side.
        right: Box<Expression>,
        /// `IS NOT DISTINCT FROM`.
        negated: bool,
    },
    /// `operand IS [NOT] NULL` and its kind.
    Is {
        /// What is tested.
        operand: Box<Expression>,
        /// What for.
        test: Test,
        /// `IS NOT …`.
        negated: bool,
    },
    /// `operand [NOT] IN (item, …)`, with at least one item.
    InList {
        /// What is looked for.
        operand: Box<Expression>,
        /// Among these.
        items: Vec<Expression>,
        /// `NOT IN`.
        negated: bool,
    },
    /// `column [NOT] IN (SELECT …)`, or `(column, …) [NOT] IN (SELECT …)`. Only policy text has these.
    InSubquery {
        /// The columns on the left, as many as the subquery selects.
        columns: Vec<Identifier>,
        /// What is selected.
        subquery: Box<Subquery>,
        /// `NOT IN`.
        negated: bool,
    },
    /// `operand [NOT] BETWEEN low AND high`
    Between {
        /// What is compared.
        operand: Box<Expression>,
        /// The lower bound, included.
        low: Box<Expression>,
        /// The upper bound, included.
        high: Box<Expression>,
        /// `NOT BETWEEN`.
        negated: bool,
    },
    /// `operand [NOT] LIKE pattern`, with Postgres' default escape, the backslash.
    Like {
        /// What is matched.
        operand: Box<Expression>,
        /// With `%` for any characters and `_` for one.
        pattern: Box<Expression>,
        /// `ILIKE`.
        ignore_case: bool,
        /// `NOT LIKE`.
        negated: bool,
    },
    /// `left = ANY (array)` and its kind.
    Quantified {
        /// The left side.
        left: Box<Expression>,
        /// How it is compared with each element.
        comparison: Comparison,
        /// Whether one element is enough.
        quantifier: Quantifier,
        /// The array.
        array: Box<Expression>,
    },
    /// `- operand` and its kind. A number's own sign belongs to the literal.
    Unary {
        /// The operator.
        operator: UnaryOperator,
        /// What it is applied to.
        operand: Box<Expression>,
    },
    /// `left + right` and its kind.
    Binary {
        /// The left side.
        left: Box<Expression>,
        /// The operator.
        operator: BinaryOperator,
        /// The right side.
        right: Box<Expression>,
    },
    /// `lower(…)` and its kind.
    Call {
        /// The function.
        function: Function,
        /// What it is given.
        arguments: Vec<Expression>,
    },
    /// `ARRAY[…]`
    Array(Vec<Expression>),
    /// `array[1]`, `array[1][2:3]`: all subscripts count together.
    Element {
        /// The array.
        array: Box<Expression>,
        /// At least one.
        subscripts: Vec<Subscript>,
    },
    /// `operand::type`
    Cast {
        /// What is cast.
        operand: Box<Expression>,
        /// To which type.
        target: Type,
    },
}

/// A value that is written in a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Literal {
    /// `NULL`
    Null,
    /// `TRUE`, `FALSE`
    Boolean(bool),
    /// A whole number with its sign, as far as `int8` goes.
    Integer(i64),
    /// Any other number, as it was written: with a fraction, an exponent, or beyond `int8`.
    Decimal(Arc<str>),
    /// `'…'`, its text without the quotes. Untyped, as in Postgres.
    Text(Arc<str>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What `IS` tests for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Test {
    /// `IS NULL`
    Null,
    /// `IS TRUE`
    True,
    /// `IS FALSE`
    False,
    /// `IS UNKNOWN`
    Unknown,
}

/// How many elements of an array must compare well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// One is enough.
    Any,
    /// All of them.
    All,
}

/// The operators of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOperator {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `~`, all bits inverted.
    BitNot,
    /// `@`, the absolute value.
    Absolute,
    /// `|/`, the square root.
    SquareRoot,
}

/// The operators of two operands, comparisons aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `^`
    Power,
    /// `&`
    BitAnd,
    /// `|`
    BitOr,
    /// `#`
    BitXor,
    /// `||`, of texts and of arrays.
    Concatenate,
    /// `@>`, of arrays.
    Contains,
    /// `<@`, of arrays.
    ContainedBy,
    /// `&&`, of arrays.
    Overlaps,
}

/// The functions that Electric knows and Postgres has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `lower(text)`
    Lower,
    /// `upper(text)`
    Upper,
    /// `concat(…)`
    Concat,
    /// `coalesce(…)`
    Coalesce,
    /// `greatest(…)`
    Greatest,
    /// `least(…)`
    Least,
    /// `timezone(zone, timestamp)`
    Timezone,
    /// `justify_days(interval)`
    JustifyDays,
    /// `justify_hours(interval)`
    JustifyHours,
    /// `justify_interval(interval)`
    JustifyInterval,
    /// `array_cat(array, array)`
    ArrayCat,
    /// `array_prepend(element, array)`
    ArrayPrepend,
    /// `array_append(array, element)`
    ArrayAppend,
    /// `array_ndims(array)`
    ArrayNdims,
}

/// Which part of an array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subscript {
    /// `[n]`, counted from 1 unless the array says otherwise.
    Index(Expression),
    /// `[from:to]`, both included, both optional.
    Slice(Option<Expression>, Option<Expression>),
}

/// A type to cast to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Type {
    /// The type, or that of the elements.
    pub scalar: Scalar,
    /// Whether this is the array of it.
    pub array: bool,
}

/// The types that Electric knows, by their names in Postgres' catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// `bool`
    Bool,
    /// `int2`
    Int2,
    /// `int4`
    Int4,
    /// `int8`
    Int8,
    /// `float4`
    Float4,
    /// `float8`
    Float8,
    /// `numeric`, without precision and scale.
    Numeric,
    /// `text`
    Text,
    /// `varchar`, without a length.
    Varchar,
    /// `name`
    Name,
    /// `bytea`
    Bytea,
    /// `uuid`
    Uuid,
    /// `date`
    Date,
    /// `time`, without time zone.
    Time,
    /// `timestamp`, without time zone.
    Timestamp,
    /// `timestamptz`
    Timestamptz,
    /// `interval`, without fields.
    Interval,
}

/// `SELECT column, … FROM table [WHERE …]`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subquery {
    /// What is selected; at least one.
    pub columns: Vec<Identifier>,
    /// From where.
    pub table: TableName,
    /// Which rows; all of them without it. Its columns are those of the subquery's own table.
    pub filter: Option<Expression>,
}

impl Expression {
    /// The nodes directly below this one, in the order of the text. Those of a subquery's filter are not
    /// among them: their columns belong to another table. See [`Expression::subquery`].
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Column(_) | Self::Literal(_) | Self::Parameter(_) | Self::InSubquery { .. } => Vec::new(),
            Self::And(items) | Self::Or(items) | Self::Array(items) => items.iter().collect(),
            Self::Call { arguments, .. } => arguments.iter().collect(),
            Self::Not(operand)
            | Self::Is { operand, .. }
            | Self::Unary { operand, .. }
            | Self::Cast { operand, .. } => vec![operand],
            Self::Compare { left, right, .. }
            | Self::Distinct { left, right, .. }
            | Self::Binary { left, right, .. } => vec![left, right],
            Self::Quantified { left, array, .. } => vec![left, array],
            Self::Like { operand, pattern, .. } => vec![operand, pattern],
            Self::Between {
                operand, low, high, ..
            } => vec![operand, low, high],
            Self::InList { operand, items, .. } => std::iter::once(&**operand).chain(items).collect(),
            Self::Element { array, subscripts } => std::iter::once(&**array)
                .chain(subscripts.iter().flat_map(Subscript::children))
                .collect(),
        }
    }

    /// The same, to be changed in place.
    pub(super) fn children_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Column(_) | Self::Literal(_) | Self::Parameter(_) | Self::InSubquery { .. } => Vec::new(),
            Self::And(items) | Self::Or(items) | Self::Array(items) => items.iter_mut().collect(),
            Self::Call { arguments, .. } => arguments.iter_mut().collect(),
            Self::Not(operand)
            | Self::Is { operand, .. }
            | Self::Unary { operand, .. }
            | Self::Cast { operand, .. } => vec![operand],
            Self::Compare { left, right, .. }
            | Self::Distinct { left, right, .. }
            | Self::Binary { left, right, .. } => vec![left, right],
            Self::Quantified { left, array, .. } => vec![left, array],
            Self::Like { operand, pattern, .. } => vec![operand, pattern],
            Self::Between {
                operand, low, high, ..
            } => vec![operand, low, high],
            Self::InList { operand, items, .. } => std::iter::once(&mut **operand).chain(items).collect(),
            Self::Element { array, subscripts } => std::iter::once(&mut **array)
                .chain(subscripts.iter_mut().flat_map(Subscript::children_mut))
                .collect(),
        }
    }

    /// The subquery of this very node.
    #[must_use]
    pub fn subquery(&self) -> Option<&Subquery> {
        match self {
            Self::InSubquery { subquery, .. } => Some(subquery),
            _ => None,
        }
    }

    /// Calls `visit` with every node, in the order of the text, those of subqueries included.
    pub(super) fn each_mut(&mut self, visit: &mut impl FnMut(&mut Self)) {
        visit(self);
        if let Self::InSubquery { subquery, .. } = self
            && let Some(filter) = &mut subquery.filter
        {
            filter.each_mut(visit);
        }
        for child in self.children_mut() {
            child.each_mut(visit);
        }
    }

    /// The same, only to look at.
    pub(super) fn each<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        if let Some(filter) = self.subquery().and_then(|subquery| subquery.filter.as_ref()) {
            filter.each(visit);
        }
        for child in self.children() {
            child.each(visit);
        }
    }
}

impl Subscript {
    fn children(&self) -> Vec<&Expression> {
        match self {
            Self::Index(index) => vec![index],
            Self::Slice(from, to) => from.iter().chain(to).collect(),
        }
    }

    fn children_mut(&mut self) -> Vec<&mut Expression> {
        match self {
            Self::Index(index) => vec![index],
            Self::Slice(from, to) => from.iter_mut().chain(to).collect(),
        }
    }
}
