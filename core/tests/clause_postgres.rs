//! What our reader and printer make of a text, against what a real Postgres makes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/tables.rs"]
mod tables;

use std::cell::{Cell, RefCell};

use postgres::{Database, Server, Verdict};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use shapegate_core::clause::{Clause, Filter, ParameterText};

/// What Postgres calls a syntax error.
const SYNTAX_ERROR: &str = "42601";

/// Compares a text with what we print of it. Says whether we accept it.
fn agrees(database: &mut Database, table: &str, text: &str) -> Result<bool, String> {
    let Ok(clause) = Clause::read_policy(text) else {
        return Ok(false);
    };
    let printed = clause.to_string();
    let (original, ours) = (database.parse(table, text), database.parse(table, &printed));
    if original == Verdict::Refused(SYNTAX_ERROR.into()) {
        return Err(format!("{text:?} is no SQL, yet read as {printed}"));
    }
    if original != ours {
        return Err(format!("{text:?} printed as {printed}:\n{original:?}\n{ours:?}"));
    }
    match Clause::read_policy(&printed) {
        Ok(again) if again == clause => Ok(true),
        other => Err(format!("{printed} read again is {other:?}")),
    }
}

/// Runs this many cases; at least this share of them must be accepted, or the test would prove nothing.
fn all_agree(table: &str, texts: &impl Strategy<Value = String>, cases: u32, accepted_min: f64) {
    let server = Server::shared();
    let script = if table == "soup" {
        tables::SOUP
    } else {
        tables::EVERYTHING
    };
    let name = format!("{table}_{cases}");
    let database = RefCell::new(server.database(&name, script));
    let accepted = Cell::new(0_u32);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(texts, |text| {
            let agreed = agrees(&mut database.borrow_mut(), table, &text).map_err(TestCaseError::fail)?;
            accepted.set(accepted.get() + u32::from(agreed));
            Ok(())
        })
        .unwrap();
    let share = f64::from(accepted.get()) / f64::from(cases);
    assert!(share >= accepted_min, "only {share} of the texts were accepted");
}

fn space() -> impl Strategy<Value = &'static str> {
    select(vec![" ", "", "\n", "  ", "\t", " "])
}

/// Operands, operators and brackets in an order that is nearly that of the language.
fn soup() -> impl Strategy<Value = String> {
    let prefix = select(vec!["", "", "", "", "-", "+", "~", "@", "|/", "NOT ", "not "]);
    let operand = select(vec![
        "a",
        "b",
        "C",
        "\"c\"",
        "l[1]",
        "(a)",
        "'x'",
        "a::text",
        "coalesce(a,b)",
        "CAST(a AS text)",
        "ARRAY[a,b][1]",
    ]);
    let postfix = select(vec![
        "",
        "",
        "",
        "",
        "",
        " IS NULL",
        " is not null",
        " IS TRUE",
        " IS NOT UNKNOWN",
        " NOTNULL",
        "::text",
        " IN (a,b)",
        " NOT IN (a, b AND c)",
        " = ANY (l)",
        " <> ALL (l)",
        " ISNULL",
    ]);
    let infix = select(vec![
        "=",
        "=",
        "<>",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        " AND ",
        " AND ",
        " OR ",
        " or ",
        "+",
        "-",
        "*",
        "/",
        "^",
        "&",
        "|",
        "#",
        "||",
        "@>",
        "<@",
        "&&",
        " LIKE ",
        " NOT LIKE ",
        " ILIKE ",
        "~~",
        "!~~*",
        " IS DISTINCT FROM ",
        " IS NOT DISTINCT FROM ",
        " BETWEEN ",
        " NOT BETWEEN a AND ",
        "%",
        "->",
        "@",
        "~",
        " IN ",
        " COLLATE ",
        " XOR ",
        " DIV ",
    ]);
    let term = (prefix, operand, postfix)
        .prop_map(|(prefix, operand, postfix)| format!("{prefix}{operand}{postfix}"));
    let flat =
        (term.clone(), prop::collection::vec((infix, space(), term), 0..6)).prop_map(|(first, rest)| {
            rest.into_iter().fold(first, |text, (infix, space, term)| {
                format!("{text}{space}{infix}{space}{term}")
            })
        });
    let flat = flat.boxed();
    prop_oneof![
        4 => flat.clone(),
        1 => (flat.clone(), flat.clone(), select(vec![" AND ", " OR ", "=", "||", "-", " LIKE "]))
            .prop_map(|(left, right, infix)| format!("({left}){infix}({right})")),
        1 => (flat.clone(), flat).prop_map(|(left, right)| format!("NOT ({left}) AND {right}")),
    ]
}

/// Sentences of the language over real types, with brackets only here and there.
fn sentence() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        select(vec![
            "i2",
            "i4",
            "i8",
            "I4",
            "\"i4\"",
            "n",
            "größe",
            "\"qu\"\"ote\"",
            "ia[1]",
            "array_ndims(ia)"
        ])
        .prop_map(str::to_owned),
        any::<i32>().prop_map(|n| n.to_string()),
        (0..100, 0..100).prop_map(|(a, b)| format!("{a}.{b:02}")),
        (0..50).prop_map(|n| format!("- -{n}")),
        select(vec![
            "-2147483648",
            "'5'::int4",
            "cast('5' as bigint)",
            "@i4",
            "~i4",
            "|/f8",
            "-(5)",
            "+ 5",
            "greatest(i4,5,i8)",
            "least(1, i2)"
        ])
        .prop_map(str::to_owned),
    ];
    let number = number.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (
                inner.clone(),
                select(vec![
                    "+", "-", "*", "/", "^", "&", "|", "#", " + ", " - ", "+-", "*-"
                ]),
                inner.clone()
            )
                .prop_map(|(a, op, b)| format!("{a}{op}{b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("-{a}")),
            (
                inner,
                select(vec!["int4", "int8", "numeric", "double precision", "smallint"])
            )
                .prop_map(|(a, t)| format!("{a}::{t}")),
        ]
    });
    let text = prop_oneof![
        select(vec![
            "t",
            "v",
            "nm",
            "\"Mixed Case\"",
            "ta[1]",
            "lower(t)",
            "UPPER(v)",
            "concat(t, v)",
            "coalesce(t,v,'')",
            "u::text",
            "mood::text"
        ])
        .prop_map(str::to_owned),
        "[a-z'\\\\%_ü\n\"-]{0,6}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
    ];
    let text = text.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), select(vec!["||", " || "]), inner).prop_map(|(a, op, b)| format!("{a}{op}{b}"))
    });
    let comparison = select(vec!["=", "<>", "!=", "<", "<=", ">", ">=", " = ", " < "]);
    let (number, text) = (number.boxed(), text.boxed());
    let leaf = prop_oneof![
        (number.clone(), comparison.clone(), number.clone()).prop_map(|(a, op, b)| format!("{a}{op}{b}")),
        (text.clone(), comparison, text.clone()).prop_map(|(a, op, b)| format!("{a}{op}{b}")),
        (
            text.clone(),
            select(vec!["LIKE", "not like", "ILIKE", "~~", "!~~*"]),
            text.clone()
        )
            .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (
            number.clone(),
            select(vec!["BETWEEN", "not between"]),
            number.clone(),
            number.clone()
        )
            .prop_map(|(a, op, b, c)| format!("{a} {op} {b} AND {c}")),
        (
            number.clone(),
            select(vec!["IN", "NOT IN"]),
            prop::collection::vec(number.clone(), 1..4)
        )
            .prop_map(|(a, op, items)| format!("{a} {op} ({})", items.join(","))),
        (text.clone(), text.clone()).prop_map(|(a, b)| format!("{a} = ANY (ARRAY[{b}, 'x'])")),
        (number.clone(), number).prop_map(|(a, b)| format!("{a} IS DISTINCT FROM {b}")),
        (text.clone(), select(vec!["IS NULL", "IS NOT NULL", "NOTNULL"]))
            .prop_map(|(a, test)| format!("{a} {test}")),
        select(vec![
            "b",
            "true",
            "b IS NOT TRUE",
            "u = '00000000-0000-0000-0000-000000000001'",
            "d > date '2026-01-01'",
            "'2026-01-01' < tz",
            "ts - interval '1 day' < ts",
            "iv = '1 day'",
            "d + 1 = d",
            "ia @> ARRAY[1]",
            "ia && '{1,2}'",
            "ta = '{}'",
            "i4 = ANY (ia)",
            "i4 = ANY ('{1,2}')",
            "ia[1:2] = ia",
            "ia[:2] <@ ia[1:]",
            "timezone('UTC', tz) > ts",
            "mood = 'happy'",
            "by = '\\x00'",
            "tm = '10:00'::time",
            "i4 IN (SELECT user_id FROM members WHERE role = 'owner' OR role = $1)",
            "(i4, i8) NOT IN (SELECT user_id, project_id FROM other.members)",
            "t = $1",
            "i4 = $2 AND t = $1",
            "i4 IN ($1, $2)",
            "i8 = ANY ($1)",
            "ia = $1::int4[]",
            "coalesce(b, false)",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 10, 2, |inner| {
        prop_oneof![
            (
                inner.clone(),
                select(vec![" AND ", " OR ", "\nand\n", " oR "]),
                inner.clone()
            )
                .prop_map(|(a, op, b)| format!("{a}{op}{b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("NOT {a}")),
            (inner, select(vec!["IS TRUE", "IS NOT FALSE", "IS UNKNOWN"]))
                .prop_map(|(a, test)| format!("({a}) {test}")),
        ]
    })
}

#[test]
fn a_soup_of_operators_is_read_as_postgres_reads_it_or_not_at_all() {
    all_agree("soup", &soup(), 8000, 0.1);
}

#[test]
fn sentences_are_read_as_postgres_reads_them() {
    all_agree("everything", &sentence(), 2500, 0.5);
}

/// Texts that readers are known to take in different ways.
const NASTIES: &[&str] = &[
    "t = E'\\'') OR 1=1 --'",
    "t = '\\') OR 1=1 --'",
    "t = 'a\\'",
    "t = '\\'",
    "t = 'a''b'",
    "t = ''''",
    "t = 'a' 'b'",
    "t = 'a'\n'b'",
    "t = U&'\\0061'",
    "t = u&'x'",
    "U&\"t\" = 'a'",
    "u & 1 = 1",
    "t = $$a$$",
    "t = $x$a$x$",
    "by = X'00'",
    "by = x'00'",
    "i4 = B'1'",
    "t = N'a'",
    "t = _utf8'a'",
    "t=e'a'",
    "t = 'a'--",
    "t = 'a' -- x\n",
    "t /* x */ = 'a'",
    "t /* /* */ = 'a' */ = 'b'",
    "i4 = 1 --1",
    "i4 = 1 - -1",
    "i4=-1",
    "i4=- 1",
    "i4 = 1+-1",
    "i4 = -+1",
    "i4 = 1--1",
    "i4 <-1",
    "i4<-+1",
    "i4 >= -1",
    "i4>=-1",
    "i4@-1 = 1",
    "i4 = @-1",
    "i4 = @ -1",
    "i4 =@1",
    "i4 != 1",
    "i4 !=-1",
    "i4 ! = 1",
    "i4 == 1",
    "i4 => 1",
    "i4 <=> 1",
    "a = b = c",
    "i4 = i8 = true",
    "i4 < i8 < n",
    "i4 < i8 = b",
    "b = (i4 < i8)",
    "i4 = 1 IS NULL",
    "i4 IS NULL = b",
    "(i4 IS NULL) = b",
    "NOT i4 = 1",
    "NOT b = b",
    "NOT b IS NULL",
    "NOT b AND b",
    "NOT NOT b",
    "b AND NOT b OR b",
    "-i4 ^ 2 = 4",
    "(-i4) ^ 2 = 4",
    "-2 ^ 2 = 4",
    "2 ^ 3 ^ 2 = 64",
    "-i4::int2 = 1",
    "-5::int2 = 1",
    "i4::text::int4 = 1",
    "- i4 * 2 = 1",
    "1 - 2 - 3 = i4",
    "8 / 4 / 2 = i4",
    "i4 - (2 - 3) = 1",
    "i4 & 1 + 1 = 2",
    "i4 + 1 & 1 = 2",
    "t || 'a' LIKE 'b' || '%'",
    "t LIKE 'a' = b",
    "b = t LIKE 'a'",
    "t LIKE 'a' ESCAPE '!'",
    "t LIKE ANY ('{a}')",
    "t SIMILAR TO 'a'",
    "t ~ 'a'",
    "t ~* 'a'",
    "i4 BETWEEN 1 AND 2 AND b",
    "i4 BETWEEN 1 AND 2 OR b",
    "i4 BETWEEN 1 + 1 AND 2 * 3",
    "b BETWEEN i4 = 1 AND b",
    "i4 NOT BETWEEN 1 AND 2 = b",
    "i4 BETWEEN SYMMETRIC 2 AND 1",
    "i4 BETWEEN ASYMMETRIC 1 AND 2",
    "i4 IN (1) = b",
    "i4 IN (1,2,)",
    "i4 IN ()",
    "i4 IN (1) IS TRUE",
    "NOT i4 IN (1)",
    "i4 + 1 IN (2)",
    "i4 = 1 + 1 IN (2)",
    "i4 IN ((SELECT 1))",
    "i4 IN (SELECT 1)",
    "i4 IN (VALUES (1))",
    "i4 IN (TABLE members)",
    "i4 IN (SELECT user_id FROM members LIMIT 1)",
    "i4 IN (SELECT user_id FROM members m)",
    "i4 IN (SELECT user_id FROM ONLY members)",
    "i4 IN (SELECT DISTINCT user_id FROM members)",
    "i4 IN (SELECT user_id FROM members, everything)",
    "i4 IN (SELECT user_id FROM members ORDER BY 1)",
    "i4 IN (SELECT user_id FROM members GROUP BY user_id)",
    "i4 IN (SELECT user_id FROM members FOR UPDATE)",
    "i4 IN (WITH x AS (SELECT 1) SELECT user_id FROM members)",
    "i4 IN (SELECT user_id FROM members UNION SELECT 1)",
    "i4 IN (SELECT user_id AS x FROM members)",
    "i4 IN (SELECT members.user_id FROM members)",
    "i4 IN (SELECT * FROM members)",
    "i4 IN (SELECT user_id FROM pg_catalog.x.members)",
    "i4 IN (SELECT user_id FROM members TABLESAMPLE system (1))",
    "(i4) IN (SELECT user_id FROM members)",
    "(i4, i8) IN (SELECT user_id FROM members)",
    "i4 + 1 IN (SELECT user_id FROM members)",
    "i4 = ANY (SELECT user_id FROM members)",
    "EXISTS (SELECT 1)",
    "i4 = (SELECT 1)",
    "i4 = ARRAY(SELECT 1)",
    "NOT i4 IN (SELECT user_id FROM members WHERE NOT role = 'x' AND project_id = 1)",
    "i4 IN (SELECT user_id FROM members WHERE project_id IN (SELECT project_id FROM other.members))",
    "i4 = ANY (ia) = b",
    "b = i4 = ANY (ia)",
    "i4 + 1 = ANY (ia)",
    "NOT i4 = ANY (ia)",
    "i4 = SOME (ia)",
    "i4 = ANY ia",
    "i4 = ANY (ia) AND b",
    "i4 <> ALL ('{1}')",
    "i4 = ANY (ARRAY[1,2])",
    "i4 = ANY (ARRAY[]::int4[])",
    "i4 = ANY ('{1,2}'::int4[])",
    "ARRAY[1,2][1] = 1",
    "(ARRAY[1,2])[1] = 1",
    "[1,2] = ia",
    "ia[1][1] = 1",
    "ia[i4 + 1] = 1",
    "ia[-1] = 1",
    "ia[1:2][1] = ia",
    "ia[:] = ia",
    "ia[1::int4] = 1",
    "ia[1:2:3] = ia",
    "lower(t)[1] = 'a'",
    "$1[1] = i4",
    "ARRAY[ARRAY[1]] = ia",
    "ARRAY[[1]] = ia",
    "1e3 = n",
    ".5 = n",
    "5. = n",
    "1.5e3 = n",
    "0x1F = i4",
    "1_000 = i4",
    "1a = i4",
    "i4 = 1AND b",
    "i4 = 1.5.5",
    "i4 = 007",
    "i4 = 2147483647",
    "i4 = 2147483648",
    "i4 = -2147483648",
    "n = 99999999999999999999",
    "n = 1.50",
    "n = 0.1",
    "n = -0.5",
    "t = $01",
    "t = $0",
    "t = $1a",
    "t = $99999",
    "t = $",
    "t = ?",
    "t = :x",
    "t = @x",
    "user = 'a'",
    "\"user\" = 'a'",
    "current_user = t",
    "session_user = t",
    "current_date = d",
    "now() = tz",
    "random() = f8",
    "localtime = tm",
    "current_schema = t",
    "default = t",
    "date = d",
    "time = tm",
    "left = 1",
    "left('a', 1) = t",
    "t::varchar(1) = 'a'",
    "t::char = 'a'",
    "t::\"char\" = 'a'",
    "t::bpchar = 'a'",
    "i4::numeric(3,1) = 1",
    "i4::float = 1",
    "i4::float(3) = 1",
    "i4::float4 = 1",
    "i4::real = 1",
    "i4::double precision = 1",
    "i4::decimal = 1",
    "i4::dec = 1",
    "i4::int[] = ia",
    "'{1}'::int[3] = ia",
    "'{1}'::int[][] = ia",
    "'{1}'::int array = ia",
    "t::name = 'a'",
    "t::\"name\" = 'a'",
    "t::pg_catalog.text = 'a'",
    "t::\"text\" = 'a'",
    "t::character varying = 'a'",
    "t::timestamp with time zone = tz",
    "t::timestamp without time zone = ts",
    "t::timestamp(3) = ts",
    "t::timetz = tm",
    "t::time with time zone = tm",
    "t::interval day = iv",
    "t::interval = iv",
    "t::json = '1'",
    "t::xml = t",
    "t::regclass = 1",
    "interval '1' day = iv",
    "interval '1 day' = iv",
    "interval(3) '1' = iv",
    "timestamp '2026-01-01' = ts",
    "timestamptz '2026-01-01' = tz",
    "timestamp with time zone '2026-01-01' = tz",
    "date '2026-01-01' = d",
    "date'2026-01-01' = d",
    "bool 'true'",
    "boolean 'f' = b",
    "int4 '5' = i4",
    "integer '5' = i4",
    "numeric '5' = n",
    "text 'a' = t",
    "uuid '00000000-0000-0000-0000-000000000001' = u",
    "name 'a' = nm",
    "int4[] '{1}' = ia",
    "double precision '1' = f8",
    "float '1' = f8",
    "real '1' = f4",
    "varchar 'a' = v",
    "bytea 'a' = by",
    "x 'a' = t",
    "b 'a' = t",
    "e 'a' = t",
    "n 'a' = t",
    "cast(t as int) = 1",
    "try_cast(t as int) = 1",
    "convert(t, int) = 1",
    "t AT TIME ZONE 'UTC' = ts",
    "t COLLATE \"C\" = 'a'",
    "CASE WHEN b THEN b ELSE b END",
    "nullif(i4, 1) = 1",
    "lower(DISTINCT t) = 'a'",
    "lower(ALL t) = 'a'",
    "lower(t ORDER BY t) = 'a'",
    "lower(t) OVER () = 'a'",
    "lower(t) FILTER (WHERE b) = 'a'",
    "lower(VARIADIC ta) = 'a'",
    "concat(VARIADIC ta) = 'a'",
    "lower(t => 'a') = 'a'",
    "lower() = t",
    "lower(t, t) = t",
    "\"lower\"(t) = 'a'",
    "\"LOWER\"(t) = 'a'",
    "pg_catalog.lower(t) = 'a'",
    "LOWER (t) = 'a'",
    "{fn lower(t)} = 'a'",
    "coalesce() = t",
    "\"coalesce\"(t) = 'a'",
    "concat() = t",
    "greatest(1) = i4",
    "like(t, 'a')",
    "count(*) = 1",
    "extract(year from d) = 1",
    "position('a' in t) = 1",
    "substring(t from 1) = 'a'",
    "trim(t) = 'a'",
    "overlay(t placing 'a' from 1) = t",
    "ceil(n) = 1",
    "floor(n) = 1",
    "everything.t = 'a'",
    "public.everything.t = 'a'",
    "(everything).t = 'a'",
    "*",
    "everything.* IS NULL",
    "everything IS NULL",
    "(i4, i8) = (1, 2)",
    "ROW(i4, i8) = ROW(1, 2)",
    "(i4, i8) IN ((1, 2))",
    "(i4, i8) IS NULL",
    "(i4, i8) OVERLAPS (i4, i8)",
    "b;",
    ";",
    "b; SELECT 1",
    "b LIMIT 1",
    "b ORDER BY 1",
    "b UNION SELECT 1",
    "b) OR (b",
    "b)",
    "(b",
    "b FETCH FIRST 1 ROW ONLY",
    "b GROUP BY 1",
    "b WINDOW w AS ()",
    "b FOR UPDATE",
    "",
    " ",
    "()",
    "b AND",
    "AND b",
    "b b",
    "b AS x",
    "b, b",
    "NULL",
    "NULL = i4",
    "b = NULL",
    "i4 = + 5",
    "+i4 = 5",
    "+ + i4 = 5",
    "~ ~ i4 = 5",
    "~i4 + 1 = 5",
    "@i4 + 1 = 5",
    "@ i4 || 'x' = 'a'",
    "|/ f8 + 1 = 2",
    "||/ f8 = 2",
    "i4! = 2",
    "!!i4 = 2",
    "i4 % 2 = 1",
    "i4 << 1 = 2",
    "i4 # 1 = 2",
    "i4 #- 1 = 2",
    "i4 &1 = 1",
    "ia @>ARRAY[1]",
    "ia<@ia",
    "ia&&ia",
    "ia && -ia",
    "i4 *-1 = 1",
    "i4*-+1 = 1",
    "f8/-1 = 1",
    "i4^-1 = 1",
    "i4|-1 = 1",
    "i4 | -1 = 1",
    "i4#-1 = 1",
    "t||-1 = 'a'",
    "t || -1 = 'a'",
    "b IS NOT NULL IS TRUE",
    "(b IS NULL) IS NULL",
    "b IS NOT DISTINCT FROM b IS TRUE",
    "b IS DISTINCT FROM b = b",
    "b IS DISTINCT FROM NOT b",
    "b IS DISTINCT FROM b AND b",
    "b IS DISTINCT FROM b IS NULL",
    "b IS UNKNOWN",
    "b ISNULL",
    "b NOT NULL",
    "b NOTNULL",
    "b IS JSON",
    "t IS NORMALIZED",
    "b IS NOT b",
    "NOT TRUE = FALSE",
    "TRUE",
    "'t'",
    "'t' = 't'",
    "1 = 1",
    "b OR b AND b OR b",
    "(b OR b) AND b",
    "b AND (b AND b)",
    "(b AND b) AND b",
    "((b))",
    "b OR (b OR b)",
    "(b OR b) OR b",
    "b AND b AND b AND b",
    "größe = 1",
    "GRÖSSE = 1",
    "Größe = 1",
    "grö\u{308}ße = 1",
    "\"größe\" = 1",
    "\u{a0}b",
    "b\u{a0}",
    "b\u{200b}",
    "b\u{b}",
    "b\u{c}",
    "b\0",
    "t = '\0'",
    "t = 'a\tb\nc'",
    "\"b\n\"",
    "\"\" = 1",
    "\"b",
    "'b",
    "\"qu\"\"ote\" = 1",
    "\"qu\"\"\"ote\" = 1",
    "qu\"ote = 1",
    "b AND\"b\"",
    "\"b\"AND b",
    "t='a'AND b",
    "a$b = 1",
    "$1b = 1",
    "i4=$1",
    "i4=$1 AND i8=$1",
    "i4 = $2",
    "t LIKE $1",
    "$1 = $2",
    "$1",
    "ia = $1",
    "i4=ANY($1)",
    "-$1 = i4",
    "t = 'x' || $1",
    "b XOR b",
    "i4 DIV 2 = 1",
    "t REGEXP 'a'",
    "t RLIKE 'a'",
    "t GLOB 'a'",
    "t MATCH 'a'",
    "i4 MEMBER OF(1)",
    "prior b",
    "b(+)",
    "interval = 1",
    "array = 1",
    "box = 1",
    "point '1'",
    "xml '<a/>' = t",
    "map {}",
    "struct(1)",
    "x -> x",
    "(x) -> x",
    "if(b, b, b)",
    "t = \u{2019}a\u{2019}",
    "ｔ = 'a'",
    "t ＝ 'a'",
];

#[test]
fn texts_that_readers_disagree_about_are_read_as_postgres_reads_them_or_not_at_all() {
    let server = Server::shared();
    let mut database = server.database("nasties", tables::EVERYTHING);
    let disagreements: Vec<String> = NASTIES
        .iter()
        .filter_map(|text| {
            // The driver cannot send NUL; that we refuse it is enough.
            if text.contains('\0') {
                return Clause::read_policy(text)
                    .is_ok()
                    .then(|| format!("{text:?} is read"));
            }
            agrees(&mut database, "everything", text).err()
        })
        .collect();
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n\n"));
}

#[test]
fn every_word_that_postgres_reserves_is_no_column_without_quotes() {
    let server = Server::shared();
    let mut database = server.database("keywords", "");
    let words = database.column("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')");
    assert!(words.len() > 90, "{words:?}");
    for word in words {
        let quoted = format!("\"{word}\" = 1");
        assert!(Clause::read_policy(&quoted).is_ok(), "{quoted}");
        for text in [
            format!("{word} = 1"),
            format!("1 = {word}"),
            format!("{} = 1", word.to_uppercase()),
        ] {
            // TRUE and its kind are read, only not as columns.
            assert!(
                Clause::read_policy(&text)
                    .ok()
                    .is_none_or(|clause| clause.columns().next().is_none()),
                "{text}"
            );
        }
    }
}

#[test]
fn a_clients_filter_narrows_a_policys_and_nothing_else() {
    let server = Server::shared();
    let mut database = server.database("narrowing", tables::EVERYTHING);
    let policy = Filter::new(
        Clause::read_policy("i4 = $1 OR t = $2").unwrap(),
        values(&["2", "a"]),
    )
    .unwrap();
    let accepted = Cell::new(0_u32);
    let config = Config {
        cases: 1000,
        failure_persistence: None,
        ..Config::default()
    };
    let database = RefCell::new(&mut database);
    TestRunner::new(config)
        .run(&sentence(), |text| {
            let mut database = database.borrow_mut();
            let Ok(clause) = Clause::read_client(&text) else {
                return Ok(());
            };
            // With a type for each use, as here, the text without parameters says more than theirs.
            if (1..=2).any(|number| text.matches(&format!("${number}")).count() > 1) {
                return Ok(());
            }
            let given = vec!["1"; usize::from(clause.parameters_max())];
            let Ok(client) = Filter::client(clause, values(&given)) else {
                return Ok(());
            };
            let both = policy.and(&client).unwrap();
            let parameters: Vec<&str> = both.parameters().iter().map(ParameterText::as_str).collect();
            let asked = database.rows("everything", both.text(), &parameters);
            let inlined = given
                .iter()
                .enumerate()
                .fold(text.clone(), |text, (index, value)| {
                    text.replace(&format!("${}", index + 1), &format!("'{value}'"))
                });
            let expected = database.rows(
                "everything",
                &format!("(i4 = '2' OR t = 'a') AND ({inlined})"),
                &[],
            );
            prop_assert_eq!(&asked, &expected, "{} as {}", text, both.text());
            accepted.set(accepted.get() + u32::from(asked.is_ok()));
            Ok(())
        })
        .unwrap();
    assert!(
        accepted.get() > 300,
        "only {} of the texts were accepted",
        accepted.get()
    );
}

fn values(texts: &[&str]) -> Vec<ParameterText> {
    texts
        .iter()
        .map(|text| ParameterText::new(text).unwrap())
        .collect()
}
