//! The tables that the tests filter.

/// A column of each type that Electric knows, and three rows.
pub(crate) const EVERYTHING: &str = "
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE everything (
    id int4 PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, t text,
    v varchar, nm name, by bytea, u uuid, d date, tm time, ts timestamp, tz timestamptz, iv interval,
    ia int4[], ta text[], \"Mixed Case\" text, \"qu\"\"ote\" int4, größe int4, mood mood);
INSERT INTO everything VALUES
    (1, true, 1, 1, 1, 1, 1, 1, 'a', 'a', 'a', 'a', '00000000-0000-0000-0000-000000000001', '2026-01-01',
     '01:00', '2026-01-01', '2026-01-01', '1 day', '{1,2}', '{a,b}', 'a', 1, 1, 'happy'),
    (2, false, -2, 2, 5000000000, -2.5, 2.5, 2.5, 'it''s \\ \"x\"', '', 'b', '', '00000000-0000-0000-0000-000000000002',
     '2025-12-31', '23:59', '2025-12-31', '2025-12-31', '2 hours', '{}', '{}', 'B', 2, 2, 'sad'),
    (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
     null, null, null, null, null, null);
CREATE SCHEMA other;
CREATE TABLE other.members (user_id int4, project_id int4, role text);
CREATE TABLE members (user_id int4, project_id int4, role text);
";

/// A table on which whatever can be parsed has a type, so that precedence alone decides how a text is read:
/// all operators exist between its values, and truth values convert both ways.
pub(crate) const SOUP: &str = "
CREATE TYPE u;
CREATE FUNCTION u_in(cstring) RETURNS u LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION u_out(u) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE u (INPUT = u_in, OUTPUT = u_out, LIKE = text);
CREATE FUNCTION u_bool(u) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION bool_u(bool) RETURNS u LANGUAGE sql IMMUTABLE AS $$ SELECT 'x'::u $$;
CREATE CAST (u AS bool) WITH FUNCTION u_bool(u) AS IMPLICIT;
CREATE CAST (bool AS u) WITH FUNCTION bool_u(bool) AS IMPLICIT;
CREATE CAST (text AS u) WITH INOUT AS IMPLICIT;
CREATE FUNCTION one(u) RETURNS u LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION two(u, u) RETURNS u LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION test(u, u) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['+', '-', '*', '/', '^', '&', '|', '#', '||', '@>', '<@', '&&', '%', '@', '~', '->'] LOOP
        EXECUTE format('CREATE OPERATOR %s (LEFTARG = u, RIGHTARG = u, FUNCTION = two)', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['=', '<>', '<', '<=', '>', '>=', '~~', '!~~', '~~*', '!~~*'] LOOP
        EXECUTE format('CREATE OPERATOR %s (LEFTARG = u, RIGHTARG = u, FUNCTION = test)', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['+', '-', '~', '@', '|/'] LOOP
        EXECUTE format('CREATE OPERATOR %s (RIGHTARG = u, FUNCTION = one)', name);
    END LOOP;
END $$;
CREATE TABLE soup (a u, b u, c u, l u[]);
";
