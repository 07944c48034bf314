package dev.lithe.tokenize;

import dev.lithe.fault.LitheException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/// Splits a template into text and the tokens of its tags, as Jinja does with `trim_blocks` and
/// `lstrip_blocks` on: a line break after a tag, and blanks before a tag that starts a line, go; so
/// does all white space on the side of a `-`. One line break at the end goes, too.
final class JinjaLexer {
    /// What a token is.
    enum Kind {
        TEXT,
        NAME,
        STRING,
        INTEGER,
        FLOAT,
        OPERATOR,
        EXPRESSION_START,
        EXPRESSION_END,
        BLOCK_START,
        BLOCK_END,
        END
    }

    /// A piece of the template, and the line where it starts.
    record Token(Kind kind, String text, int line) {
        boolean is(Kind expected, String value) {
            return kind == expected && text.equals(value);
        }
    }

    private static final List<String> OPERATORS =
            List.of(
                    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "(", ")", "[",
                    "]", "{", "}", ",", ".", ":", "|", "<", ">", "=");

    private final String source;
    private final List<Token> tokens = new ArrayList<>();
    private int at;
    private int line = 1;
    private boolean lineStarts = true;
    private boolean stripNext;

    private JinjaLexer(String source) {
        String text = source.replace("\r\n", "\n").replace('\r', '\n');
        this.source = text.endsWith("\n") ? text.substring(0, text.length() - 1) : text;
    }

    static List<Token> tokens(String source) {
        var lexer = new JinjaLexer(source);
        while (lexer.at < lexer.source.length()) {
            lexer.next();
        }
        lexer.add(Kind.END, "");
        return lexer.tokens;
    }

    private void add(Kind kind, String text) {
        tokens.add(new Token(kind, text, line));
    }

    static LitheException wrong(int line, String what) {
        return LitheException.badInput("chat template, line %d: %s", line, what);
    }

    private void next() {
        int tag = tagStart();
        String text = source.substring(at, tag);
        boolean strip = tag + 2 < source.length() && source.charAt(tag + 2) == '-';
        boolean keep = tag + 2 < source.length() && source.charAt(tag + 2) == '+';
        char kind = tag < source.length() ? source.charAt(tag + 1) : ' ';
        String shown = stripNext ? text.stripLeading() : text;
        if (strip) {
            shown = shown.stripTrailing();
        } else if (!keep && (kind == '%' || kind == '#')) {
            shown = withoutIndent(text, shown);
        }
        if (!shown.isEmpty()) {
            add(Kind.TEXT, shown);
        }
        line += (int) text.chars().filter(c -> c == '\n').count();
        stripNext = false;
        if (tag == source.length()) {
            at = tag;
            return;
        }
        at = tag + (strip || keep ? 3 : 2);
        lineStarts = false;
        switch (kind) {
            case '#' -> comment();
            case '%' -> inside(Kind.BLOCK_START, Kind.BLOCK_END, "%}");
            default -> inside(Kind.EXPRESSION_START, Kind.EXPRESSION_END, "}}");
        }
    }

    private int tagStart() {
        for (int i = at; i + 1 < source.length(); i++) {
            char second = source.charAt(i + 1);
            if (source.charAt(i) == '{' && (second == '{' || second == '%' || second == '#')) {
                return i;
            }
        }
        return source.length();
    }

    /// The text without the blanks after its last line break, where only they come before the tag.
    private String withoutIndent(String text, String shown) {
        int lastBreak = text.lastIndexOf('\n') + 1;
        if ((lastBreak > 0 || lineStarts) && text.substring(lastBreak).isBlank()) {
            int blanks = text.length() - lastBreak;
            return shown.substring(0, Math.max(0, shown.length() - blanks));
        }
        return shown;
    }

    private void comment() {
        int end = source.indexOf("#}", at);
        if (end < 0) {
            throw wrong(line, "a comment does not end");
        }
        line += (int) source.substring(at, end).chars().filter(c -> c == '\n').count();
        stripNext = end > at && source.charAt(end - 1) == '-';
        at = end + 2;
        trim(false);
    }

    /// Takes the line break after a tag.
    private void trim(boolean keep) {
        if (!keep && !stripNext && at < source.length() && source.charAt(at) == '\n') {
            at++;
            line++;
            lineStarts = true;
        }
    }

    private void inside(Kind start, Kind end, String close) {
        add(start, "");
        Deque<Character> open = new ArrayDeque<>();
        while (at < source.length()) {
            char c = source.charAt(at);
            if (Character.isWhitespace(c)) {
                line += c == '\n' ? 1 : 0;
                at++;
            } else if (open.isEmpty() && ends(close)) {
                boolean keep = c == '+';
                stripNext = c == '-';
                at += close.length() + (c == '-' || keep ? 1 : 0);
                add(end, "");
                if (end == Kind.BLOCK_END) {
                    trim(keep);
                }
                return;
            } else {
                token(c, open);
            }
        }
        throw wrong(line, "a tag does not end with " + close);
    }

    private boolean ends(String close) {
        return source.startsWith(close, at)
                || source.startsWith("-" + close, at)
                || source.startsWith("+" + close, at);
    }

    private void token(char c, Deque<Character> open) {
        if (c == '\'' || c == '"') {
            add(Kind.STRING, string(c));
        } else if (Character.isJavaIdentifierStart(c) && c != '$') {
            int start = at;
            while (at < source.length() && Character.isJavaIdentifierPart(source.charAt(at))) {
                at++;
            }
            add(Kind.NAME, source.substring(start, at));
        } else if (c >= '0' && c <= '9') {
            number();
        } else {
            String operator =
                    OPERATORS.stream()
                            .filter(each -> source.startsWith(each, at))
                            .findFirst()
                            .orElseThrow(() -> wrong(line, "unexpected '" + c + "'"));
            if ("([{".contains(operator)) {
                open.push(operator.charAt(0));
            } else if (")]}".contains(operator) && open.poll() == null) {
                throw wrong(line, "'" + operator + "' closes nothing");
            }
            at += operator.length();
            add(Kind.OPERATOR, operator);
        }
    }

    private void number() {
        int start = at;
        boolean point = false;
        while (at < source.length() && (digit(at) || !point && isPoint())) {
            point |= source.charAt(at) == '.';
            at++;
        }
        add(point ? Kind.FLOAT : Kind.INTEGER, source.substring(start, at));
    }

    private boolean isPoint() {
        return source.charAt(at) == '.' && at + 1 < source.length() && digit(at + 1);
    }

    private boolean digit(int index) {
        return source.charAt(index) >= '0' && source.charAt(index) <= '9';
    }

    private String string(char quote) {
        var text = new StringBuilder();
        int start = line;
        for (at++; at < source.length(); at++) {
            char c = source.charAt(at);
            if (c == quote) {
                at++;
                return text.toString();
            }
            line += c == '\n' ? 1 : 0;
            if (c == '\\' && at + 1 < source.length()) {
                at++;
                escape(text);
            } else {
                text.append(c);
            }
        }
        throw wrong(start, "a string does not end");
    }

    private void escape(StringBuilder text) {
        char c = source.charAt(at);
        switch (c) {
            case 'n' -> text.append('\n');
            case 't' -> text.append('\t');
            case 'r' -> text.append('\r');
            case 'u' -> hex(text, 4);
            case 'x' -> hex(text, 2);
            case '\\', '\'', '"' -> text.append(c);
            case '\n' -> {}
            default -> text.append('\\').append(c);
        }
    }

    private void hex(StringBuilder text, int digits) {
        try {
            String code = source.substring(at + 1, at + 1 + digits);
            text.append((char) Integer.parseInt(code, 16));
            at += digits;
        } catch (NumberFormatException | StringIndexOutOfBoundsException e) {
            throw wrong(line, "a character code is no hexadecimal number").causedBy(e);
        }
    }
}
