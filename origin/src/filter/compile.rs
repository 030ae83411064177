//! From the tree of a text to nodes with types: names resolved, untyped values read as what they meet.

use std::collections::BTreeMap;

use shapegate_core::clause::{
    BinaryOperator, Comparison, Expression, Function, Literal, Quantifier, Scalar, UnaryOperator,
};

use super::evaluate::Node;
use super::literal;
use crate::datum::{Datum, Kind};
use crate::schema::Table;

/// A type, perhaps the array of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Type {
    kind: Kind,
    array: bool,
}

const TEXT: Type = Type {
    kind: Kind::Text,
    array: false,
};

const BOOL: Type = Type {
    kind: Kind::Bool,
    array: false,
};

pub(super) struct Compiler<'a> {
    pub(super) text: &'a str,
    pub(super) params: &'a BTreeMap<String, String>,
    pub(super) table: &'a Table,
    pub(super) visible: &'a [usize],
}

type Compiled = Result<Node, String>;

impl Compiler<'_> {
    /// A node that must be a condition.
    pub(super) fn condition(&self, expression: &Expression) -> Compiled {
        match self.type_of(expression)? {
            Some(kind) if kind != BOOL => Err("WHERE clause must return a boolean".to_owned()),
            _ => self.node(expression, BOOL),
        }
    }

    fn conditions(&self, parts: &[Expression]) -> Result<Vec<Node>, String> {
        parts.iter().map(|part| self.condition(part)).collect()
    }

    /// A node whose untyped values are of the type that is expected.
    fn node(&self, expression: &Expression, expected: Type) -> Compiled {
        Ok(match expression {
            Expression::Column(name) => self.column(name.as_str())?,
            Expression::Literal(value) => self.literal(value, expected)?,
            Expression::Parameter(number) => self.parameter(*number, expected)?,
            Expression::And(parts) => Node::And(self.conditions(parts)?),
            Expression::Or(parts) => Node::Or(self.conditions(parts)?),
            Expression::Not(inner) => Node::Not(Box::new(self.condition(inner)?)),
            Expression::Compare {
                left,
                comparison,
                right,
            } => {
                let (left, right) = self.pair(left, right)?;
                Node::Compare(*comparison, left, right)
            }
            Expression::Distinct { left, right, negated } => {
                let (left, right) = self.pair(left, right)?;
                unless(*negated, Node::Same(left, right))
            }
            Expression::Is {
                operand,
                test,
                negated,
            } => {
                let operand = Box::new(self.own(operand)?);
                negated_if(*negated, Node::Is(operand, *test))
            }
            Expression::InList {
                operand,
                items,
                negated,
            } => negated_if(*negated, self.in_list(operand, items)?),
            Expression::Between {
                operand,
                low,
                high,
                negated,
            } => negated_if(*negated, self.between(operand, low, high)?),
            Expression::Like {
                operand,
                pattern,
                ignore_case,
                negated,
            } => {
                let node = Node::Like {
                    operand: Box::new(self.node(operand, TEXT)?),
                    pattern: Box::new(self.node(pattern, TEXT)?),
                    ignore_case: *ignore_case,
                };
                negated_if(*negated, node)
            }
            Expression::Quantified {
                left,
                comparison,
                quantifier,
                array,
            } => self.quantified(left, *comparison, *quantifier, array)?,
            other => self.operation(other, expected)?,
        })
    }

    fn operation(&self, expression: &Expression, expected: Type) -> Compiled {
        Ok(match expression {
            Expression::Array(items) => {
                let element = Type {
                    array: false,
                    ..expected
                };
                let items = items.iter().map(|item| self.node(item, element));
                Node::Array(items.collect::<Result<_, _>>()?)
            }
            Expression::Cast { operand, target } if !target.array => {
                let kind = kind_of(target.scalar);
                match &**operand {
                    Expression::Literal(Literal::Text(_)) | Expression::Parameter(_) => {
                        self.node(operand, Type { kind, array: false })?
                    }
                    other => Node::Cast(kind, Box::new(self.own(other)?)),
                }
            }
            Expression::Cast { operand, target } => {
                let kind = kind_of(target.scalar);
                self.node(operand, Type { kind, array: true })?
            }
            Expression::Unary {
                operator: UnaryOperator::Minus,
                operand,
            } => Node::Negative(Box::new(self.node(operand, expected)?)),
            Expression::Binary {
                left,
                operator,
                right,
            } => {
                let (left, right) = self.pair(left, right)?;
                Node::Binary(*operator, left, right)
            }
            Expression::Call { function, arguments } => self.call(*function, arguments)?,
            _ => return Err("not supported by this stand-in for Electric".to_owned()),
        })
    }

    fn call(&self, function: Function, arguments: &[Expression]) -> Compiled {
        let known = arguments.iter().find_map(|a| self.type_of(a).transpose());
        let common = known.transpose()?.unwrap_or(TEXT);
        let nodes = arguments.iter().map(|argument| self.node(argument, common));
        let mut nodes: Vec<Node> = nodes.collect::<Result<_, _>>()?;
        match (function, nodes.pop()) {
            (Function::Lower, Some(only)) => Ok(Node::Lower(Box::new(only))),
            (Function::Upper, Some(only)) => Ok(Node::Upper(Box::new(only))),
            (Function::Coalesce, Some(last)) => {
                nodes.push(last);
                Ok(Node::Coalesce(nodes))
            }
            _ => Err("not supported by this stand-in for Electric".to_owned()),
        }
    }

    /// A node with nothing to tell its type but itself.
    fn own(&self, expression: &Expression) -> Compiled {
        let own = self.type_of(expression)?.unwrap_or(TEXT);
        self.node(expression, own)
    }

    /// Two sides of one type: what is untyped takes the other's.
    fn pair(&self, left: &Expression, right: &Expression) -> Result<(Box<Node>, Box<Node>), String> {
        let types = (self.type_of(left)?, self.type_of(right)?);
        if let (Some(a), Some(b)) = types
            && (a.array != b.array || !a.kind.comparable_with(b.kind))
        {
            return Err("Could not select an operator overload".to_owned());
        }
        let common = types.0.or(types.1).unwrap_or(TEXT);
        let left = self.node(left, common)?;
        Ok((Box::new(left), Box::new(self.node(right, common)?)))
    }

    fn in_list(&self, operand: &Expression, items: &[Expression]) -> Compiled {
        let mut nodes = Vec::new();
        for item in items {
            nodes.push(*self.pair(operand, item)?.1);
        }
        let operand = match items.first() {
            Some(first) => self.pair(operand, first)?.0,
            None => Box::new(self.own(operand)?),
        };
        Ok(Node::In(operand, nodes))
    }

    fn between(&self, operand: &Expression, low: &Expression, high: &Expression) -> Compiled {
        let (above, low) = self.pair(operand, low)?;
        let (below, high) = self.pair(operand, high)?;
        Ok(Node::And(vec![
            Node::Compare(Comparison::GreaterOrEqual, above, low),
            Node::Compare(Comparison::LessOrEqual, below, high),
        ]))
    }

    fn quantified(
        &self,
        left: &Expression,
        comparison: Comparison,
        quantifier: Quantifier,
        array: &Expression,
    ) -> Compiled {
        let of_array = self.type_of(array)?;
        let element = self.type_of(left)?.or(of_array).unwrap_or(TEXT);
        let left = Box::new(self.node(
            left,
            Type {
                array: false,
                ..element
            },
        )?);
        let array = Box::new(self.node(
            array,
            Type {
                array: true,
                ..element
            },
        )?);
        Ok(match quantifier {
            Quantifier::Any => Node::Any(comparison, left, array),
            Quantifier::All => Node::All(comparison, left, array),
        })
    }

    fn column(&self, name: &str) -> Compiled {
        let index = self.index(name)?;
        let column = self.table.columns.get(index).ok_or("no such column")?;
        Ok(Node::Column {
            index,
            kind: column.kind,
            array: column.array,
        })
    }

    fn index(&self, name: &str) -> Result<usize, String> {
        let index = self.table.index_of(name);
        index.filter(|index| self.visible.contains(index)).ok_or_else(|| {
            let place = self.text.to_lowercase().find(&name.to_lowercase());
            format!("At location {}: unknown reference {name}", place.unwrap_or(0))
        })
    }

    fn literal(&self, value: &Literal, expected: Type) -> Compiled {
        let datum = match value {
            Literal::Null => None,
            Literal::Boolean(value) => Some(Datum::Bool(*value)),
            Literal::Integer(value) => Some(Datum::Int(*value)),
            Literal::Decimal(text) => Some(read(
                text,
                Type {
                    kind: Kind::Float8,
                    array: false,
                },
            )?),
            Literal::Text(text) => Some(read(text, expected)?),
        };
        Ok(Node::Constant(datum))
    }

    fn parameter(&self, number: u16, expected: Type) -> Compiled {
        let value = self.params.get(&number.to_string()).ok_or_else(|| {
            let place = self.text.find(&format!("${number}")).unwrap_or(0);
            format!("At location {place}: parameter ${number} was not provided")
        })?;
        read(value, expected).map(|datum| Node::Constant(Some(datum)))
    }

    /// The type that an expression has by itself; untyped values have none.
    fn type_of(&self, expression: &Expression) -> Result<Option<Type>, String> {
        let kind = |kind| Some(Type { kind, array: false });
        Ok(match expression {
            Expression::Column(name) => {
                let column = self.table.columns.get(self.index(name.as_str())?);
                column.map(|column| Type {
                    kind: column.kind,
                    array: column.array,
                })
            }
            Expression::Parameter(_) | Expression::Literal(Literal::Text(_) | Literal::Null) => None,
            Expression::Literal(Literal::Boolean(_)) => Some(BOOL),
            Expression::Literal(Literal::Integer(_)) => kind(Kind::Int8),
            Expression::Literal(Literal::Decimal(_)) => kind(Kind::Float8),
            Expression::Cast { target, .. } => Some(Type {
                kind: kind_of(target.scalar),
                array: target.array,
            }),
            Expression::Array(items) => self.first_type(items)?.map(|of| Type { array: true, ..of }),
            Expression::Unary { operand, .. } => self.type_of(operand)?,
            Expression::Binary {
                operator: BinaryOperator::Contains | BinaryOperator::ContainedBy | BinaryOperator::Overlaps,
                ..
            } => Some(BOOL),
            Expression::Binary { left, right, .. } => self.type_of(left)?.or(self.type_of(right)?),
            Expression::Call {
                function: Function::Coalesce,
                arguments,
            } => self.first_type(arguments)?,
            Expression::Call { .. } => Some(TEXT),
            _ => Some(BOOL),
        })
    }

    fn first_type(&self, expressions: &[Expression]) -> Result<Option<Type>, String> {
        let mut types = expressions.iter().map(|item| self.type_of(item));
        types.find_map(Result::transpose).transpose()
    }
}

fn negated_if(negated: bool, node: Node) -> Node {
    if negated { Node::Not(Box::new(node)) } else { node }
}

fn unless(kept: bool, node: Node) -> Node {
    negated_if(!kept, node)
}

fn read(text: &str, expected: Type) -> Result<Datum, String> {
    let datum = match expected.array {
        true => literal::array(expected.kind, text),
        false => expected.kind.read(text),
    };
    let name = expected.kind.name();
    datum.ok_or_else(|| format!("invalid syntax for type {name}: {text}"))
}

fn kind_of(scalar: Scalar) -> Kind {
    match scalar {
        Scalar::Bool => Kind::Bool,
        Scalar::Int2 => Kind::Int2,
        Scalar::Int4 => Kind::Int4,
        Scalar::Int8 => Kind::Int8,
        Scalar::Float4 => Kind::Float4,
        Scalar::Float8 => Kind::Float8,
        Scalar::Numeric => Kind::Numeric(None),
        Scalar::Text => Kind::Text,
        Scalar::Varchar => Kind::Varchar,
        Scalar::Name => Kind::Name,
        Scalar::Bytea => Kind::Bytea,
        Scalar::Uuid => Kind::Uuid,
        Scalar::Date => Kind::Date,
        Scalar::Time => Kind::Time,
        Scalar::Timestamp => Kind::Timestamp,
        Scalar::Timestamptz => Kind::Timestamptz,
        Scalar::Interval => Kind::Interval,
    }
}
