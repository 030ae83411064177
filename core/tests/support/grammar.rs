//! Texts for the readers to agree about.

use proptest::prelude::*;
use proptest::sample::select;

/// Texts that readers are known to take in different ways, one a line, with `␤` for a line break.
const NASTIES: &str = include_str!("nasties.txt");

/// Those that an editor would not show.
const UNSEEN: &[&str] = &[
    "b\0",
    "t = '\0'",
    "t = 'a\tb\nc'",
    "gro\u{308}ße = 1",
    "\u{a0}b",
    "b\u{a0}",
    "b\u{200b}",
    "b\u{b}",
    "b\u{c}",
    "b\r",
    "\u{feff}b",
    "t = 'a\u{200b}\u{2028}'",
];

pub(crate) fn nasties() -> impl Iterator<Item = String> {
    NASTIES
        .lines()
        .map(|line| line.replace('␤', "\n"))
        .chain(UNSEEN.iter().map(|&text| text.to_owned()))
}

/// One of these, which `¦` separates.
fn one_of(choices: &'static str) -> impl Strategy<Value = String> + Clone {
    select(choices.split('¦').collect::<Vec<_>>()).prop_map(str::to_owned)
}

/// Operands, operators and brackets in an order that is nearly that of the language.
pub(crate) fn soup() -> impl Strategy<Value = String> {
    let prefix = one_of("¦¦¦¦-¦+¦~¦@¦|/¦NOT ¦not ");
    let operand = one_of(
        "a¦b¦C¦\"c\"¦l[1]¦(a)¦'x'¦a::text¦coalesce(a,b)¦CAST(a AS text)¦ARRAY[a,b][1]¦(ARRAY[a,b])[1]¦interval '1'¦text 'x'",
    );
    let postfix = one_of(
        "¦¦¦¦¦ IS NULL¦ is not null¦ IS TRUE¦ IS NOT UNKNOWN¦ NOTNULL¦::text¦ IN (a,b)¦ NOT IN (a, b AND c)¦ = ANY (l)\
         ¦ <> ALL (l)¦ ISNULL¦::text::text",
    );
    let infix = one_of(
        "=¦=¦<>¦!=¦<¦<=¦>¦>=¦ AND ¦ AND ¦ OR ¦ or ¦+¦-¦*¦/¦^¦&¦|¦#¦||¦@>¦<@¦&&¦ LIKE ¦ NOT LIKE ¦ ILIKE ¦~~¦!~~*\
         ¦ IS DISTINCT FROM ¦ IS NOT DISTINCT FROM ¦ BETWEEN ¦ NOT BETWEEN a AND ¦%¦->¦@¦~¦ IN ¦ XOR ¦ DIV ",
    );
    let term = (prefix, operand, postfix).prop_map(|(prefix, operand, postfix)| prefix + &operand + &postfix);
    let space = one_of(" ¦¦\n¦  ¦\t¦ ");
    let flat = (term.clone(), prop::collection::vec((infix, space, term), 0..6))
        .prop_map(|(first, rest)| {
            rest.into_iter().fold(first, |text, (infix, space, term)| {
                text + &space + &infix + &space + &term
            })
        })
        .boxed();
    prop_oneof![
        4 => flat.clone(),
        1 => (flat.clone(), one_of(" AND ¦ OR ¦=¦||¦-¦ LIKE "), flat.clone())
            .prop_map(|(left, infix, right)| format!("({left}){infix}({right})")),
        1 => (flat.clone(), flat).prop_map(|(left, right)| format!("NOT ({left}) AND {right}")),
    ]
}

/// Sentences of the language over real types, with brackets only here and there.
pub(crate) fn sentence() -> impl Strategy<Value = String> {
    comparison().prop_recursive(3, 10, 2, |inner| {
        prop_oneof![
            (inner.clone(), one_of(" AND ¦ OR ¦\nand\n¦ oR "), inner.clone())
                .prop_map(|(a, op, b)| a + &op + &b),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("NOT {a}")),
            (inner, one_of("IS TRUE¦IS NOT FALSE¦IS UNKNOWN")).prop_map(|(a, test)| format!("({a}) {test}")),
        ]
    })
}

fn comparison() -> impl Strategy<Value = String> {
    let (number, text) = (number().boxed(), text().boxed());
    let operator = one_of("=¦<>¦!=¦<¦<=¦>¦>=¦ = ¦ < ");
    let items = prop::collection::vec(number.clone(), 1..4);
    prop_oneof![
        (number.clone(), operator.clone(), number.clone()).prop_map(|(a, op, b)| a + &op + &b),
        (text.clone(), operator, text.clone()).prop_map(|(a, op, b)| a + &op + &b),
        (text.clone(), one_of("LIKE¦not like¦ILIKE¦~~¦!~~*"), text.clone())
            .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (
            number.clone(),
            one_of("BETWEEN¦not between"),
            number.clone(),
            number.clone()
        )
            .prop_map(|(a, op, b, c)| format!("{a} {op} {b} AND {c}")),
        (number.clone(), one_of("IN¦NOT IN"), items)
            .prop_map(|(a, op, items)| format!("{a} {op} ({})", items.join(","))),
        (text.clone(), text.clone()).prop_map(|(a, b)| format!("{a} = ANY (ARRAY[{b}, 'x'])")),
        (number.clone(), number).prop_map(|(a, b)| format!("{a} IS DISTINCT FROM {b}")),
        (text, one_of("IS NULL¦IS NOT NULL¦NOTNULL")).prop_map(|(a, test)| format!("{a} {test}")),
        example(),
    ]
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        one_of("i2¦i4¦i8¦I4¦\"i4\"¦n¦größe¦\"qu\"\"ote\"¦ia[1]¦array_ndims(ia)"),
        any::<i32>().prop_map(|n| n.to_string()),
        (0..100, 0..100).prop_map(|(a, b)| format!("{a}.{b:02}")),
        (0..50).prop_map(|n| format!("- -{n}")),
        one_of(
            "-2147483648¦'5'::int4¦cast('5' as bigint)¦@i4¦~i4¦|/f8¦-(5)¦+ 5¦greatest(i4,5,i8)¦least(1, i2)"
        ),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (
                inner.clone(),
                one_of("+¦-¦*¦/¦^¦&¦|¦#¦ + ¦ - ¦+-¦*-"),
                inner.clone()
            )
                .prop_map(|(a, op, b)| a + &op + &b),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("-{a}")),
            (inner, one_of("int4¦int8¦numeric¦double precision¦smallint"))
                .prop_map(|(a, target)| format!("{a}::{target}")),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        one_of(
            "t¦v¦nm¦\"Mixed Case\"¦ta[1]¦lower(t)¦UPPER(v)¦concat(t, v)¦concat('a', t)¦coalesce(t,v,'')¦u::text¦mood::text"
        ),
        "[a-z'\\\\%_ü\n\"-]{0,6}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), one_of("||¦ || "), inner).prop_map(|(a, op, b)| a + &op + &b)
    })
}

/// One of each kind that the others leave out.
fn example() -> impl Strategy<Value = String> {
    one_of(
        "b¦true¦b IS NOT TRUE¦u = '00000000-0000-0000-0000-000000000001'¦d > date '2026-01-01'¦'2026-01-01' < tz\
         ¦ts - interval '1 day' < ts¦iv = '1 day'¦d + 1 = d¦ia @> ARRAY[1]¦ia && '{1,2}'¦ta = '{}'¦i4 = ANY (ia)\
         ¦i4 = ANY ('{1,2}')¦ia[1:2] = ia¦ia[:2] <@ ia[1:]¦timezone('UTC', tz) > ts¦mood = 'happy'¦by = '\\x00'\
         ¦tm = '10:00'::time¦i4 IN (SELECT user_id FROM members WHERE role = 'owner' OR role = $1)\
         ¦(i4, i8) NOT IN (SELECT user_id, project_id FROM other.members)¦t = $1¦i4 = $2 AND t = $1¦i4 IN ($1, $2)\
         ¦i8 = ANY ($1)¦ia = $1::int4[]¦coalesce(b, false)",
    )
}
