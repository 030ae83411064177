//! Cuts a text into tokens.
//!
//! This is our own because it is the place where readers differ most: strings with backslashes, Unicode
//! escapes and dollar quotes, nested comments, chains of operator characters, junk after numbers. None of
//! these is a token here, so that what is left has one meaning for everybody.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};

use super::error::{ClauseError, ClauseProblem, Place};
use crate::identifier::{self, Identifier};
use crate::limits;

/// The characters of which Postgres builds operators, always as many as it can get.
const OPERATOR_CHARACTERS: &str = "+-*/<>=~!@#%^&|`?";

/// With one of these, an operator may end in a sign; without, the sign belongs to what follows.
const BEFORE_SIGN: &str = "~!@#%^&|`?";

/// How much of an unknown operator a message repeats, in characters.
const OPERATOR_SHOWN_MAX: usize = 8;

/// The words of our language, those of its types included.
const KEYWORDS: &[Keyword] = &[
    Keyword::ALL,
    Keyword::AND,
    Keyword::ANY,
    Keyword::ARRAY,
    Keyword::AS,
    Keyword::BETWEEN,
    Keyword::CAST,
    Keyword::DISTINCT,
    Keyword::FALSE,
    Keyword::FROM,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::IS,
    Keyword::LIKE,
    Keyword::NOT,
    Keyword::NOTNULL,
    Keyword::NULL,
    Keyword::OR,
    Keyword::SELECT,
    Keyword::SOME,
    Keyword::TRUE,
    Keyword::UNKNOWN,
    Keyword::WHERE,
    Keyword::BIGINT,
    Keyword::BOOL,
    Keyword::BOOLEAN,
    Keyword::BYTEA,
    Keyword::CHARACTER,
    Keyword::DATE,
    Keyword::DEC,
    Keyword::DECIMAL,
    Keyword::DOUBLE,
    Keyword::FLOAT,
    Keyword::FLOAT4,
    Keyword::FLOAT8,
    Keyword::INT,
    Keyword::INT2,
    Keyword::INT4,
    Keyword::INT8,
    Keyword::INTEGER,
    Keyword::INTERVAL,
    Keyword::NUMERIC,
    Keyword::PRECISION,
    Keyword::REAL,
    Keyword::SMALLINT,
    Keyword::TEXT,
    Keyword::TIME,
    Keyword::TIMESTAMP,
    Keyword::TIMESTAMPTZ,
    Keyword::UUID,
    Keyword::VARCHAR,
    Keyword::VARYING,
    Keyword::WITH,
    Keyword::WITHOUT,
    Keyword::ZONE,
];

/// Cuts a whole text into tokens, without white space.
pub(super) fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, ClauseError> {
    if text.len() > limits::CLAUSE_TEXT_BYTES_MAX {
        return Err(ClauseProblem::TextTooLong.into());
    }
    let mut lexer = Lexer {
        rest: text,
        place: Place { line: 1, column: 1 },
        tokens: Vec::new(),
        words: 0,
    };
    while let Some(first) = lexer.rest.chars().next() {
        let place = lexer.place;
        lexer.token(first).map_err(|problem| problem.at(place))?;
    }
    if lexer.tokens.is_empty() {
        return Err(ClauseProblem::Empty.into());
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    place: Place,
    tokens: Vec<TokenWithSpan>,
    words: usize,
}

impl<'a> Lexer<'a> {
    fn token(&mut self, first: char) -> Result<(), ClauseProblem> {
        let start = self.place;
        let token = match first {
            ' ' | '\t' | '\n' | '\r' => {
                self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
                return Ok(());
            }
            '\'' => self.string()?,
            '"' => self.quoted_name()?,
            '$' => self.parameter()?,
            c if c.is_ascii_digit() => self.number()?,
            '.' if self.second().is_some_and(|c| c.is_ascii_digit()) => self.number()?,
            c if identifier::is_start(c) => self.word()?,
            c if OPERATOR_CHARACTERS.contains(c) => self.operator()?,
            c => self.punctuation(c)?,
        };
        self.push(token, start)
    }

    fn push(&mut self, token: Token, start: Place) -> Result<(), ClauseProblem> {
        let value = matches!(
            token,
            Token::SingleQuotedString(_)
                | Token::Number(..)
                | Token::Placeholder(_)
                | Token::Comma
                | Token::LParen
                | Token::RParen
        );
        self.words += usize::from(!value);
        if self.words > limits::CLAUSE_WORDS_MAX {
            return Err(ClauseProblem::TooManyWords);
        }
        self.check_neighbours(&token)?;
        let span = Span::new(location(start), location(self.place));
        self.tokens.push(TokenWithSpan::new(token, span));
        Ok(())
    }

    /// Refuses two sequences of which `sqlparser` drops a part: `interval(3) '…'`, where the precision goes,
    /// and `a NOT NULL`, which is no SQL.
    fn check_neighbours(&self, token: &Token) -> Result<(), ClauseProblem> {
        let mut before = self.tokens.iter().rev().map(|token| &token.token);
        let (last, second_last) = (before.next(), before.next());
        let is_type = second_last == Some(&Token::DoubleColon) || is_keyword(second_last, Keyword::AS);
        let is_literal = matches!(token, Token::SingleQuotedString(_));
        if is_keyword(last, Keyword::INTERVAL) && !is_type && !is_literal {
            return Err(ClauseProblem::Reserved("interval".to_owned()));
        }
        let not_null = is_keyword(last, Keyword::NOT) && is_keyword(Some(token), Keyword::NULL);
        if not_null && !is_keyword(second_last, Keyword::IS) {
            return Err(ClauseProblem::Unsupported("NOT NULL (IS NOT NULL can)"));
        }
        Ok(())
    }

    fn second(&self) -> Option<char> {
        self.rest.chars().nth(1)
    }

    /// Takes this many bytes, which end where a character ends.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (head, tail) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = tail;
        for c in head.chars() {
            self.place = match c {
                '\n' => Place {
                    line: self.place.line + 1,
                    column: 1,
                },
                _ => Place {
                    column: self.place.column + 1,
                    ..self.place
                },
            };
        }
        head
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Takes from a quote to the one that closes it, and returns both with what is between them.
    fn quoted(&mut self, quote: char) -> Result<&'a str, ClauseProblem> {
        let whole = self.rest;
        self.take(1);
        loop {
            let inside = self.take_while(|c| c != quote);
            if let Some(c) = inside
                .chars()
                .find(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
            {
                return Err(ClauseProblem::Character(c));
            }
            if self.take(1).is_empty() {
                return Err(ClauseProblem::Unclosed);
            }
            if !self.rest.starts_with(quote) {
                let length = whole.len().saturating_sub(self.rest.len());
                return whole.get(..length).ok_or(ClauseProblem::Unclosed);
            }
            self.take(1);
        }
    }

    fn string(&mut self) -> Result<Token, ClauseProblem> {
        // Postgres joins literals that only a line break separates; other readers join more.
        if matches!(
            self.tokens.last(),
            Some(TokenWithSpan {
                token: Token::SingleQuotedString(_),
                ..
            })
        ) {
            return Err(ClauseProblem::LiteralForm);
        }
        let raw = self.quoted('\'')?;
        let inside = raw.strip_prefix('\'').and_then(|raw| raw.strip_suffix('\''));
        Ok(Token::SingleQuotedString(
            inside.ok_or(ClauseProblem::Unclosed)?.replace("''", "'"),
        ))
    }

    fn quoted_name(&mut self) -> Result<Token, ClauseProblem> {
        let name = Identifier::parse(self.quoted('"')?)?;
        Ok(Token::make_word(name.as_str(), Some('"')))
    }

    fn word(&mut self) -> Result<Token, ClauseProblem> {
        let word = self.take_while(identifier::is_part);
        let unicode =
            word.eq_ignore_ascii_case("u") && ["&'", "&\""].iter().any(|p| self.rest.starts_with(p));
        if self.rest.starts_with('\'') || unicode {
            return Err(ClauseProblem::LiteralForm);
        }
        Ok(keyword_or_name(word))
    }

    fn parameter(&mut self) -> Result<Token, ClauseProblem> {
        self.take(1);
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(ClauseProblem::LiteralForm);
        }
        let known = digits
            .parse()
            .is_ok_and(|number: u16| (1..=limits::PARAMETERS_MAX).contains(&number));
        if !known || digits.starts_with('0') || self.rest.starts_with(identifier::is_part) {
            return Err(ClauseProblem::ParameterNumber);
        }
        Ok(Token::Placeholder(format!("${digits}")))
    }

    fn number(&mut self) -> Result<Token, ClauseProblem> {
        let mut number = self.take_while(|c| c.is_ascii_digit()).to_owned();
        if self.rest.starts_with('.') {
            number.push_str(self.take(1));
            number.push_str(self.digits()?);
        }
        if self.rest.starts_with(['e', 'E']) {
            number.push_str(self.take(1));
            if self.rest.starts_with(['+', '-']) {
                number.push_str(self.take(1));
            }
            number.push_str(self.digits()?);
        }
        let junk = |c: char| identifier::is_part(c) || c == '.';
        if self.rest.starts_with(junk) {
            return Err(ClauseProblem::Number);
        }
        Ok(Token::Number(number, false))
    }

    fn digits(&mut self) -> Result<&'a str, ClauseProblem> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            Err(ClauseProblem::Number)
        } else {
            Ok(digits)
        }
    }

    fn operator(&mut self) -> Result<Token, ClauseProblem> {
        let end = self
            .rest
            .find(|c| !OPERATOR_CHARACTERS.contains(c))
            .unwrap_or(self.rest.len());
        let run = self.rest.get(..end).unwrap_or_default();
        if run.contains("--") || run.contains("/*") {
            return Err(ClauseProblem::Comment);
        }
        let length = if run.contains(|c| BEFORE_SIGN.contains(c)) {
            run.len()
        } else {
            run.trim_end_matches(['+', '-']).len().max(1)
        };
        let operator = self.take(length);
        known_operator(operator)
            .ok_or_else(|| ClauseProblem::Operator(operator.chars().take(OPERATOR_SHOWN_MAX).collect()))
    }

    fn punctuation(&mut self, first: char) -> Result<Token, ClauseProblem> {
        let token = match first {
            '(' => Token::LParen,
            ')' => Token::RParen,
            '[' => Token::LBracket,
            ']' => Token::RBracket,
            ',' => Token::Comma,
            '.' => Token::Period,
            ':' if self.rest.starts_with("::") => {
                self.take(1);
                Token::DoubleColon
            }
            ':' if !self.rest.starts_with(":=") => Token::Colon,
            c => return Err(ClauseProblem::Character(c)),
        };
        self.take(1);
        Ok(token)
    }
}

/// Only the words of our language are keywords to the parser. It knows hundreds more, of all dialects, and
/// some of them it reads and forgets; as plain names they end in a refusal.
fn keyword_or_name(text: &str) -> Token {
    match Token::make_word(text, None) {
        Token::Word(word) if !KEYWORDS.contains(&word.keyword) => Token::Word(Word {
            keyword: Keyword::NoKeyword,
            ..word
        }),
        token => token,
    }
}

fn is_keyword(token: Option<&Token>, keyword: Keyword) -> bool {
    matches!(token, Some(Token::Word(word)) if word.keyword == keyword)
}

fn location(place: Place) -> Location {
    Location::new(place.line, place.column)
}

fn known_operator(text: &str) -> Option<Token> {
    Some(match text {
        "=" => Token::Eq,
        "<>" | "!=" => Token::Neq,
        "<" => Token::Lt,
        "<=" => Token::LtEq,
        ">" => Token::Gt,
        ">=" => Token::GtEq,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "^" => Token::Caret,
        "&" => Token::Ampersand,
        "|" => Token::Pipe,
        "#" => Token::Sharp,
        "||" => Token::StringConcat,
        "@>" => Token::AtArrow,
        "<@" => Token::ArrowAt,
        "&&" => Token::Overlap,
        "~" => Token::Tilde,
        "@" => Token::AtSign,
        "|/" => Token::PGSquareRoot,
        "~~" => Token::DoubleTilde,
        "~~*" => Token::DoubleTildeAsterisk,
        "!~~" => Token::ExclamationMarkDoubleTilde,
        "!~~*" => Token::ExclamationMarkDoubleTildeAsterisk,
        _ => return None,
    })
}
