package dev.lithe.tokenize;

import dev.lithe.fault.LitheException;
import dev.lithe.tokenize.JinjaLexer.Kind;
import dev.lithe.tokenize.JinjaLexer.Token;
import java.util.List;

/// A place in a list of tokens, and how deep it is nested.
class JinjaCursor {
    private static final int MAX_DEPTH = 200;

    private final List<Token> tokens;
    private int at;
    private int depth;

    JinjaCursor(List<Token> tokens) {
        this.tokens = tokens;
    }

    Token peek() {
        return tokens.get(at);
    }

    /// The token after the next.
    Token peekBehind() {
        return tokens.get(Math.min(at + 1, tokens.size() - 1));
    }

    Token next() {
        Token token = tokens.get(at);
        at = Math.min(at + 1, tokens.size() - 1);
        return token;
    }

    /// Takes the token if it comes next.
    boolean take(Kind kind, String text) {
        if (!peek().is(kind, text)) {
            return false;
        }
        next();
        return true;
    }

    boolean takeOperator(String text) {
        return take(Kind.OPERATOR, text);
    }

    boolean takeWord(String text) {
        return take(Kind.NAME, text);
    }

    void expect(Kind kind, String text) {
        if (!take(kind, text)) {
            throw unexpected(text.isEmpty() ? kind.toString() : "'" + text + "'");
        }
    }

    String name() {
        if (peek().kind() != Kind.NAME) {
            throw unexpected("a name");
        }
        return next().text();
    }

    LitheException unexpected(String wanted) {
        Token token = peek();
        String found = token.text().isEmpty() ? token.kind().toString() : "'" + token.text() + "'";
        return JinjaLexer.wrong(token.line(), "found " + found + " instead of " + wanted);
    }

    /// Goes back by one token.
    void back() {
        at--;
    }

    /// Goes a level down.
    ///
    /// @throws LitheException where an expression nests too deep
    void deeper() {
        depth++;
        if (depth > MAX_DEPTH) {
            throw JinjaLexer.wrong(
                    peek().line(), "an expression nests more than " + MAX_DEPTH + " deep");
        }
    }

    /// Comes up again.
    void shallower() {
        depth--;
    }
}
