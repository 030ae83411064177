//! Text for a page: what is not written here is escaped.

/// A part of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Fragment(String);

impl Fragment {
    /// A text, escaped.
    pub(super) fn text(text: &str) -> Self {
        let mut out = Self::default();
        out.escaped(text);
        out
    }

    /// Markup, written in the program.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A text, escaped for content and for values in double quotes.
    pub(super) fn escaped(&mut self, text: &str) -> &mut Self {
        for char in text.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                control if control.is_control() => self.0.push('·'),
                char => self.0.push(char),
            }
        }
        self
    }

    /// Another part.
    pub(super) fn push(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }
}

/// A page with what belongs in each of its `{{name}}`. What is put in is not looked at again.
pub(super) fn filled(page: &str, fragment: impl Fn(&str) -> Fragment) -> String {
    let mut pieces = page.split("{{");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or(("", piece));
        out.push_str(&fragment(name).0);
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_page_is_text_whatever_it_says() {
        let page = filled("<p title=\"{{a}}\">{{b}}</p>{{unknown}}", |name| match name {
            "a" => Fragment::text("\" onload='x"),
            "b" => Fragment::text("<script>&{{a}}\u{1b}"),
            _ => Fragment::default(),
        });
        assert_eq!(
            page,
            "<p title=\"&quot; onload=&#39;x\">&lt;script&gt;&amp;{{a}}·</p>"
        );
    }
}
